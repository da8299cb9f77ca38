"""Invariants of integration: windows add up, order of asking does not matter, truth is met."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from green_edge_agent.energy.recorder import EnergyRecorder
from green_edge_agent.energy.track import Track
from green_edge_agent.meters.contract import Count, Mean, Point, Reading
from green_edge_wire.telemetry import MeterKind
from green_edge_wire.units import NS_PER_MS, NS_PER_S, s_from_ns
from support.clock import ManualClock
from support.waveform import Bursts, WaveMeter, advancing_wait

_PERIOD_NS = NS_PER_S


@st.composite
def _readings(
    draw: st.DrawFn, kinds: tuple[str, ...] = ("counter", "mean", "point")
) -> list[Reading]:
    kind = draw(st.sampled_from(kinds))
    steps = draw(
        st.lists(
            st.tuples(st.integers(1, 3 * NS_PER_S), st.integers(0, 20_000_000)),
            min_size=2,
            max_size=20,
        )
    )
    at_ns = draw(st.integers(0, 10**15))
    total_uj = draw(st.integers(0, 10**12))
    readings: list[Reading] = []
    for gap_ns, power_uw in steps:
        start_ns, at_ns = at_ns, at_ns + gap_ns
        total_uj += power_uw
        if kind == "counter":
            readings.append(Count(at_ns, 0, total_uj))
        elif kind == "point":
            readings.append(Point(at_ns, 0, power_uw))
        else:
            # Some intervals begin late, so that there are holes.
            readings.append(Mean(start_ns + draw(st.integers(0, gap_ns - 1)), at_ns, power_uw))
    return readings


def _track(readings: list[Reading]) -> Track:
    track = Track(keep_ns=10**18)
    for reading in readings:
        track.add(reading)
    return track


def _bounds(readings: list[Reading]) -> tuple[int, int]:
    first, last = readings[0], readings[-1]
    start_ns = first.start_ns if isinstance(first, Mean) else first.at_ns
    return start_ns, last.end_ns if isinstance(last, Mean) else last.at_ns


@given(_readings(), st.lists(st.floats(0, 1), max_size=8))
def test_the_energy_of_a_window_is_the_sum_of_its_parts_to_the_microjoule(
    readings: list[Reading], shares: list[float]
) -> None:
    track = _track(readings)
    start_ns, end_ns = _bounds(readings)
    cuts = sorted({start_ns, end_ns, *(start_ns + round(s * (end_ns - start_ns)) for s in shares)})
    parts = [
        track.window(a, b, period_ns=_PERIOD_NS).energy_uj for a, b in itertools.pairwise(cuts)
    ]
    whole = track.window(start_ns, end_ns, period_ns=_PERIOD_NS)
    assert sum(parts) == whole.energy_uj
    assert all(part >= 0 for part in parts)


@given(_readings())
def test_readings_that_come_later_do_not_change_a_window_that_was_bracketed(
    readings: list[Reading],
) -> None:
    early = _track(readings[:-1])
    start_ns, end_ns = _bounds(readings[:-1])
    before = early.window(start_ns, end_ns, period_ns=_PERIOD_NS)
    early.add(readings[-1])
    assert early.window(start_ns, end_ns, period_ns=_PERIOD_NS) == before


@given(_readings(kinds=("counter",)))
def test_a_window_over_all_reads_of_a_counter_is_the_difference_of_its_ends(
    readings: list[Reading],
) -> None:
    first, last = readings[0], readings[-1]
    assert isinstance(first, Count)
    assert isinstance(last, Count)
    window = _track(readings).window(first.at_ns, last.at_ns, period_ns=_PERIOD_NS)
    assert window.energy_uj == last.total_uj - first.total_uj


@given(st.integers(1, 20_000_000), st.lists(st.integers(1, NS_PER_S), min_size=2, max_size=30))
def test_constant_power_gives_the_same_energy_by_every_rule(
    power_uw: int, gaps_ns: list[int]
) -> None:
    times = [sum(gaps_ns[:i]) for i in range(len(gaps_ns) + 1)]
    pairs = list(itertools.pairwise(times))
    means = _track([Mean(a, b, power_uw) for a, b in pairs])
    points = _track([Point(t, 0, power_uw) for t in times])
    span = (times[0], times[-1])
    expected_uj = power_uw * times[-1] // NS_PER_S
    assert means.window(*span, period_ns=NS_PER_S).energy_uj == expected_uj
    assert points.window(*span, period_ns=NS_PER_S).energy_uj == expected_uj


@given(st.lists(st.tuples(st.integers(1, NS_PER_S), st.integers(0, 20_000_000)), min_size=1))
def test_a_window_that_means_cover_fully_is_neither_less_sure_nor_flagged(
    steps: list[tuple[int, int]],
) -> None:
    means, at_ns = list[Reading](), 0
    for length_ns, power_uw in steps:
        means.append(Mean(at_ns, at_ns + length_ns, power_uw))
        at_ns += length_ns
    window = _track(means).window(0, at_ns, period_ns=_PERIOD_NS)
    assert (window.lost, window.holes_u_ratio, window.flags) == (0, 0.0, ())


@given(_readings(), st.integers(-5 * NS_PER_S, 5 * NS_PER_S), st.integers(1, 9 * NS_PER_S))
def test_energy_is_never_extrapolated_beyond_the_readings(
    readings: list[Reading], offset_ns: int, length_ns: int
) -> None:
    track = _track(readings)
    first_ns, last_ns = _bounds(readings)
    start_ns = first_ns + offset_ns
    window = track.window(start_ns, start_ns + length_ns, period_ns=_PERIOD_NS)
    whole = track.window(first_ns, last_ns, period_ns=_PERIOD_NS)
    assert window.energy_uj <= whole.energy_uj
    inside = start_ns >= first_ns and start_ns + length_ns <= last_ns
    assert inside != bool({"not-bracketed", "no-reading"}.intersection(window.flags))


# The loads of a sampling study: a 2.7 W board with bursts of 4.6 W, from rare to back to back.
_LOADS = {
    "20 of 40 ms": (20.0, 40.0),
    "5 of 10 ms": (5.0, 10.0),
    "20 of 20.4 ms": (20.0, 20.4),
    "3 of 100 ms": (3.0, 100.0),
    "20 of 41.7 ms": (20.0, 41.7),
    "5 of 10.3 ms": (5.0, 10.3),
}


@pytest.mark.parametrize("load", _LOADS)
@pytest.mark.parametrize(
    ("kind", "period_ms", "limit_ratio"),
    [("counter", 200.0, 1e-3), ("mean", 35.2, 1e-3), ("point", 2.0, 5e-3), ("point", 20.0, 5e-2)],
)
def test_a_ten_second_window_meets_the_analytic_energy(
    load: str, kind: MeterKind, period_ms: float, limit_ratio: float
) -> None:
    busy_ms, wave_ms = _LOADS[load]
    wave = Bursts(
        2_700_000, 4_600_000, round(busy_ms * NS_PER_MS), round(wave_ms * NS_PER_MS), 1_234_567
    )
    clock = ManualClock(monotonic_ns=987_654_321)
    period_ns = round(period_ms * NS_PER_MS)
    meter = WaveMeter(wave, clock, kind, period_ns=period_ns)
    end_s = 10.0
    rounds = round(end_s / s_from_ns(period_ns) * 0.9)
    rng = random.Random(7)  # noqa: S311 - a seed, not a secret
    recorder = EnergyRecorder(meter, clock, wait=advancing_wait(clock.advance_s, rounds), rng=rng)
    start_ns = clock.monotonic_ns()
    recorder.sample_once()
    recorder._sample()
    end_ns = clock.monotonic_ns()
    reading = recorder.close_window(start_ns, end_ns)
    truth_uj = wave.energy_uj(start_ns, end_ns)
    assert abs(reading.energy_uj - truth_uj) / truth_uj <= limit_ratio
    assert reading.valid
    # The stated uncertainty covers the error with a wide margin.
    assert abs(reading.energy_uj - truth_uj) / truth_uj <= 2 * reading.u_ratio


def test_a_fixed_rate_against_a_periodic_load_is_far_off_and_random_moments_are_not() -> None:
    wave = Bursts(2_700_000, 4_600_000, 5 * NS_PER_MS, 10 * NS_PER_MS)
    truth_uj = wave.energy_uj(0, 10 * NS_PER_S)
    period_ns = 10 * NS_PER_MS
    fixed = _track([Point(t, 0, wave.power_uw(t)) for t in range(0, 10 * NS_PER_S + 1, period_ns)])
    always_busy_uj = fixed.window(0, 10 * NS_PER_S, period_ns=period_ns).energy_uj
    assert (always_busy_uj - truth_uj) / truth_uj == pytest.approx(0.26, abs=0.01)

    clock = ManualClock()
    meter = WaveMeter(wave, clock, "point", period_ns=period_ns)
    rng = random.Random(11)  # noqa: S311 - a seed, not a secret
    recorder = EnergyRecorder(meter, clock, wait=advancing_wait(clock.advance_s, 1_000), rng=rng)
    recorder.sample_once()
    recorder._sample()
    end_ns = clock.monotonic_ns()
    random_uj = recorder.close_window(0, end_ns).energy_uj
    assert random_uj == pytest.approx(wave.energy_uj(0, end_ns), rel=0.03)
