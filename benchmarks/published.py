"""Latencies that others published, what they mean for one thread, and which pairs rank.

A published figure on several threads says less of one thread than a figure on one: all that is sure
is a range, from the smallest speed-up that the same list shows for so many threads, to a thread
each. Where the number of threads is not stated it may be any up to the four cores.
"""

import itertools
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path
from typing import Literal

from green_edge_wire import codec

FILE = Path(__file__).parent / "data" / "published_latencies.toml"
Kind = Literal["two models", "two boards", "int8 and float", "Edge TPU and processor"]
CHIP = "edgetpu"
_CORES = 4
# Nearer figures differ by how they were measured as much as by what was measured.
_CLOSE_RATIO = 1.1


@dataclass(frozen=True, slots=True)
class Row:
    """A published latency.

    Attributes:
        board: target that it was measured on.
        dtype: `int8` or `float32`; `unknown` where the source does not say.
        threads: 0 where the source does not say.
        ms: of one inference.
        source: key of `Published.sources`.
        kernels: package whose kernels are the nearest; `edgetpu` for the accelerator.
        arch: of the operating system.
        clock_mhz: of the board when it was measured.
        fit: the bounds of instructions per cycle were set with it.
    """

    model: str
    board: str
    dtype: str
    threads: int
    ms: float
    source: str
    kernels: str
    arch: str = "aarch64"
    clock_mhz: int | None = None
    fit: bool = False


@dataclass(frozen=True, slots=True)
class Published:
    """The file."""

    date: str
    rows: tuple[Row, ...]
    sources: dict[str, str]


@dataclass(frozen=True, slots=True)
class Span:
    """From the smallest to the largest."""

    low: float
    high: float

    @property
    def middle(self) -> float:
        """Geometric mean: by as much from both ends."""
        return sqrt(self.low * self.high)

    def times(self, factor: float) -> "Span":
        """Both ends by a factor."""
        return Span(self.low * factor, self.high * factor)

    def meets(self, other: "Span") -> bool:
        """Whether they have a value in common."""
        return self.low <= other.high and other.low <= self.high

    def holds(self, other: "Span") -> bool:
        """Whether all of the other lies inside."""
        return self.low <= other.low and other.high <= self.high


@dataclass(frozen=True, slots=True)
class Pair:
    """Two published latencies that differ, the shorter one first.

    Attributes:
        right: the estimates are ordered as published, at every number of threads that is.
    """

    kind: Kind
    shorter: Row
    longer: Row
    right: bool


def read() -> Published:
    """The published latencies."""
    return codec.decode(Published, tomllib.loads(FILE.read_text(encoding="utf-8")), strict=True)


def speedups(rows: Sequence[Row]) -> dict[tuple[str, int], float]:
    """Smallest speed-up over one thread, by type and number of threads."""
    single = {_case(row): row.ms for row in rows if row.threads == 1}
    found: dict[tuple[str, int], float] = {}
    for row in rows:
        one_ms = single.get(_case(row))
        if row.threads > 1 and one_ms is not None:
            key = (row.dtype, row.threads)
            found[key] = min(found.get(key, float(row.threads)), one_ms / row.ms)
    return found


def one_thread_ms(row: Row, speedup: Mapping[tuple[str, int], float]) -> Span:
    """What a published latency says of one thread."""
    if row.threads == 0:
        return Span(row.ms, row.ms * _CORES)
    if row.threads == 1:
        return Span(row.ms, row.ms)
    return Span(row.ms * speedup.get((row.dtype, row.threads), 1.0), row.ms * row.threads)


def pairs(estimates: Mapping[Row, Span]) -> tuple[Pair, ...]:
    """Pairs of one list that measure one difference, in the order of the list.

    The same two on one and on four threads are one pair: their estimates do not know of threads.

    Args:
        estimates: what is estimated for rows, in milliseconds.
    """
    found: dict[frozenset[object], Pair] = {}
    for a, b in itertools.combinations(estimates, 2):
        kind = _kind(a, b)
        shorter, longer = (a, b) if a.ms < b.ms else (b, a)
        if kind is None or longer.ms < _CLOSE_RATIO * shorter.ms:
            continue
        right = estimates[shorter].middle < estimates[longer].middle
        both = frozenset(replace(row, threads=0, ms=0, fit=False) for row in (a, b))
        first = found.get(both, Pair(kind, shorter, longer, right))
        found[both] = replace(first, right=first.right and right)
    return tuple(found.values())


def _case(row: Row) -> tuple[object, ...]:
    return row.model, row.board, row.dtype, row.source, row.arch, row.clock_mhz


def _kind(a: Row, b: Row) -> Kind | None:
    """What a pair differs in, where it is one thing alone."""
    if a.source != b.source:
        return None
    if CHIP in (a.kernels, b.kernels) and a.kernels != b.kernels:
        return "Edge TPU and processor" if _same_host(a, b) else None
    differs = tuple(_differences(a, b))
    kinds: dict[tuple[str, ...], Kind] = {
        ("model",): "two models",
        ("board",): "two boards",
        ("dtype",): "int8 and float",
    }
    return kinds.get(differs)


def _differences(a: Row, b: Row) -> Iterator[str]:
    for name in ("model", "board", "dtype", "threads", "kernels", "arch"):
        if getattr(a, name) != getattr(b, name):
            yield name
    if a.board == b.board and a.clock_mhz != b.clock_mhz:
        yield "clock_mhz"


def _same_host(a: Row, b: Row) -> bool:
    """One model on an Edge TPU and on one thread, or an unknown number, of its own host."""
    chip, cpu = (a, b) if a.kernels == CHIP else (b, a)
    host = chip.board.partition("+")[2] or chip.board
    return (
        chip.model == cpu.model
        and chip.dtype == cpu.dtype
        and host == cpu.board
        and cpu.threads <= 1
    )
