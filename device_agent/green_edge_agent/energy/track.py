"""The last minutes of a meter's readings as energy over time, ready to be asked for any window."""

from bisect import bisect_right

from green_edge_agent.energy.integrate import (
    Segment,
    WindowEnergy,
    end_of,
    measure,
    segments_between,
)
from green_edge_agent.meters.contract import Reading

# Dropping old segments one by one from the front of a list would cost more than keeping some.
_TRIM_EVERY = 256


class Track:
    """Readings of one meter, oldest first, bounded in time. Not thread-safe.

    Windows may overlap, repeat, and be asked in any order as long as they lie in the bound.
    """

    def __init__(self, *, keep_ns: int) -> None:
        """Make an empty track.

        Args:
            keep_ns: how far back windows may reach.
        """
        self._keep_ns = keep_ns
        self._segments: list[Segment] = []
        self._ends_ns: list[int] = []
        # Area of all segments before each one, from the first reading on.
        self._areas_before: list[int] = []
        self._area = 0
        self._last: Reading | None = None

    @property
    def last_ns(self) -> int | None:
        """Moment up to which readings tell; None before the first."""
        return None if self._last is None else end_of(self._last)

    def add(self, reading: Reading) -> None:
        """Take the next reading; one that is not later than the last is ignored."""
        if self._last is not None and end_of(reading) <= end_of(self._last):
            return
        for segment in segments_between(self._last, reading):
            self._segments.append(segment)
            self._ends_ns.append(segment.end_ns)
            self._areas_before.append(self._area)
            self._area += segment.area
        self._last = reading
        if len(self._segments) % _TRIM_EVERY == 0:
            self._trim()

    def window(self, start_ns: int, end_ns: int, *, period_ns: int) -> WindowEnergy:
        """Energy between two moments; see `integrate.measure`."""
        first = bisect_right(self._ends_ns, start_ns)
        last = first
        while last < len(self._segments) and self._segments[last].start_ns < end_ns:
            last += 1
        area_before = self._areas_before[first] if first < len(self._segments) else self._area
        overlapping = self._segments[first:last]
        return measure(overlapping, area_before, start_ns, end_ns, period_ns=period_ns)

    def _trim(self) -> None:
        if not self._ends_ns:
            return
        old = bisect_right(self._ends_ns, self._ends_ns[-1] - self._keep_ns)
        del self._segments[:old], self._ends_ns[:old], self._areas_before[:old]
