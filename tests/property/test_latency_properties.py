import math

from hypothesis import example, given
from hypothesis import strategies as st

from green_edge_wire.latency import MAX_NS, LatencyHistogram, bucket_edges_ns, bucket_of

durations = st.one_of(st.integers(0, MAX_NS), st.integers(0, 100), st.integers(10**5, 10**8))
lists = st.lists(durations, max_size=60)


@given(durations)
@example(31)
@example(32)
@example(63)
@example(64)
@example(MAX_NS)
def test_a_duration_lies_within_the_edges_of_its_bucket(duration_ns: int) -> None:
    low, high = bucket_edges_ns(bucket_of(duration_ns))
    assert low <= duration_ns < high


@given(st.integers(0, bucket_of(MAX_NS)))
def test_buckets_tile_the_range_without_gap_or_overlap(index: int) -> None:
    low, high = bucket_edges_ns(index)
    assert bucket_of(low) == bucket_of(high - 1) == index
    assert index == bucket_of(MAX_NS) or bucket_of(high) == index + 1
    assert high - low <= max(1, low / 32)


@given(lists, lists)
def test_merging_equals_counting_everything_in_one_go(a: list[int], b: list[int]) -> None:
    merged = LatencyHistogram.of(a).merge(LatencyHistogram.of(b))
    assert merged == LatencyHistogram.of(a + b)


@given(lists, lists, lists)
def test_merging_is_commutative_and_associative(a: list[int], b: list[int], c: list[int]) -> None:
    x, y, z = LatencyHistogram.of(a), LatencyHistogram.of(b), LatencyHistogram.of(c)
    assert x.merge(y) == y.merge(x)
    assert x.merge(y).merge(z) == x.merge(y.merge(z))
    assert x.merge(LatencyHistogram()) == x


@given(st.lists(durations, min_size=1, max_size=60), st.floats(0, 1))
@example([33, 66, 100], 0.5)
def test_a_quantile_is_within_1_6_percent_of_the_exact_one(values: list[int], share: float) -> None:
    got = LatencyHistogram.of(values).quantile_ns(share)
    exact = sorted(values)[max(1, math.ceil(share * len(values))) - 1]
    assert got is not None
    assert abs(got - exact) <= 0.016 * exact


@given(st.lists(durations, min_size=1, max_size=60), st.floats(0, 1), st.floats(0, 1))
def test_quantiles_grow_with_their_share(values: list[int], a: float, b: float) -> None:
    histogram = LatencyHistogram.of(values)
    low, high = histogram.quantile_ns(min(a, b)), histogram.quantile_ns(max(a, b))
    assert low is not None
    assert high is not None
    assert low <= high


@given(st.lists(durations, min_size=1, max_size=60))
def test_count_sum_and_extremes_are_exact(values: list[int]) -> None:
    histogram = LatencyHistogram.of(values)
    assert histogram.count == len(values)
    assert (histogram.sum_ns, histogram.min_ns, histogram.max_ns) == (
        sum(values),
        min(values),
        max(values),
    )
    assert histogram.mean_ns() == sum(values) / len(values)
