"""What each device sent lately, read from the store without reading anything twice in vain.

The curve of a device grows at its end when something of it arrived, and is read whole once a
minute, because a spool replays late windows into the past.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from green_edge.dashboard.frames import LIVE_SPAN_MS, TRACE_SPAN_MS, TRACE_STEP_MS, Recent
from green_edge.telemetry.store import DeviceRow, Figure, Point, Store

_WHOLE_AGAIN_MS = 60_000
# Windows that arrive this late still find their place in the curve before it is read whole.
_OVERLAP_MS = 20_000


@dataclass(frozen=True, slots=True)
class _Curve:
    """Points of a device as of its newest sign of life.

    Attributes:
        whole_unix_ms: when they were last read from the begin of the span.
    """

    last_seen_unix_ms: int
    read_unix_ms: int
    whole_unix_ms: int
    points: tuple[Point, ...]


class RecentReader:
    """Remembers what was read of each device; not thread-safe."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._curves: dict[str, _Curve] = {}

    def read(self, devices: Iterable[DeviceRow], now_unix_ms: int) -> dict[str, Recent]:
        """Recent figures and points of each device, by id."""
        figures: dict[str, list[Figure]] = {}
        for figure in self._store.figures(since_unix_ms=now_unix_ms - LIVE_SPAN_MS):
            figures.setdefault(figure.device_id, []).append(figure)
        self._curves = {d.device_id: self._curve(d, now_unix_ms) for d in devices}
        return {
            key: Recent(tuple(figures.get(key, ())), curve.points)
            for key, curve in self._curves.items()
        }

    def _curve(self, device: DeviceRow, now: int) -> _Curve:
        known = self._curves.get(device.device_id)
        # A clock that was set back makes an age negative, and everything is read again.
        if known is None or not 0 <= now - known.whole_unix_ms < _WHOLE_AGAIN_MS:
            points = self._points(device.device_id, now - TRACE_SPAN_MS, now)
            return _Curve(device.last_seen_unix_ms, now, now, points)
        if known.last_seen_unix_ms == device.last_seen_unix_ms:
            return known
        cut = _aligned(known.read_unix_ms - _OVERLAP_MS)
        kept = (p for p in known.points if now - TRACE_SPAN_MS <= p.t_unix_ms < cut)
        points = (*kept, *self._points(device.device_id, cut, now))
        return _Curve(device.last_seen_unix_ms, now, known.whole_unix_ms, points)

    def _points(self, device_id: str, since: int, until: int) -> tuple[Point, ...]:
        """Points on a grid that does not move with time, so that two reads agree on moments."""
        since = _aligned(since)
        steps = (until - since) // TRACE_STEP_MS + 1
        return self._store.series(
            device_id,
            since_unix_ms=since,
            until_unix_ms=since + steps * TRACE_STEP_MS,
            points=steps,
        )


def _aligned(unix_ms: int) -> int:
    return unix_ms - unix_ms % TRACE_STEP_MS
