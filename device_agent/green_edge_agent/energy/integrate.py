"""From readings to energy over time: pure rules, exact integers.

Readings become segments that follow each other without holes. In each the energy since its start
is a fixed function of time:

- counter: linear between two reads (energy is exact at the reads, interpolated between them);
- mean: power times time, for the interval of the reading;
- point: the trapezoid rule, power linear between two points;
- a hole between two means: as between two points, and marked as not covered.

Energies are kept in half femtojoules (1 uW x 1 ns / 2), so that nothing is rounded before a figure
leaves: windows that follow each other add up to the window over all of them, to the microjoule.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from green_edge_agent.meters.contract import MAX_U_RATIO, Count, Mean, Point, Reading
from green_edge_wire.telemetry import (
    FLAG_GAP,
    FLAG_NO_READING,
    FLAG_NOT_BRACKETED,
    FLAG_RESET,
)
from green_edge_wire.units import NS_PER_S

# 1 uJ is 10**9 uW x ns; the half makes the trapezoid rule exact.
HALVES_PER_UJ = 2 * NS_PER_S
# A meter that is silent for longer makes a window worthless.
MAX_SILENT_PERIODS = 5
# As does a source of means that left more than one part in so many of the window unmeasured.
_MAX_UNCOVERED_PART = 10


@dataclass(frozen=True, slots=True)
class Segment:
    """Energy over a stretch of time in which one rule holds.

    Attributes:
        start_ns: on the monotonic clock.
        end_ns: after `start_ns`.
        area: energy of the whole segment in half femtojoules.
        bend_uw: power at the end less power at the start, where the rule is the trapezoid.
        covered: the source measured all of the time, rather than its ends.
        power_uw: power of the reading that ends the segment; None for a counter or a hole.
        half_span_ns: to how much the moment of the end is known.
        flags: FLAG_ constants of the readings behind it.
    """

    start_ns: int
    end_ns: int
    area: int
    bend_uw: int = 0
    covered: bool = True
    power_uw: int | None = None
    half_span_ns: int = 0
    flags: tuple[str, ...] = ()

    @property
    def length_ns(self) -> int:
        """Duration."""
        return self.end_ns - self.start_ns

    @property
    def is_hole(self) -> bool:
        """Whether the segment bridges a time between two means in which nothing was measured."""
        return not self.covered and self.power_uw is None

    def area_until(self, at_ns: int) -> int:
        """Energy from the start to a moment within the segment, in half femtojoules."""
        passed_ns = at_ns - self.start_ns
        straight = self.area * passed_ns
        bent = self.bend_uw * passed_ns * (self.end_ns - at_ns)
        return (straight - bent) // self.length_ns


def segments_between(before: Reading | None, after: Reading) -> tuple[Segment, ...]:
    """Segments that a reading adds to those up to the reading before it.

    A reading that does not lie later than the one before adds nothing.
    """
    match before, after:
        case Count(), Count() if after.at_ns > before.at_ns:
            return (_count_segment(before, after),)
        case Point(), Point() if after.at_ns > before.at_ns:
            return (_point_segment(before, after),)
        case Mean() | None, Mean() if after.end_ns > after.start_ns:
            return _mean_segments(before, after)
        case _:
            return ()


def end_of(reading: Reading) -> int:
    """Moment up to which a reading tells, in monotonic nanoseconds."""
    return reading.end_ns if isinstance(reading, Mean) else reading.at_ns


def _count_segment(before: Count, after: Count) -> Segment:
    delta_uj = after.total_uj - before.total_uj
    return Segment(
        before.at_ns,
        after.at_ns,
        area=max(delta_uj, 0) * HALVES_PER_UJ,
        half_span_ns=after.half_span_ns,
        flags=after.flags if delta_uj >= 0 else (*after.flags, FLAG_RESET),
    )


def _point_segment(before: Point, after: Point) -> Segment:
    return Segment(
        before.at_ns,
        after.at_ns,
        area=(before.power_uw + after.power_uw) * (after.at_ns - before.at_ns),
        bend_uw=after.power_uw - before.power_uw,
        covered=False,
        power_uw=after.power_uw,
        half_span_ns=after.half_span_ns,
        flags=(*before.flags, *after.flags),
    )


def _mean_segments(before: Mean | None, after: Mean) -> tuple[Segment, ...]:
    start_ns = after.start_ns if before is None else max(after.start_ns, before.end_ns)
    if after.end_ns <= start_ns:
        return ()
    body = Segment(
        start_ns,
        after.end_ns,
        area=2 * after.power_uw * (after.end_ns - start_ns),
        power_uw=after.power_uw,
        flags=after.flags,
    )
    if before is None or before.end_ns == start_ns:
        return (body,)
    hole = Segment(
        before.end_ns,
        start_ns,
        area=(before.power_uw + after.power_uw) * (start_ns - before.end_ns),
        bend_uw=after.power_uw - before.power_uw,
        covered=False,
    )
    return hole, body


@dataclass(frozen=True, slots=True)
class WindowEnergy:
    """Energy of a window with what its quality rests on.

    Attributes:
        energy_uj: of the part of the window that readings bracket.
        covered_ns: length of that part.
        samples: readings that the figure rests on.
        lost: readings that should have been there.
        sampling_u_ratio: expanded uncertainty (k=2) from power being seen at some moments only.
        timing_u_ratio: the same from the moments of the first and last reading.
        holes_u_ratio: the same from the time between means that nothing measured.
        flags: FLAG_ constants, sorted.
    """

    energy_uj: int
    covered_ns: int
    samples: int
    lost: int
    sampling_u_ratio: float
    timing_u_ratio: float
    holes_u_ratio: float
    flags: tuple[str, ...]


def measure(
    segments: Sequence[Segment], area_before: int, start_ns: int, end_ns: int, *, period_ns: int
) -> WindowEnergy:
    """Energy between two moments.

    Args:
        segments: without holes, oldest first; those that overlap the window, others do no harm.
        area_before: energy before the first segment since some origin, in half femtojoules; the
            same origin for windows that are to add up.
        start_ns: of the window.
        end_ns: of the window.
        period_ns: time between two readings as planned.
    """
    inside = [s for s in segments if s.start_ns < end_ns and s.end_ns > start_ns]
    if not inside:
        return WindowEnergy(0, 0, 0, 0, 0.0, 0.0, 0.0, (FLAG_NO_READING,))
    first_ns = max(start_ns, inside[0].start_ns)
    last_ns = min(end_ns, inside[-1].end_ns)
    from_area = area_before + sum(s.area for s in segments if s.end_ns <= inside[0].start_ns)
    to_area = from_area + sum(s.area for s in inside[:-1]) + inside[-1].area_until(last_ns)
    from_area += inside[0].area_until(first_ns)
    flags = {flag for segment in inside for flag in segment.flags}
    if first_ns > start_ns or last_ns < end_ns:
        flags.add(FLAG_NOT_BRACKETED)
    if any(_silent(s, start_ns, end_ns, MAX_SILENT_PERIODS * period_ns) for s in inside):
        flags.add(FLAG_GAP)
    covered_ns, uncovered_ns = last_ns - first_ns, _uncovered_ns(inside, first_ns, last_ns)
    if uncovered_ns * _MAX_UNCOVERED_PART > covered_ns:
        flags.add(FLAG_GAP)
    return WindowEnergy(
        energy_uj=to_area // HALVES_PER_UJ - from_area // HALVES_PER_UJ,
        covered_ns=covered_ns,
        samples=sum(1 for s in inside if s.covered or s.power_uw is not None),
        lost=_lost_means(uncovered_ns, period_ns) + sum(_lost_points(s, period_ns) for s in inside),
        sampling_u_ratio=_sampling_u_ratio(inside),
        timing_u_ratio=_timing_u_ratio(inside, covered_ns),
        holes_u_ratio=_holes_u_ratio(uncovered_ns, covered_ns),
        flags=tuple(sorted(flags)),
    )


def _silent(segment: Segment, start_ns: int, end_ns: int, limit_ns: int) -> bool:
    """Whether energy in the window rests on too long a silence.

    A segment that its source covered is exact as a whole, so only cutting it does harm.
    """
    if segment.length_ns <= limit_ns:
        return False
    cut = segment.start_ns < start_ns or segment.end_ns > end_ns
    return cut or not segment.covered


def _uncovered_ns(inside: Sequence[Segment], first_ns: int, last_ns: int) -> int:
    """Time between two moments in which a source of means measured nothing."""
    return sum(min(s.end_ns, last_ns) - max(s.start_ns, first_ns) for s in inside if s.is_hole)


def _lost_means(uncovered_ns: int, period_ns: int) -> int:
    """Means that would have fitted into all holes together, at least one where there is a hole.

    Together, because each read that is late by a little leaves a hole much shorter than a period.
    """
    return max(1, round(uncovered_ns / period_ns)) if uncovered_ns else 0


def _lost_points(segment: Segment, period_ns: int) -> int:
    """Points that would have fitted between two.

    They are taken at random moments up to half a period late, which loses nothing.
    """
    if segment.covered or segment.is_hole:
        return 0
    return max(segment.length_ns // period_ns - 1, 0)


def _holes_u_ratio(uncovered_ns: int, covered_ns: int) -> float:
    """What the unmeasured share of the window makes of its uncertainty.

    Assumed: the mean power in the holes is anything from nothing to twice that of the window, all
    alike likely. The energy is then off by at most the share of the holes, a rectangle (JCGM 100,
    4.3.7), whose standard uncertainty is share / sqrt(3); expanded with k=2.
    """
    if covered_ns <= 0:
        return 0.0
    return min(2 * uncovered_ns / covered_ns / math.sqrt(3), MAX_U_RATIO)


def _sampling_u_ratio(inside: Sequence[Segment]) -> float:
    """Twice the standard error of the mean of the points, relative to it.

    It holds because points are taken at random moments: the mean of n of them strays by s/sqrt(n).
    """
    points = [s.power_uw for s in inside if s.power_uw is not None and not s.covered]
    if not points:
        return 0.0
    mean_uw = sum(points) / len(points)
    if len(points) < 2 or mean_uw <= 0:
        return MAX_U_RATIO
    variance = sum((power_uw - mean_uw) ** 2 for power_uw in points) / (len(points) - 1)
    return min(2 * math.sqrt(variance / len(points)) / mean_uw, MAX_U_RATIO)


def _timing_u_ratio(inside: Sequence[Segment], covered_ns: int) -> float:
    """Both edges may be off by half the time of a read, at about the mean power."""
    if covered_ns <= 0:
        return MAX_U_RATIO
    return min((inside[0].half_span_ns + inside[-1].half_span_ns) / covered_ns, MAX_U_RATIO)
