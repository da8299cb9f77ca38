"""Budgets that a new model is held to in continuous integration, and what became of them.

A gate file is TOML; every key is optional, but a table that is there sets one limit at least:

    [quality]       max_drop_pp, min, min_other_outputs
    [size]          max_bytes, max_ratio, max_zip_bytes, max_zip_ratio
    [macs]          max, max_ratio
    [instructions]  target, max, max_ratio
    [latency]       target, max_us
    [energy]        target, max_uj, max_ratio

A ratio is the new model's figure over the baseline's. The last three tables may be written several
times, as `[[instructions]]`, each for a target of its own.
"""

import dataclasses
import tomllib
from dataclasses import dataclass
from pathlib import Path

from green_edge.core.report import Verdict
from green_edge_wire import codec
from green_edge_wire.errors import ConfigError, DecodeError

_REPEATABLE = ("instructions", "latency", "energy")


@dataclass(frozen=True, slots=True)
class QualityLimits:
    """`[quality]`.

    Attributes:
        max_drop_pp: baseline less new model, in percentage points, on the same samples.
        min: lowest mean score of the new model, 0..1.
        min_other_outputs: lowest agreement with the baseline, 0..1, of the outputs that the labels
            do not speak of.
    """

    max_drop_pp: float | None = None
    min: float | None = None
    min_other_outputs: float | None = None


@dataclass(frozen=True, slots=True)
class SizeLimits:
    """`[size]`: of the .tflite, and of it after zlib level 9."""

    max_bytes: int | None = None
    max_ratio: float | None = None
    max_zip_bytes: int | None = None
    max_zip_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class MacsLimits:
    """`[macs]`: multiply-accumulates of one inference."""

    max: int | None = None
    max_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class InstructionLimits:
    """`[instructions]`: estimated ones of an inference on a target, one thread."""

    target: str
    max: int | None = None
    max_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class LatencyLimits:
    """`[latency]`: the estimated range on a target, one thread."""

    target: str
    max_us: float


@dataclass(frozen=True, slots=True)
class EnergyLimits:
    """`[energy]`: the estimated range of an inference on a target, of the whole board."""

    target: str
    max_uj: float | None = None
    max_ratio: float | None = None


_Limits = QualityLimits | SizeLimits | MacsLimits | InstructionLimits | LatencyLimits | EnergyLimits


@dataclass(frozen=True, slots=True)
class Gate:
    """A gate file."""

    quality: QualityLimits | None = None
    size: SizeLimits | None = None
    macs: MacsLimits | None = None
    instructions: tuple[InstructionLimits, ...] = ()
    latency: tuple[LatencyLimits, ...] = ()
    energy: tuple[EnergyLimits, ...] = ()

    @property
    def targets(self) -> tuple[str, ...]:
        """Targets of all limits, each once, in the order of the file's tables."""
        named = [
            *(limits.target for limits in self.instructions),
            *(limits.target for limits in self.latency),
            *(limits.target for limits in self.energy),
        ]
        return tuple(dict.fromkeys(named))


@dataclass(frozen=True, slots=True)
class Check:
    """One limit, and the new model held to it.

    Attributes:
        name: key of the gate file, such as `size.max_bytes`.
        what: what was held to the limit.
        unit: of limit, value, low and high; `ratio` for new over baseline, `share` for 0..1.
        limit: absent where the gate should set one and does not.
        value: what was found; absent where only a range is known, or nothing at all.
        low: of the 95 % interval or of the estimated range.
        high: likewise.
        target: of an estimate.
        samples: about so many evaluation samples would decide, if nothing else changes.
    """

    name: str
    what: str
    unit: str
    limit: float | None
    verdict: Verdict
    reason: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    target: str | None = None
    samples: int | None = None


@dataclass(frozen=True, slots=True)
class GateResult:
    """`fail` where one check fails, else `inconclusive` where one is, else `pass`."""

    verdict: Verdict
    checks: tuple[Check, ...]


def load_gate(file: Path) -> Gate:
    """Read a gate file.

    Raises:
        ConfigError: it cannot be read, or holds a mistake; names the key.
    """
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
        gate = codec.decode(Gate, _listed(document), strict=True)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"cannot read it: {reason}", place=str(file)) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not TOML: {error}", place=str(file)) from None
    except DecodeError as error:
        what = error.message.removeprefix("<top>: ")
        raise ConfigError(what, place=str(file), hint=error.hint) from None
    _check(gate, file)
    return gate


def _listed(document: dict[str, object]) -> dict[str, object]:
    """Read `[latency]` as `[[latency]]`."""
    return {
        key: [value] if key in _REPEATABLE and isinstance(value, dict) else value
        for key, value in document.items()
    }


def _check(gate: Gate, file: Path) -> None:
    tables = _tables(gate)
    if not tables:
        raise ConfigError("sets no limit", place=str(file), hint="such as [size] max_bytes = 50000")
    places = [place for place, _ in tables]
    for place, limits in tables:
        if places.count(place) > 1:
            raise ConfigError(f"{place}: set twice", place=str(file))
        _check_limits(place, limits, file)
    quality = gate.quality or QualityLimits()
    for name in ("min", "min_other_outputs"):
        if (getattr(quality, name) or 0) > 1:
            what = f"quality: {name} is a share of 0..1"
            raise ConfigError(what, place=str(file), hint="such as 0.9")


def _tables(gate: Gate) -> list[tuple[str, _Limits]]:
    """Tables of a gate, by how messages call them."""
    once: list[tuple[str, _Limits | None]] = [
        ("quality", gate.quality), ("size", gate.size), ("macs", gate.macs),
    ]  # fmt: skip
    return [
        *((place, limits) for place, limits in once if limits is not None),
        *((f"instructions of {limits.target}", limits) for limits in gate.instructions),
        *((f"latency of {limits.target}", limits) for limits in gate.latency),
        *((f"energy of {limits.target}", limits) for limits in gate.energy),
    ]


def _check_limits(place: str, limits: _Limits, file: Path) -> None:
    names = [field.name for field in dataclasses.fields(limits) if field.name != "target"]
    given = {name: getattr(limits, name) for name in names if getattr(limits, name) is not None}
    if not given:
        raise ConfigError(f"{place}: sets no limit", place=str(file), hint=f"of {', '.join(names)}")
    for name, limit in given.items():
        if limit < 0:
            raise ConfigError(f"{place}: {name} must not be negative", place=str(file))
