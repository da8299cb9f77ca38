"""Geometry of the report's two charts: estimates with intervals on one axis."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 820
_LEFT = 150
_RIGHT = 24
_ROW = 30
_TOP = 12
_PADDING = 0.08
_TICKS = 5


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its interval, in the axis' unit."""

    label: str
    value: float
    low: float
    high: float
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """An estimate in pixels."""

    label: str
    y: float
    x: float
    low_x: float
    high_x: float
    strong: bool


@dataclass(frozen=True, slots=True)
class Tick:
    """A place of the axis with its number."""

    x: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything that the template draws; `limit_x` and `zero_x` are absent where unused."""

    marks: tuple[Mark, ...]
    ticks: tuple[Tick, ...]
    height: int
    bottom: float
    left: int = _LEFT
    right: int = WIDTH - _RIGHT
    width: int = WIDTH
    limit_x: float | None = None
    zero_x: float | None = None


def chart(
    estimates: Sequence[Estimate], *, limit: float | None = None, zero: bool = False
) -> Chart:
    """Lay estimates out below one another on a common axis.

    Args:
        estimates: at least one.
        limit: a place to mark as the limit.
        zero: mark 0.
    """
    ends = [value for e in estimates for value in (e.low, e.high)]
    ends += [limit] if limit is not None else []
    ends += [0.0] if zero else []
    low, high = min(ends), max(ends)
    margin = (high - low) * _PADDING or 1.0
    low, high = low - margin, high + margin

    def x(value: float) -> float:
        return round(_LEFT + (value - low) / (high - low) * (WIDTH - _LEFT - _RIGHT), 1)

    bottom = _TOP + _ROW * len(estimates)
    marks = tuple(
        Mark(e.label, _TOP + _ROW * (i + 0.5), x(e.value), x(e.low), x(e.high), e.strong)
        for i, e in enumerate(estimates)
    )
    return Chart(
        marks=marks,
        ticks=tuple(Tick(x(value), text) for value, text in ticks(low, high)),
        height=bottom + 40,
        bottom=bottom,
        limit_x=None if limit is None else x(limit),
        zero_x=x(0.0) if zero else None,
    )


def ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Round numbers within an axis, some five of them."""
    rough = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    digits = max(0, -math.floor(math.log10(step)))
    first = math.ceil(low / step)
    last = math.floor(high / step)
    return [(i * step, f"{i * step + 0.0:.{digits}f}") for i in range(first, last + 1)]
