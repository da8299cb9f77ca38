"""What devices do right now: the last minute of each, for a table that is drawn anew."""

from collections.abc import Sequence
from dataclasses import dataclass

from green_edge.telemetry import columns, words
from green_edge.telemetry.store import DeviceRow, Point, Store
from green_edge_wire.device import UpdateState
from green_edge_wire.errors import ConfigError
from green_edge_wire.telemetry import Boundary, MeterKind
from green_edge_wire.units import MS_PER_S, NS_PER_S

SPAN_S = 60
HEADERS = ("device", "seen", "model", "inf./s", "p50/p95 ms", "power", "per inf.", "kind")
ALIGN = "lllrrrrl"


@dataclass(frozen=True, slots=True)
class LiveRow:
    """A device and its last minute.

    Attributes:
        age_s: since anything of it arrived.
        model: name and version of the active model; empty when none is active, absent while the
            device has not told.
        inferences_per_s: over the windows that ended in the last minute; absent without any, as
            are the figures after it.
    """

    device_id: str
    online: bool
    age_s: int
    model: str | None = None
    state: UpdateState | None = None
    inferences_per_s: float | None = None
    p50_us: float | None = None
    p95_us: float | None = None
    power_uw: int | None = None
    energy_uj_per_inference: float | None = None
    meter: str | None = None
    boundary: Boundary | None = None
    kind: MeterKind | None = None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Live:
    """All devices at one moment."""

    at_unix_ms: int
    devices: tuple[LiveRow, ...]


def look(store: Store, now_unix_ms: int, device_id: str | None = None) -> Live:
    """Read the last minute of one device or of all.

    Raises:
        ConfigError: the device has never been heard of.
    """
    known = [row for row in store.devices(now_unix_ms) if device_id in (None, row.device_id)]
    if device_id is not None and not known:
        raise ConfigError(
            f"no device {device_id!r} in the store",
            place="DEVICE",
            hint="'green-edge devices' lists those that have reported",
        )
    return Live(now_unix_ms, tuple(_live(row, store, now_unix_ms) for row in known))


def cells(rows: Sequence[LiveRow]) -> list[tuple[str, ...]]:
    """Cells of the table."""
    return columns.fit(HEADERS, [_cells(row) for row in rows], names=(0, 2))


def _live(row: DeviceRow, store: Store, now_unix_ms: int) -> LiveRow:
    begin_unix_ms = now_unix_ms - SPAN_S * MS_PER_S
    points = store.series(
        row.device_id, since_unix_ms=begin_unix_ms, until_unix_ms=now_unix_ms + 1, points=1
    )
    point = points[0] if points else Point(begin_unix_ms, 0, 0)
    problems = (row.reason, *row.problems) if row.reason else row.problems
    return LiveRow(
        device_id=row.device_id,
        online=row.online,
        age_s=max(0, now_unix_ms - row.last_seen_unix_ms) // MS_PER_S,
        model=_model(row),
        state=row.state,
        inferences_per_s=_rate(point),
        p50_us=point.p50_us,
        p95_us=point.p95_us,
        power_uw=point.power_uw,
        energy_uj_per_inference=point.energy_uj_per_inference,
        meter=point.meter,
        boundary=point.boundary,
        kind=point.kind,
        problems=problems,
    )


def _model(row: DeviceRow) -> str | None:
    if not row.slots:
        return None
    active = next((slot for slot in row.slots if slot.state == "active"), None)
    return f"{active.model} {active.model_version}" if active else ""


def _rate(point: Point) -> float | None:
    return point.inferences * NS_PER_S / point.window_ns if point.window_ns else None


def _cells(row: LiveRow) -> tuple[str, ...]:
    rate, power_uw, per_uj = row.inferences_per_s, row.power_uw, row.energy_uj_per_inference
    latency = f"{words.milliseconds(row.p50_us)}/{words.milliseconds(row.p95_us)}"
    return (
        row.device_id,
        "online" if row.online else f"{_age(row.age_s)} ago",
        words.NOTHING if row.model is None else words.clean(row.model) or words.NO_MODEL,
        words.NOTHING if rate is None else words.digits(rate),
        words.NOTHING if row.p50_us is None else latency,
        words.NOTHING if power_uw is None else words.power(power_uw, row.kind),
        words.NOTHING if per_uj is None else words.energy(per_uj, row.kind),
        row.kind or words.NOTHING,
    )


def _age(age_s: int) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if age_s >= size:
            return f"{age_s // size} {unit}"
    return f"{age_s} s"
