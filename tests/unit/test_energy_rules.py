"""Worked numbers of the integration rules and of what makes a window worthless."""

import pytest

from green_edge_agent.energy.track import Track
from green_edge_agent.meters.contract import MAX_U_RATIO, Count, ErrorBudget, Mean, Point, Reading
from green_edge_wire.units import NS_PER_S

S = NS_PER_S


def _window(readings: list[Reading], start_s: float, end_s: float, period_ns: int = S):  # type: ignore[no-untyped-def]  # noqa: ANN202
    track = Track(keep_ns=3_600 * S)
    for reading in readings:
        track.add(reading)
    return track.window(round(start_s * S), round(end_s * S), period_ns=period_ns)


def test_a_counter_is_interpolated_between_the_reads_around_an_edge() -> None:
    counts: list[Reading] = [Count(0, 0, 0), Count(2 * S, 0, 6_000_000), Count(4 * S, 0, 8_000_000)]
    # 3 W for the second half of the first two seconds, 1 W for the first half of the next two.
    assert _window(counts, 1, 3).energy_uj == 4_000_000


def test_means_count_by_their_overlap_with_the_window() -> None:
    means: list[Reading] = [Mean(0, 2 * S, 3_000_000), Mean(2 * S, 4 * S, 1_000_000)]
    assert _window(means, 1, 3).energy_uj == 4_000_000
    assert _window(means, 0.5, 1.5).energy_uj == 3_000_000


def test_points_follow_the_trapezoid_rule_with_interpolated_edges() -> None:
    points: list[Reading] = [Point(0, 0, 0), Point(2 * S, 0, 4_000_000), Point(4 * S, 0, 4_000_000)]
    # Power rises 2 W a second to 4 W: from 1 s to 2 s 3 J, from 2 s to 3 s 4 J.
    assert _window(points, 1, 3).energy_uj == 7_000_000
    assert _window(points, 0, 1).energy_uj == 1_000_000


def test_a_short_hole_between_means_is_bridged_and_counted_as_lost() -> None:
    means: list[Reading] = [Mean(0, 10 * S, 2_000_000), Mean(12 * S, 22 * S, 4_000_000)]
    window = _window(means, 0, 22)
    assert window.energy_uj == 66_000_000
    assert (window.samples, window.lost, window.flags) == (2, 2, ())


