"""Latency as a histogram whose buckets merge, because percentiles of percentiles mean nothing.

Buckets are log-linear over integer nanoseconds: 32 linear steps in every power of two. A bucket is
at most 1/32 of its value wide, so a quantile read at its middle is within 1.6 % of the true one.
The layout is fixed, hence two histograms from anywhere add bucket by bucket.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from green_edge_wire.errors import DecodeError

_STEP_BITS = 5
_STEPS = 1 << _STEP_BITS
# 2**42 ns is 73 minutes: nothing slower is an inference.
MAX_NS = (1 << 42) - 1
_MAX_INDEX = ((42 - _STEP_BITS) << _STEP_BITS) + _STEPS - 1


def bucket_of(duration_ns: int) -> int:
    """Index of the bucket that holds a duration; values are clamped to 0..MAX_NS."""
    value = min(max(duration_ns, 0), MAX_NS)
    if value < _STEPS:
        return value
    shift = value.bit_length() - 1 - _STEP_BITS
    return (shift << _STEP_BITS) + (value >> shift)


def bucket_edges_ns(index: int) -> tuple[int, int]:
    """Lower (inclusive) and upper (exclusive) edge of a bucket in nanoseconds."""
    if index < _STEPS:
        return index, index + 1
    shift = (index >> _STEP_BITS) - 1
    step = (index & (_STEPS - 1)) + _STEPS
    return step << shift, (step + 1) << shift


@dataclass(frozen=True, slots=True)
class LatencyHistogram:
    """Durations of inferences, counted by bucket. `buckets` and `counts` run in parallel.

    Attributes:
        count: number of durations.
        sum_ns: their exact sum.
        min_ns: the shortest, 0 when empty.
        max_ns: the longest, 0 when empty.
        buckets: indices of the buckets that are not empty, ascending.
        counts: how many durations each of them holds, each positive.
    """

    count: int = 0
    sum_ns: int = 0
    min_ns: int = 0
    max_ns: int = 0
    buckets: tuple[int, ...] = ()
    counts: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a histogram whose parts contradict each other."""
        ascending = all(
            low < high for low, high in zip(self.buckets, self.buckets[1:], strict=False)
        )
        in_range = all(0 <= index <= _MAX_INDEX for index in self.buckets)
        if len(self.buckets) != len(self.counts) or not ascending or not in_range:
            raise DecodeError("latency histogram: buckets are not ascending indices with counts")
        if any(n <= 0 for n in self.counts) or sum(self.counts) != self.count:
            raise DecodeError("latency histogram: counts do not add up to count")
        if not self._bounds_agree():
            raise DecodeError("latency histogram: sum, min and max contradict the buckets")

    def _bounds_agree(self) -> bool:
        if not self.count:
            return self.sum_ns == self.min_ns == self.max_ns == 0
        ends = bucket_of(self.min_ns), bucket_of(self.max_ns)
        within = self.count * self.min_ns <= self.sum_ns <= self.count * self.max_ns
        in_range = self.min_ns >= 0 and self.max_ns <= MAX_NS
        return within and in_range and ends == (self.buckets[0], self.buckets[-1])

    @classmethod
    def of(cls, durations_ns: Iterable[int]) -> "LatencyHistogram":
        """Build the histogram of some durations in nanoseconds."""
        builder = LatencyBuilder()
        for duration_ns in durations_ns:
            builder.add(duration_ns)
        return builder.histogram()

    def merge(self, other: "LatencyHistogram") -> "LatencyHistogram":
        """Histogram of the durations of both; exact, commutative and associative."""
        builder = LatencyBuilder()
        builder.add_histogram(self)
        builder.add_histogram(other)
        return builder.histogram()

    def quantile_ns(self, share: float) -> float | None:
        """Nearest-rank quantile, read at the middle of its bucket; None when empty.

        Args:
            share: 0..1, such as 0.95 for p95.
        """
        if not self.count:
            return None
        rank = max(1, -(-share * self.count // 1))
        seen = 0
        for index, n in zip(self.buckets, self.counts, strict=True):
            seen += n
            if seen >= rank:
                low, high = bucket_edges_ns(index)
                middle = (low + high - 1) / 2
                return min(max(middle, self.min_ns), self.max_ns)
        return float(self.max_ns)

    def mean_ns(self) -> float | None:
        """Exact mean; None when empty."""
        return self.sum_ns / self.count if self.count else None


class LatencyBuilder:
    """Collects durations and whole histograms into a histogram; not thread-safe."""

    def __init__(self) -> None:
        self._tally: dict[int, int] = {}
        self._sum_ns = 0
        self._min_ns = MAX_NS
        self._max_ns = 0

    def add(self, duration_ns: int) -> None:
        """Count one duration in nanoseconds; negative ones count as 0."""
        value = min(max(duration_ns, 0), MAX_NS)
        self.add_counts(((bucket_of(value), 1),), sum_ns=value, min_ns=value, max_ns=value)

    def add_histogram(self, histogram: LatencyHistogram) -> None:
        """Count all durations of a histogram."""
        self.add_counts(
            zip(histogram.buckets, histogram.counts, strict=True),
            sum_ns=histogram.sum_ns,
            min_ns=histogram.min_ns,
            max_ns=histogram.max_ns,
        )

    def add_counts(
        self, pairs: Iterable[tuple[int, int]], *, sum_ns: int, min_ns: int, max_ns: int
    ) -> None:
        """Add a histogram: its (bucket, count) pairs, sum and extremes; an empty one adds nothing.

        Loose parts rather than a record, because a store hands over very many of them.
        """
        tally, empty = self._tally, True
        for bucket, n in pairs:
            tally[bucket] = tally.get(bucket, 0) + n
            empty = False
        if empty:
            return
        self._sum_ns += sum_ns
        self._min_ns = min(self._min_ns, min_ns)
        self._max_ns = max(self._max_ns, max_ns)

    def histogram(self) -> LatencyHistogram:
        """Freeze what was collected so far."""
        if not self._tally:
            return LatencyHistogram()
        indices = sorted(self._tally)
        counts = tuple(self._tally[index] for index in indices)
        return LatencyHistogram(
            count=sum(counts),
            sum_ns=self._sum_ns,
            min_ns=self._min_ns,
            max_ns=self._max_ns,
            buckets=tuple(indices),
            counts=counts,
        )
