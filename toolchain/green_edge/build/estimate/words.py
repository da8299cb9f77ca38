"""Ranges and shares of an estimate as text for people."""

import math

from green_edge.targets.physics import Bounds, Range
from green_edge_wire.units import UJ_PER_J, UJ_PER_MJ, UW_PER_MW, UW_PER_W

_US_PER_MS = 1_000
_US_PER_S = 1_000_000
_BAR_CHARS = 20
_PERCENT = 100.0
# More would claim a precision that a range does not have.
_DIGITS = 2
# Keeps 0.3 / 0.1 from being rounded to the next step.
_SLACK = 1e-9


def latency(span: Range) -> str:
    """A range of time such as `2.1 to 4.9 ms`."""
    return _span(span, ((_US_PER_S, "s"), (_US_PER_MS, "ms"), (1, "us")))


def energy(span: Range) -> str:
    """A range of energy such as `6.3 to 23 mJ`."""
    return _span(span, ((UJ_PER_J, "J"), (UJ_PER_MJ, "mJ"), (1, "uJ")))


def power(span: Bounds) -> str:
    """A range of power in milliwatts such as `2.3 to 3.1 W`."""
    exact = Bounds(span.low * UW_PER_MW, span.high * UW_PER_MW)
    return _span(exact, ((UW_PER_W, "W"), (UW_PER_MW, "mW"), (1, "uW")))


def share(part: float) -> str:
    """A share such as `21 %`; below one percent with a digit more."""
    percent = part * _PERCENT
    return f"{percent:.0f} %" if percent >= 1 or percent == 0 else f"{percent:.1f} %"


def bar(part: float, largest: float) -> str:
    """A share as a bar; the largest of a table has the full width."""
    return "#" * max(1, round(_BAR_CHARS * part / largest)) if part > 0 else ""


def times(ratio: float) -> str:
    """A ratio above 1 such as `3.4 times`."""
    return f"{ratio:.1f} times" if ratio < 10 else f"{ratio:,.0f} times"


def _span(span: Range | Bounds, units: tuple[tuple[float, str], ...]) -> str:
    """Both ends in the unit of the higher one."""
    divisor, name = next((unit for unit in units if span.high >= unit[0]), units[-1])
    low, high = _floor(span.low / divisor), _ceil(span.high / divisor)
    return f"{low} {name}" if low == high else f"{low} to {high} {name}"


# Rounded outward: a range may only widen.
def _floor(value: float) -> str:
    step = _step(value)
    return _number(math.floor(value / step + _SLACK) * step, step)


def _ceil(value: float) -> str:
    step = _step(value)
    return _number(math.ceil(value / step - _SLACK) * step, step)


def _step(value: float) -> float:
    """Place value of the last digit that is shown."""
    return 1.0 if value <= 0 else math.pow(10.0, math.floor(math.log10(value)) - _DIGITS + 1)


def _number(value: float, step: float) -> str:
    return f"{value:,.{max(0, -round(math.log10(step)))}f}"
