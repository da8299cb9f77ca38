"""Figures as words for people: units, digits that the uncertainty allows, how it was obtained."""

import math
from typing import Final

from green_edge.telemetry.store import Figure
from green_edge_wire.telemetry import Boundary, MeterKind
from green_edge_wire.units import (
    NS_PER_MS,
    NS_PER_US,
    UJ_PER_J,
    UJ_PER_MJ,
    UW_PER_MW,
    UW_PER_W,
    j_from_uj,
    mj_from_uj,
    w_from_uw,
)

KINDS: Final[dict[MeterKind, str]] = {
    "counter": "counted by an energy counter",
    "mean": "measured, mean power over each interval",
    "point": "measured, power at single moments",
    "modelled": "estimated from the processor's load, nothing was measured",
}
BOUNDARIES: Final[dict[Boundary, str]] = {
    "board-dc-in": "the whole board, without its power supply",
    "soc-rails": "the rails of the board's power chip, not what hangs on 5 V directly",
    "usb-inline": "everything behind the USB meter",
    "ac-wall": "everything at the wall socket, power supply included",
    "cpu-package": "the processor package alone",
    "battery": "what the battery gives",
    "modelled": "the whole board, as its model has it",
    "unknown": "unknown",
}
FLAGS: Final[dict[str, str]] = {
    "gap": "the meter was silent in some windows; they are not counted",
    "stale": "the meter repeated itself in some windows; they are not counted",
    "saturated": "the meter was at the end of its range in some windows; they are not counted",
    "reset": "the counter was reset in some windows; they are not counted",
    "no-reading": "the meter gave nothing in some windows; they are not counted",
    "not-bracketed": "some windows have no reading on both of their sides",
    "assumed-board": "the model of another board stands in for this one",
    "implausible": "the device sent figures beyond reason; they are not counted",
    "net-partial": "the net figure rests on a part of the windows",
}
NOTHING = "-"
NO_MODEL = "none yet"


def model(row: Figure) -> str:
    """Name and version of a figure's model; windows before the first one have none."""
    return f"{clean(row.model)} {row.model_version}" if row.model else NO_MODEL


def count(number: int) -> str:
    """A whole number in groups of three."""
    return f"{number:,}"


def milliseconds(duration_us: float | None) -> str:
    """A latency in milliseconds with three digits that count."""
    return NOTHING if duration_us is None else digits(duration_us * NS_PER_US / NS_PER_MS)


def gross_mj(row: Figure) -> str:
    """Gross energy per inference in millijoules with its uncertainty; `~` where modelled."""
    if row.energy_uj_per_inference is None:
        return NOTHING
    value_mj = mj_from_uj(row.energy_uj_per_inference)
    return mark(row.kind) + with_uncertainty(value_mj, row.u_ratio)


def net_mj(row: Figure) -> str:
    """Net energy per inference in millijoules, no finer than the gross figure is sure."""
    if row.net_uj_per_inference is None:
        return NOTHING
    value_mj = mj_from_uj(row.net_uj_per_inference)
    u_mj = mj_from_uj(row.energy_uj_per_inference or 0.0) * (row.u_ratio or 0.0)
    return mark(row.kind) + (f"{value_mj:,.{_decimals(u_mj)}f}" if u_mj else digits(value_mj))


def energy(energy_uj: float, kind: MeterKind | None) -> str:
    """An energy in the unit that suits it; `~` where modelled."""
    if abs(energy_uj) >= UJ_PER_J:
        return f"{mark(kind)}{digits(j_from_uj(energy_uj))} J"
    if abs(energy_uj) >= UJ_PER_MJ:
        return f"{mark(kind)}{digits(mj_from_uj(energy_uj))} mJ"
    return f"{mark(kind)}{digits(energy_uj)} uJ"


def power(power_uw: float, kind: MeterKind | None) -> str:
    """A power in the unit that suits it; `~` where modelled."""
    if abs(power_uw) >= UW_PER_W:
        return f"{mark(kind)}{digits(w_from_uw(power_uw))} W"
    return f"{mark(kind)}{digits(power_uw / UW_PER_MW)} mW"


def pedigree(kind: MeterKind, boundary: Boundary) -> str:
    """Kind and boundary of a figure, once where they are the same word."""
    return kind if kind == boundary else f"{kind}, {boundary}"


def mark(kind: MeterKind | None) -> str:
    """What stands before a figure that nothing measured."""
    return "~" if kind == "modelled" else ""


def with_uncertainty(value: float, u_ratio: float | None) -> str:
    """A value with two digits of its uncertainty, as `200.0 ±4.0`."""
    spread = abs(value) * (u_ratio or 0.0)
    if not spread:
        return digits(value)
    places = _decimals(spread)
    return f"{value:,.{places}f} ±{spread:,.{places}f}"


def digits(value: float) -> str:
    """A value with three digits that count, without an exponent."""
    if value == 0:
        return "0"
    places = 2 - math.floor(math.log10(abs(value)))
    return f"{round(value, places):,.{max(places, 0)}f}"


def percent(ratio: float) -> str:
    """A ratio as a percentage with two digits that count."""
    return f"{float(f'{ratio * 100:.2g}'):g} %"


def shorten(text: str, width: int) -> str:
    """A text cut to a width, with a sign that it was."""
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"


def clean(text: str) -> str:
    """A text from a device without what could move a terminal's cursor."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _decimals(spread: float) -> int:
    return max(0, 1 - math.floor(math.log10(spread)))
