"""What the pages show, computed from the store's rows; pure, and silent about no gap.

A figure that is not known has no value but a reason, which the page shows in its place. Figures of
different meters, kinds or boundaries stay in separate cells and are never added.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Literal

from green_edge.telemetry.store import DeviceRow, EventRow, Figure, Point
from green_edge_wire import units
from green_edge_wire.device import MeterInfo, SlotInfo

LIVE_SPAN_MS = 60_000
TRACE_SPAN_MS = 300_000
# Steps far shorter than a reporting window, so that a step holds one window and tells its moment.
TRACE_STEP_MS = 100
# Times the usual distance of two windows from which on one between them is missing.
_MISSING_WINDOWS = 1.6


@dataclass(frozen=True, slots=True)
class Reading:
    """A figure, or the reason for there being none; exactly one of both is set."""

    value: float | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class EnergyCell:
    """Power and energy of one inference as one meter tells them.

    Attributes:
        u_ratio: expanded uncertainty (k=2), relative; absent while no energy came in.
        power_uw: mean of the newest window.
        gross_uj: energy an inference over the live span, idle included.
        net_uj: the same above idle.
        flags: of the readings behind the figure.
    """

    meter: str
    boundary: str
    kind: str
    power_uw: Reading
    gross_uj: Reading
    net_uj: Reading
    u_ratio: float | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Card:
    """One device as it is now.

    Attributes:
        since_unix_ms: when it started, or went off line; absent while unknown.
        model: of the slot that is active; empty when there is none.
        update: state of the newest update, such as `active` or `refused`; empty when unknown.
        reason: why the update is in that state.
        p50_us: latency quantiles over the live span.
        rate_hz: inferences a second over the live span.
        energy: one cell a meter; empty when `no_energy` says why.
    """

    device_id: str
    site: str
    online: bool
    board: str
    model: str
    model_version: int
    update: str
    reason: str
    p50_us: Reading
    p95_us: Reading
    p99_us: Reading
    rate_hz: Reading
    errors: Reading
    energy: tuple[EnergyCell, ...] = ()
    no_energy: str | None = None
    since_unix_ms: int | None = None
    last_seen_unix_ms: int = 0
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PowerSum:
    """Power of all devices on line whose meters are alike; unlike ones are never added."""

    boundary: str
    kind: str
    power_uw: float
    devices: int


@dataclass(frozen=True, slots=True)
class Totals:
    """The fleet in a line."""

    devices: int
    online: int
    problems: int
    rate_hz: Reading
    power: tuple[PowerSum, ...] = ()


@dataclass(frozen=True, slots=True)
class Trace:
    """The small curve of a row: power of one meter, oldest first; both tuples run in parallel.

    Attributes:
        after_ms: moments, from `start_unix_ms`.
        power_mw: whole milliwatts, which is finer than a pixel.
    """

    start_unix_ms: int
    after_ms: tuple[int, ...]
    power_mw: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FleetRow:
    """A row of the fleet page; `trace` is absent while no power is known."""

    card: Card
    trace: Trace | None = None


@dataclass(frozen=True, slots=True)
class FleetHead:
    """A frame of the fleet page without its rows, which the feed appends as `rows`.

    Attributes:
        extent: whether the rows are all, or those that changed since the frame before.
        gone: ids of the devices that are no longer there.
    """

    at_unix_ms: int
    period_ms: int
    extent: Literal["whole", "delta"]
    totals: Totals
    gone: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeviceFrame:
    """The page of one device, without its curves."""

    at_unix_ms: int
    period_ms: int
    card: Card
    runtime: str
    agent_version: str
    desired_sha256: str
    reported_sha256: str
    slots: tuple[SlotInfo, ...] = ()
    meters: tuple[MeterInfo, ...] = ()
    groups: tuple[str, ...] = ()
    events: tuple[EventRow, ...] = ()


@dataclass(frozen=True, slots=True)
class HistoryFrame:
    """Curves of one device over a range; steps without a window have no point."""

    device_id: str
    since_unix_ms: int
    until_unix_ms: int
    step_ms: float
    points: tuple[Point, ...] = ()


@dataclass(frozen=True, slots=True)
class Recent:
    """What a device sent lately.

    Attributes:
        figures: over the live span.
        points: over the trace span, oldest first, one a reporting window.
    """

    figures: tuple[Figure, ...] = ()
    points: tuple[Point, ...] = ()


def card_of(row: DeviceRow, recent: Recent, now_unix_ms: int) -> Card:
    """Card of one device; `now_unix_ms` on the host's clock."""
    active = next((slot for slot in row.slots if slot.state == "active"), None)
    figures = _of_artifact(recent.figures, row.reported_sha256)
    why = _silence(row, figures, now_unix_ms)
    first = figures[0] if figures else None
    live = [p for p in recent.points if p.t_unix_ms > now_unix_ms - LIVE_SPAN_MS]
    cells = _energy(figures, live) if why is None else ()
    return Card(
        device_id=row.device_id,
        site=row.site,
        online=row.online,
        board=row.board,
        model=active.model if active else "",
        model_version=active.model_version if active else 0,
        update=row.state or "",
        reason=row.reason,
        p50_us=_latency(first.p50_us if first else None, why),
        p95_us=_latency(first.p95_us if first else None, why),
        p99_us=_latency(first.p99_us if first else None, why),
        rate_hz=rate(live) if why is None else Reading(why=why),
        errors=Reading(sum(_once(figures))) if why is None else Reading(why=why),
        energy=cells,
        no_energy=None if cells else (why or no_energy(row.meters)),
        since_unix_ms=row.since_unix_ms,
        last_seen_unix_ms=row.last_seen_unix_ms,
        problems=row.problems,
    )


