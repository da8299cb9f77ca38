"""The watermark against a model that looks at every number one by one."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from green_edge.telemetry.watermark import Gap, advance, gaps_between, without

seqs = st.sets(st.integers(1, 30))


@given(seqs, st.integers(1, 30))
def test_the_watermark_is_the_last_number_with_none_missing_at_or_below_it(
    present: set[int], first_kept_seq: int
) -> None:
    reached = 0
    while reached + 1 in present or reached + 1 < first_kept_seq:
        reached += 1
    above = sorted(seq for seq in present if seq >= first_kept_seq)
    assert advance(0, first_kept_seq, above) == reached


@given(seqs, st.integers(1, 30), st.integers(1, 30))
def test_the_watermark_never_goes_back_and_arrives_in_two_steps_as_in_one(
    present: set[int], earlier: int, later: int
) -> None:
    earlier, later = sorted((earlier, later))
    first = advance(0, earlier, sorted(seq for seq in present if seq >= earlier))
    floor = max(first, later - 1)
    second = advance(first, later, sorted(seq for seq in present if seq > floor))
    assert second >= first
    assert second == advance(0, later, sorted(seq for seq in present if seq >= later))


@given(seqs, st.integers(1, 30), st.integers(0, 30))
def test_gaps_and_present_numbers_make_up_the_range(present: set[int], low: int, high: int) -> None:
    inside = sorted(seq for seq in present if low <= seq <= high)
    gaps = gaps_between(low, high, inside)
    missing = {seq for gap in gaps for seq in range(gap.first_seq, gap.last_seq + 1)}
    assert missing == set(range(low, high + 1)) - set(inside)
    assert sum(gap.length for gap in gaps) == len(missing)
    assert all(a.last_seq + 1 < b.first_seq for a, b in itertools.pairwise(gaps))


@given(st.integers(1, 9), st.integers(0, 9), st.data())
def test_a_gap_without_one_of_its_numbers_is_the_rest(
    first: int, length: int, data: st.DataObject
) -> None:
    gap = Gap(first, first + length)
    seq = data.draw(st.integers(gap.first_seq, gap.last_seq))
    left = {n for part in without(gap, seq) for n in range(part.first_seq, part.last_seq + 1)}
    assert left == set(range(gap.first_seq, gap.last_seq + 1)) - {seq}
