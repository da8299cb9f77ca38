"""Windows and their commits: nothing falls between, and a disk that refuses loses nothing."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from green_edge_agent.energy.recorder import EnergyRecorder
from green_edge_agent.identity import Identity
from green_edge_agent.install.state import Artefact
from green_edge_agent.journal import Journal
from green_edge_agent.spool import Spool
from green_edge_agent.windows import Windows
from green_edge_wire import codec
from green_edge_wire.telemetry import EnergyReading, Event, Sample
from green_edge_wire.units import NS_PER_S
from support.clock import ManualClock
from support.waveform import Bursts, WaveMeter

ONE, TWO = Artefact("1" * 64, "m", 1), Artefact("2" * 64, "m", 2)


@dataclass
class SteadyPower:
    """A source of constant power; some windows are invalid on demand."""

    power_uw: int = 3_000_000
    flags: tuple[str, ...] = ()
    asked: list[tuple[int, int]] = field(default_factory=list)

    def close_window(self, start_mono_ns: int, end_mono_ns: int) -> EnergyReading:
        self.asked.append((start_mono_ns, end_mono_ns))
        # Differences of the rounded total, as the recorder does.
        energy_uj = end_mono_ns * self.power_uw // 10**9 - start_mono_ns * self.power_uw // 10**9
        window_ns = end_mono_ns - start_mono_ns
        return EnergyReading(
            "m", "board-dc-in", "mean", window_ns, energy_uj, 0.02, 5, flags=self.flags
        )


def windows(clock: ManualClock, energy: SteadyPower | None = None) -> Windows:
    return Windows("pi", "b1", clock, energy=energy)


@given(st.lists(st.tuples(st.integers(0, 9_999_999_999), st.integers(0, 3)), min_size=1))
def test_windows_tile_time_inferences_and_energy(steps: list[tuple[int, int]]) -> None:
    clock, power = ManualClock(), SteadyPower()
    made = windows(clock, power)
    samples = []
    for number, (duration_ns, inferences) in enumerate(steps):
        for _ in range(inferences):
            made.record(1000)
        clock.advance_ns(duration_ns)
        if number % 2:
            samples.append(made.take())
    samples.append(made.take())
    assert sum(s.window_ns for s in samples) == sum(step[0] for step in steps)
    total = sum(step[1] for step in steps)
    assert sum(s.latency.count for s in samples) == samples[-1].cumulative_inferences == total
    energy = [s.energy[0] for s in samples]
    assert sum(r.energy_uj for r in energy) == energy[-1].cumulative_uj
    assert energy[-1].cumulative_uj == clock.monotonic_ns() * power.power_uw // 10**9


def test_a_peek_changes_nothing_and_totals_go_by_artefact() -> None:
    clock, power = ManualClock(), SteadyPower()
    made = windows(clock, power)
    made.use(ONE)
    made.record(10)
    made.fail()
    clock.advance_s(1)
    assert made.peek() == made.peek()
    first = made.take()
    made.use(TWO)
    made.record(10)
    clock.advance_s(1)
    second = made.take()
    made.use(ONE)
    made.record(10)
    clock.advance_s(1)
    third = made.take()
    assert [s.cumulative_inferences for s in (first, second, third)] == [1, 1, 2]
    assert [s.energy[0].cumulative_uj for s in (first, second, third)] == [
        3_000_000,
        3_000_000,
        6_000_000,
    ]
    assert (first.errors, second.errors) == (1, 0)


def test_another_processor_is_another_window() -> None:
    clock, power = ManualClock(), SteadyPower()
    made = windows(clock, power)
    for processor in ("cpu", "cpu", "edgetpu", "edgetpu", "edgetpu"):
        clock.advance_s(1)
        made.record(10, processor)
    made.fail()
    clock.advance_s(1)
    (cut,) = made.take_cut()
    assert (cut.latency.count, cut.processor, cut.errors) == (2, None, 0)
    last = made.take()
    assert (last.latency.count, last.processor, last.errors) == (3, "edgetpu", 1)
    assert cut.window_start_mono_ns + cut.window_ns == last.window_start_mono_ns
    assert last.cumulative_inferences == 5
    assert last.energy[0].cumulative_uj == 6 * power.power_uw
    # A window without an inference says nothing of a processor, and the next may run on any.
    clock.advance_s(1)
    assert made.take().processor is None
    made.record(10)
    assert made.take_cut() == []
    assert '"processor"' not in codec.dumps(made.take())


def test_a_reading_that_must_not_be_counted_is_kept_and_not_added() -> None:
    clock, power = ManualClock(), SteadyPower(flags=("gap",))
    made = windows(clock, power)
    clock.advance_s(1)
    sample = made.take()
    assert (sample.energy[0].energy_uj, sample.energy[0].cumulative_uj) == (3_000_000, 0)


def test_a_real_meters_idle_power_comes_from_windows_without_inference() -> None:
    clock, power = ManualClock(), SteadyPower()
    made = windows(clock, power)
    clock.advance_s(2)
    assert made.take().energy[0].idle_uj is None
    power.power_uw = 5_000_000
    made.record(10)
    clock.advance_s(2)
    busy = made.take().energy[0]
    assert busy.idle_uj == 6_000_000


def test_without_a_source_there_are_no_readings() -> None:
    clock = ManualClock()
    made = windows(clock)
    clock.advance_s(1)
    assert made.take().energy == ()


@dataclass
class Kept:
    clock: ManualClock
    spool: Spool
    windows: Windows
    journal: Journal

    def records(self) -> list[Sample | Event]:
        return [entry.record for entry in self.spool.after(0, 1000)]


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    clock = ManualClock()
    spool = Spool(tmp_path / "s.db", "b1", max_bytes=1 << 20, period_ms=1000)
    spool._db.execute("PRAGMA busy_timeout = 1")
    made = windows(clock)
    journal = Journal(spool, made, Identity("pi", "b1"), clock, window_s=5.0, period_s=1.0)
    return Kept(clock, spool, made, journal)


def test_the_open_window_is_committed_every_period_and_closed_when_it_is_over(
    kept: Kept,
) -> None:
    for _ in range(11):
        kept.windows.record(10)
        kept.clock.advance_s(0.5)
        kept.journal.tick()
    (sample,) = kept.records()
    assert isinstance(sample, Sample)
    assert (sample.seq, sample.latency.count) == (1, 10)
    assert kept.journal.due_in_ns() == 500_000_000
    kept.spool.close(clean=True)


def test_a_disk_that_refuses_makes_the_window_longer_and_loses_nothing(
    kept: Kept, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "s.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for _ in range(12):
            kept.windows.record(10)
            kept.clock.advance_s(1.0)
            kept.journal.tick()
            assert kept.journal.due_in_ns() > 0
        kept.journal.emit("clock", "not kept")
        settled = kept.journal.settled
        other.execute("ROLLBACK")
    assert not settled
    for _ in range(2):
        kept.windows.record(10)
        kept.clock.advance_s(1.0)
        kept.journal.tick()
    samples = [r for r in kept.records() if isinstance(r, Sample)]
    assert sum(s.latency.count for s in samples) == samples[-1].cumulative_inferences
    assert sum(s.window_ns for s in samples) == 13_000_000_000
    assert kept.journal.settled
    events = [r.message for r in kept.records() if isinstance(r, Event)]
    assert events == ["the disk takes records again"]
    kept.spool.close(clean=True)


def test_a_disk_that_refuses_for_longer_than_readings_are_kept_costs_no_energy(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    meter = WaveMeter(Bursts(2_000_000, 2_000_000, 1, 2), clock, "mean", period_ns=NS_PER_S)
    recorder = EnergyRecorder(meter, clock, keep_ns=300 * NS_PER_S)
    spool = Spool(tmp_path / "s.db", "b1", max_bytes=1 << 20, period_ms=1000)
    spool._db.execute("PRAGMA busy_timeout = 0")
    made = Windows("pi", "b1", clock, energy=recorder)
    journal = Journal(spool, made, Identity("pi", "b1"), clock, window_s=5.0, period_s=1.0)

    def run(seconds: int) -> None:
        for _ in range(seconds):
            clock.advance_s(1.0)
            recorder.sample_once()
            journal.tick()

    with closing(sqlite3.connect(tmp_path / "s.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        run(1_000)
        other.execute("ROLLBACK")
    run(10)
    samples = [e.record for e in spool.after(0, 1000) if isinstance(e.record, Sample)]
    last = samples[-1].energy[0]
    ended_ns = samples[-1].window_start_mono_ns + samples[-1].window_ns
    assert {flag for s in samples for flag in s.energy[0].flags} == set()
    assert last.cumulative_uj == 2 * ended_ns // 1_000
    assert len(samples) < 20
    spool.close(clean=True)


def test_windows_that_a_processor_has_ended_are_kept_in_their_order(kept: Kept) -> None:
    kept.windows.record(10)
    kept.windows.record(10, "edgetpu")
    # Nothing is due yet.
    kept.journal.tick()
    kept.windows.record(10)
    kept.journal.keep(kept.windows.take())
    found = [r.processor for r in kept.records() if isinstance(r, Sample)]
    assert found == [None, "edgetpu", None]