def rate(points: Sequence[Point]) -> Reading:
    """Inferences a second over the windows that arrived.

    A window spans the time since the one before it. Where that is much longer than usual, windows
    are missing and what was done in them is not known, so they count on neither side.
    """
    pairs = list(pairwise(points))
    if not pairs:
        return Reading(why="two windows of telemetry are needed for a rate")
    spans_ms = [after.t_unix_ms - before.t_unix_ms for before, after in pairs]
    longest_ms = _MISSING_WINDOWS * median(spans_ms)
    whole = [
        (span_ms, after.inferences)
        for span_ms, (_, after) in zip(spans_ms, pairs, strict=True)
        if span_ms <= longest_ms
    ]
    return Reading(sum(n for _, n in whole) * units.MS_PER_S / sum(span_ms for span_ms, _ in whole))


def no_energy(meters: Sequence[MeterInfo]) -> str:
    """Why a device that sends telemetry tells no energy."""
    if not meters:
        return "the device has not told of any meter"
    if all(meter.refusal for meter in meters):
        refusals = "; ".join(f"{meter.name}: {meter.refusal}" for meter in meters)
        return f"no meter is in use ({refusals})"
    return "the meter gave no valid reading in the last minute"


def totals_of(cards: Iterable[Card]) -> Totals:
    """Sum the cards up; a rate only where at least one device has one."""
    cards = tuple(cards)
    online = [card for card in cards if card.online]
    rates = [card.rate_hz.value for card in online if card.rate_hz.value is not None]
    power: dict[tuple[str, str], list[float]] = {}
    for card in online:
        for cell in card.energy:
            if cell.power_uw.value is not None:
                power.setdefault((cell.boundary, cell.kind), []).append(cell.power_uw.value)
    return Totals(
        devices=len(cards),
        online=len(online),
        problems=sum(bool(card.problems) for card in cards),
        rate_hz=Reading(sum(rates)) if rates else Reading(why="no device on line tells a rate"),
        power=tuple(
            PowerSum(boundary, kind, sum(values), len(values))
            for (boundary, kind), values in sorted(power.items())
        ),
    )


def trace_of(points: Sequence[Point]) -> Trace | None:
    """Power of the newest point's meter; None when there is no power."""
    told = [(p.t_unix_ms, p.power_uw, p.meter) for p in points if p.power_uw is not None]
    if not told:
        return None
    meter = told[-1][2]
    mine = [(t, round(power_uw / units.UW_PER_MW)) for t, power_uw, m in told if m == meter]
    start = mine[0][0]
    return Trace(start, tuple(t - start for t, _ in mine), tuple(mw for _, mw in mine))


def _of_artifact(figures: Sequence[Figure], active_sha256: str) -> Sequence[Figure]:
    """Figures of one artefact: the active one, else the last one told."""
    if not figures:
        return ()
    shas = [figure.artifact_sha256 for figure in figures]
    wanted = active_sha256 if active_sha256 in shas else shas[-1]
    return [figure for figure in figures if figure.artifact_sha256 == wanted]


def _silence(row: DeviceRow, figures: Sequence[Figure], now: int) -> str | None:
    """Why a device has no live figure at all; None when it has."""
    if not row.online:
        return "the device is off line"
    if figures:
        return None
    if now - row.last_seen_unix_ms > LIVE_SPAN_MS:
        return "no telemetry in the last minute"
    return (
        "something arrived in the last minute, but no window that ended in it: "
        "the device has just started, or its clock is wrong"
    )


def _latency(value_us: float | None, why: str | None) -> Reading:
    if why is not None:
        return Reading(why=why)
    if value_us is None:
        return Reading(why="no inference in the last minute")
    return Reading(value_us)


def _once(figures: Sequence[Figure]) -> Iterable[int]:
    """Errors of each model once: rows of unlike meters tell the same inferences again."""
    return {(f.model, f.model_version, f.artifact_sha256): f.errors for f in figures}.values()


def _energy(figures: Sequence[Figure], live: Sequence[Point]) -> tuple[EnergyCell, ...]:
    return tuple(
        EnergyCell(
            meter=figure.meter,
            boundary=figure.boundary or "unknown",
            kind=figure.kind or "unknown",
            power_uw=_newest_power(figure.meter, live),
            gross_uj=_told(figure.energy_uj_per_inference, "no inference in a valid window"),
            net_uj=_told(figure.net_uj_per_inference, "the power without inference is not known"),
            u_ratio=figure.u_ratio,
            flags=figure.flags,
        )
        for figure in figures
        if figure.meter is not None
    )


def _told(value: float | None, why: str) -> Reading:
    return Reading(why=why) if value is None else Reading(value)


def _newest_power(meter: str | None, live: Sequence[Point]) -> Reading:
    told = [p.power_uw for p in live if p.meter == meter and p.power_uw is not None]
    return Reading(told[-1]) if told else Reading(why="no valid power in the last minute")
