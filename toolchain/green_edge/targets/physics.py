"""Latency and energy as ranges, from instructions, bytes and the facts of a board.

An instruction count says how much work a model is; a board says how long that may take:

    compute = instructions / (instructions per cycle x clock)
    memory  = bytes that come from the memory chip / bandwidth of one core

The shortest latency takes the best of each, the two at the same time, and of the bytes the weights
alone that the last-level cache cannot keep from one inference to the next; the longest takes the
worst of each, one after the other, from a cold cache. Instructions per cycle are bounds from
published latencies over counted instructions (`benchmarks/published_ranking.py`); the clock is that
of the board, not throttled.

Energy is that of the whole board for the time of an inference (gross), or what is above the same
board idle (net). Both are ranges that hold what is published; none is a measurement.
"""

import functools
import tomllib
from dataclasses import dataclass, replace
from importlib import resources
from typing import Literal

from green_edge.targets.registry import Target
from green_edge_wire import codec
from green_edge_wire.errors import ConfigError
from green_edge_wire.units import UJ_PER_MJ

Dtype = Literal["int8", "float32"]


@dataclass(frozen=True, slots=True)
class Range:
    """What an estimate may be, both ends included; the unit is in the field's name."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """Smallest and largest value that is published or follows from what is published."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class InstructionsPerCycle:
    """Of one thread that runs a model, by the type of its activations."""

    int8: Bounds
    float32: Bounds


@dataclass(frozen=True, slots=True)
class Board:
    """A board's file in `data/boards/`.

    Attributes:
        title: for people.
        core: as compilers name it.
        clock_mhz: highest clock of the revisions that are sold.
        ipc: bounds of instructions per cycle.
        ipc_armv7l: the same on a 32-bit system, where something is published.
        cache_kib: last level of cache, which one thread has to itself.
        memory_mb_s: what one core reads from the memory chip (10^6 bytes a second).
        idle_mw: whole board, on and doing nothing.
        one_core_mw: what one computing core adds to that.
        date: when the sources were read.
        notes: what is assumed, a sentence each.
        sources: of each fact by its key.
    """

    title: str
    core: str
    date: str
    clock_mhz: Bounds
    ipc: InstructionsPerCycle
    cache_kib: int
    memory_mb_s: Bounds
    idle_mw: Bounds
    one_core_mw: Bounds
    sources: dict[str, str]
    notes: tuple[str, ...] = ()
    ipc_armv7l: InstructionsPerCycle | None = None

    @property
    def busy_mw(self) -> Bounds:
        """Whole board, one core computing."""
        idle, core = self.idle_mw, self.one_core_mw
        return Bounds(idle.low + core.low, idle.high + core.high)


@functools.cache
def load(name: str) -> Board:
    """Board by the name of its target, such as `pi4`.

    Raises:
        ConfigError: nothing is known of such a board.
    """
    file = resources.files("green_edge.targets").joinpath("data", "boards", f"{name}.toml")
    if not file.is_file():
        hint = "measure there instead: green-edge bench"
        raise ConfigError(f"no clock, bandwidth or power is known of {name!r}", hint=hint)
    return codec.decode(Board, tomllib.loads(file.read_text(encoding="utf-8")), strict=True)


def board_of(target: Target) -> Board:
    """Board whose processor a target has: itself, or the host of its accelerator.

    Its instructions per cycle are those of the target's system, as far as they are known.

    Raises:
        ConfigError: nothing is known of it, such as of this workstation.
    """
    board = load(target.host or target.ref.name)
    if target.arch == "armv7l" and board.ipc_armv7l is not None:
        return replace(board, ipc=board.ipc_armv7l)
    return board


def latency_us(
    instructions: float,
    bytes_moved: float,
    *,
    dtype: Dtype,
    board: Board,
    error_ratio: float = 0.0,
    bytes_missed: float = 0.0,
) -> Range:
    """Range of the latency of one inference on one thread.

    Args:
        instructions: of one inference.
        bytes_moved: weights and activations that it reads and writes.
        dtype: of the activations.
        board: where it runs.
        error_ratio: by how much the instructions may be off, as the larger over the smaller less
            one; 0 for a count.
        bytes_missed: the least of `bytes_moved` that comes from the memory chip, whatever the
            cache holds.
    """
    ipc: Bounds = getattr(board.ipc, dtype)
    # MHz are cycles a microsecond, and 10^6 bytes a second are bytes a microsecond.
    shortest = instructions / (1 + error_ratio) / (ipc.high * board.clock_mhz.high)
    longest = instructions * (1 + error_ratio) / (ipc.low * board.clock_mhz.low)
    low = max(shortest, bytes_missed / board.memory_mb_s.high)
    high = longest + bytes_moved / board.memory_mb_s.low
    return Range(int(low), -int(-high // 1))


def energy_uj(latency: Range, board: Board) -> Range:
    """Range of the gross energy of one inference: power of the whole board while it computes."""
    return energy(latency, board.busy_mw)


def net_energy_uj(latency: Range, board: Board) -> Range:
    """Range of the energy of one inference above that of the same board idle."""
    return energy(latency, board.one_core_mw)


def energy(latency: Range, power_mw: Bounds) -> Range:
    """Microjoules that a power in milliwatts makes of a time in microseconds."""
    # A milliwatt for a microsecond is a nanojoule.
    low, high = latency.low * power_mw.low, latency.high * power_mw.high
    return Range(int(low // UJ_PER_MJ), -int(-high // UJ_PER_MJ))
