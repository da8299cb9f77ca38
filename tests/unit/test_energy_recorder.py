import random
import threading
import time
from pathlib import Path

import pytest

from green_edge_agent.energy.recorder import EnergyRecorder
from green_edge_agent.meters.choose import choose
from green_edge_agent.meters.contract import MAX_U_RATIO
from green_edge_wire.clock import SystemClock
from green_edge_wire.telemetry import MeterKind
from green_edge_wire.units import NS_PER_MS, NS_PER_S
from support.clock import ManualClock
from support.sysfs import add_hwmon, board_tree, ina_files
from support.waveform import Bursts, WaveMeter, advancing_wait

STEADY = Bursts(2_000_000, 2_000_000, 1, 2)


def _meter(clock: ManualClock, kind: MeterKind = "mean") -> WaveMeter:
    return WaveMeter(STEADY, clock, kind, period_ns=100 * NS_PER_MS)


def test_windows_that_tile_add_up_to_the_whole_while_the_same_window_may_be_asked_twice() -> None:
    clock = ManualClock(monotonic_ns=17)
    wave = Bursts(1_234_567, 7_654_321, 333, 1_001)
    recorder = EnergyRecorder(WaveMeter(wave, clock, "mean", period_ns=NS_PER_S), clock)
    recorder.sample_once()
    edges = [clock.monotonic_ns()]
    parts = []
    for step_ns in (1_000_000_007, 3, 999_999_937, 123_456_789):
        clock.advance_ns(step_ns)
        edges.append(clock.monotonic_ns())
        parts.append(recorder.close_window(edges[-2], edges[-1]).energy_uj)
    whole = recorder.close_window(edges[0], edges[-1])
    assert sum(parts) == whole.energy_uj
    assert recorder.close_window(edges[0], edges[-1]) == whole


def test_closing_a_window_takes_the_reading_that_brackets_it() -> None:
    clock = ManualClock()
    recorder = EnergyRecorder(_meter(clock, "point"), clock)
    recorder.sample_once()
    clock.advance_s(0.4)
    reading = recorder.close_window(0, clock.monotonic_ns())
    assert reading.energy_uj == 800_000
    assert reading.valid
    assert (reading.meter, reading.boundary, reading.kind) == ("wave", "board-dc-in", "point")
    assert reading.window_ns == 400 * NS_PER_MS
    assert reading.lost == 3


def test_an_unplugged_meter_is_a_problem_and_then_a_gap() -> None:
    clock = ManualClock()
    meter = _meter(clock, "point")
    recorder = EnergyRecorder(meter, clock)
    recorder.sample_once()
    meter.broken = True
    clock.advance_s(1)
    lost = recorder.close_window(0, clock.monotonic_ns())
    assert (lost.flags, lost.energy_uj, lost.valid) == (("no-reading",), 0, False)
    assert lost.u_ratio == MAX_U_RATIO
    problems = [recorder.problem]
    meter.broken = False
    clock.advance_s(1)
    recorder.sample_once()
    problems.append(recorder.problem)
    assert problems == ["the wave meter is unplugged", None]
    after = recorder.close_window(0, clock.monotonic_ns())
    assert after.flags == ("gap",)
    assert not after.valid


def test_a_window_before_the_first_reading_is_not_valid() -> None:
    clock = ManualClock(monotonic_ns=5 * NS_PER_S)
    recorder = EnergyRecorder(_meter(clock), clock)
    clock.advance_s(1)
    reading = recorder.close_window(4 * NS_PER_S, clock.monotonic_ns())
    assert reading.flags == ("not-bracketed",)
    assert not reading.valid


def test_flags_of_the_meter_reach_the_reading() -> None:
    clock = ManualClock()
    meter = _meter(clock)
    meter.flags = ("assumed-board",)
    recorder = EnergyRecorder(meter, clock)
    clock.advance_s(1)
    reading = recorder.close_window(0, clock.monotonic_ns())
    assert reading.flags == ("assumed-board",)
    assert reading.valid
    assert reading.u_ratio == 0.01


def _delays_s(kind: MeterKind) -> list[float]:
    clock = ManualClock()
    delays: list[float] = []

    def advance_s(duration_s: float) -> None:
        delays.append(duration_s)
        clock.advance_s(duration_s)

    rng = random.Random(3)  # noqa: S311 - a seed, not a secret
    wait = advancing_wait(advance_s, 200)
    EnergyRecorder(_meter(clock, kind), clock, wait=wait, rng=rng)._sample()
    return delays


def test_points_are_taken_at_random_moments_and_means_at_regular_ones() -> None:
    assert set(_delays_s("mean")) == {0.1}
    points = _delays_s("point")
    assert len(set(points)) > 190
    assert 0.05 <= min(points) < 0.06
    assert 0.14 < max(points) <= 0.15


def test_after_a_pause_of_the_machine_nothing_is_caught_up() -> None:
    clock = ManualClock()
    delays: list[float] = []

    def wait(duration_s: float) -> bool:
        delays.append(duration_s)
        clock.advance_s(10.0 if len(delays) == 1 else duration_s)
        return len(delays) > 3

    EnergyRecorder(_meter(clock), clock, wait=wait)._sample()
    assert delays == [0.1, 0.0, 0.1, 0.1]


def test_the_thread_samples_by_itself_and_ends_with_stop() -> None:
    clock = SystemClock()
    meter = WaveMeter(STEADY, clock, "mean", period_ns=2 * NS_PER_MS)
    recorder = EnergyRecorder(meter, clock)
    recorder.start()
    recorder.start()
    start_ns = clock.monotonic_ns()
    deadline = time.monotonic() + 10
    while True:
        reading = recorder.close_window(start_ns, clock.monotonic_ns())
        if reading.samples >= 5 or time.monotonic() > deadline:
            break
        time.sleep(0.002)
    recorder.stop()
    recorder.stop()
    assert reading.samples >= 5
    assert meter.closed
    assert "energy" not in {thread.name for thread in threading.enumerate()}
    assert reading.energy_uj == pytest.approx(2_000_000 * reading.window_ns / NS_PER_S, rel=0.01)
    # Nothing is read after the end, so a window beyond it has no bracket.
    late = recorder.close_window(start_ns, clock.monotonic_ns())
    assert "not-bracketed" in late.flags


def test_the_idle_power_is_the_meters_own() -> None:
    clock = ManualClock()
    assert EnergyRecorder(_meter(clock, "modelled"), clock).idle_uw == 2_000_000
    assert EnergyRecorder(_meter(clock, "mean"), clock).idle_uw is None


def test_a_reading_costs_less_than_a_third_of_a_millisecond_of_processor_time(
    tmp_path: Path,
) -> None:
    # 1 % of a processor at 30 readings a second; a file of sysfs stands for the sensor.
    add_hwmon(board_tree(tmp_path), "ina226", ina_files(600, shunt_uohm=20_000))
    clock = SystemClock()
    meter = choose(["hwmon"], tmp_path, clock=clock).meter
    assert meter is not None
    recorder = EnergyRecorder(meter, clock)
    before_s = time.process_time()
    for _ in range(300):
        recorder.sample_once()
    assert (time.process_time() - before_s) / 300 < 300e-6