def test_holes_shorter_than_a_period_are_counted_and_make_the_window_less_sure() -> None:
    # Each mean of a second begins a tenth of a second late: 9 holes in 10.9 s.
    late: list[Reading] = [
        Mean(i * S + S // 10 * i, (i + 1) * S + S // 10 * i, 5) for i in range(10)
    ]
    window = _window(late, 0, 10.9)
    assert (window.lost, window.flags) == (1, ())
    assert window.holes_u_ratio == pytest.approx(2 * 0.9 / 10.9 / 3**0.5)
    # Within one mean there is no hole.
    assert _window(late, 0, 1).holes_u_ratio == 0.0


def test_means_that_leave_more_than_a_tenth_of_a_window_out_make_it_a_gap() -> None:
    means: list[Reading] = [Mean(0, 9 * S, 1_000_000), Mean(10 * S, 11 * S, 1_000_000)]
    # No silence of five periods of two seconds anywhere.
    assert _window(means, 0, 10, 2 * S).flags == ()
    assert _window(means, 0.5, 10, 2 * S).flags == ("gap",)
    assert _window(means, 0, 9, 2 * S).flags == ()


def test_more_than_five_silent_periods_make_a_window_of_means_or_points_a_gap() -> None:
    means: list[Reading] = [Mean(0, S, 1_000_000), Mean(7 * S, 8 * S, 1_000_000)]
    assert _window(means, 0, 8).flags == ("gap",)
    points: list[Reading] = [Point(0, 0, 1_000_000), Point(6 * S, 0, 1_000_000)]
    window = _window(points, 0, 6)
    assert (window.flags, window.lost) == (("gap",), 5)
    assert _window([Point(0, 0, 1), Point(5 * S, 0, 1)], 0, 5).flags == ()


def test_a_counter_survives_silence_unless_a_window_cuts_it() -> None:
    counts: list[Reading] = [
        Count(0, 0, 0),
        Count(S, 0, 5),
        Count(9 * S, 0, 50),
        Count(10 * S, 0, 55),
    ]
    assert _window(counts, 0, 10).flags == ()
    assert _window(counts, 0, 5).flags == ("gap",)


def test_a_window_that_readings_do_not_bracket_says_so() -> None:
    means: list[Reading] = [Mean(S, 2 * S, 1_000_000)]
    window = _window(means, 0, 2)
    assert (window.energy_uj, window.flags) == (1_000_000, ("not-bracketed",))
    assert _window(means, 1, 3).flags == ("not-bracketed",)
    assert _window(means, 5, 6).flags == ("no-reading",)
    assert _window([], 0, 1).flags == ("no-reading",)


def test_flags_of_readings_reach_only_the_windows_that_rest_on_them() -> None:
    counts: list[Reading] = [Count(0, 0, 0), Count(S, 0, 5, ("stale",)), Count(2 * S, 0, 9)]
    assert _window(counts, 0, 1).flags == ("stale",)
    assert _window(counts, 1, 2).flags == ()
    points: list[Reading] = [Point(0, 0, 1, ("saturated",)), Point(S, 0, 1), Point(2 * S, 0, 1)]
    assert _window(points, 0, 1).flags == ("saturated",)
    assert _window(points, 1, 2).flags == ()


def test_a_counter_that_breaks_its_promise_costs_nothing_and_is_flagged() -> None:
    window = _window([Count(0, 0, 50), Count(S, 0, 20)], 0, 1)
    assert (window.energy_uj, window.flags) == (0, ("reset",))


def test_a_reading_that_is_not_later_than_the_last_is_ignored() -> None:
    points: list[Reading] = [Point(0, 0, 2), Point(S, 0, 2_000_000), Point(S, 0, 9_000_000)]
    assert _window(points, 0, 1).samples == 1
    overlapping: list[Reading] = [Mean(0, 2 * S, 1_000_000), Mean(S, 3 * S, 4_000_000)]
    assert _window(overlapping, 0, 3).energy_uj == 6_000_000


def test_points_that_differ_carry_a_sampling_uncertainty() -> None:
    steady: list[Reading] = [Point(i * S, 0, 3_000_000) for i in range(10)]
    assert _window(steady, 0, 9).sampling_u_ratio == 0.0
    wild: list[Reading] = [Point(i * S, 0, 1_000_000 + 4_000_000 * (i % 2)) for i in range(11)]
    # s = 2.108 W over 10 points around a mean of 3 W: 2 s / sqrt(10) / 3 W.
    assert _window(wild, 0, 10).sampling_u_ratio == pytest.approx(0.444, abs=0.001)
    assert _window(wild[:2], 0, 1).sampling_u_ratio == MAX_U_RATIO


def test_slow_reads_make_the_edges_unsure() -> None:
    counts: list[Reading] = [Count(0, 50_000_000, 0), Count(S, 50_000_000, 10)]
    # 50 ms at either edge: the segment's own end stands for both.
    assert _window(counts, 0, 1).timing_u_ratio == pytest.approx(0.1)


def test_an_error_budget_grows_towards_low_power() -> None:
    budget = ErrorBudget(gain_ratio=0.003, offset_uw=4_000)
    assert budget.ratio_at(1_000_000) == pytest.approx(0.005)
    assert budget.ratio_at(1_000_000_000) == pytest.approx(0.003, abs=1e-5)
    assert budget.ratio_at(0) == MAX_U_RATIO
    assert ErrorBudget(0.3).ratio_at(0) == 0.3


def test_old_segments_are_dropped_but_recent_windows_stay_exact() -> None:
    track = Track(keep_ns=10 * S)
    for i in range(1_000):
        track.add(Mean(i * S, (i + 1) * S, 1_000_000))
    assert len(track._segments) < 300
    assert track.window(995 * S, 1_000 * S, period_ns=S).energy_uj == 5_000_000
    assert track.window(0, S, period_ns=S).flags == ("no-reading",)
