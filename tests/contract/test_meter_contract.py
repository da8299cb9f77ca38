"""What every meter promises, over all that exist: on fake trees, the fakes, and this machine."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from green_edge_agent.energy.integrate import end_of
from green_edge_agent.meters.choose import choose
from green_edge_agent.meters.contract import Count, Mean, Meter, Point
from green_edge_wire import codec
from green_edge_wire.clock import SystemClock
from green_edge_wire.device import MeterInfo
from green_edge_wire.errors import MeterReadError
from green_edge_wire.telemetry import MeterKind
from support.clock import ManualClock
from support.sysfs import add_hwmon, add_rapl_zone, board_tree, ina_files, set_cpu_ticks, write
from support.waveform import Bursts, WaveMeter

SORTS = {"counter": Count, "mean": Mean, "point": Point, "modelled": Mean}


@dataclass
class Rig:
    """A meter with a hand on its time, its load and its plug."""

    meter: Meter
    clock: ManualClock
    spend: Callable[[int], None]
    unplug: Callable[[], object]


def _open(root: Path, clock: ManualClock, source: str) -> Meter:
    meter = choose([source], root, clock=clock).meter
    assert meter is not None
    return meter


def _rapl(root: Path, clock: ManualClock) -> Rig:
    path = add_rapl_zone(root, "intel-rapl:0", "package-0", 77)

    def spend(energy_uj: int) -> None:
        write(path, int(path.read_text()) + energy_uj)

    return Rig(_open(root, clock, "rapl"), clock, spend, path.unlink)


def _ina228(root: Path, clock: ManualClock) -> Rig:
    files = {**ina_files(600, shunt_uohm=15_000), "energy1_input": 5}
    folder = add_hwmon(board_tree(root), "ina228", files)
    path = folder / "energy1_input"

    def spend(energy_uj: int) -> None:
        write(path, int(path.read_text()) + energy_uj)

    return Rig(_open(root, clock, "hwmon"), clock, spend, path.unlink)


def _ina(chip: str) -> Callable[[Path, ManualClock], Rig]:
    def make(root: Path, clock: ManualClock) -> Rig:
        folder = add_hwmon(board_tree(root), chip, ina_files(640, shunt_uohm=20_000))
        path = folder / "curr1_input"

        def spend(energy_uj: int) -> None:
            write(path, max(energy_uj // 5_000, 1))

        return Rig(_open(root, clock, "hwmon"), clock, spend, path.unlink)

    return make


def _modelled(root: Path, clock: ManualClock) -> Rig:
    board_tree(root)
    ticks = [0]

    def spend(energy_uj: int) -> None:
        ticks[0] += energy_uj // 10_000
        set_cpu_ticks(root, busy=ticks[0], idle=ticks[0])

    return Rig(_open(root, clock, "modelled"), clock, spend, (root / "proc" / "stat").unlink)


def _wave(kind: MeterKind) -> Callable[[Path, ManualClock], Rig]:
    def make(_root: Path, clock: ManualClock) -> Rig:
        meter = WaveMeter(Bursts(2_000_000, 5_000_000, 3, 7), clock, kind, period_ns=10**8)

        def unplug() -> None:
            meter.broken = True

        return Rig(meter, clock, lambda _energy_uj: None, unplug)

    return make


RIGS: dict[str, Callable[[Path, ManualClock], Rig]] = {
    "rapl": _rapl,
    "ina219": _ina("ina219"),
    "ina226": _ina("ina226"),
    "ina228": _ina228,
    "modelled": _modelled,
    "fake counter": _wave("counter"),
    "fake mean": _wave("mean"),
    "fake point": _wave("point"),
}


@pytest.fixture(params=RIGS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    made = RIGS[request.param](tmp_path, ManualClock(monotonic_ns=5_000_000_000))
    yield made
    made.meter.close()


def test_readings_are_of_the_sort_that_the_meter_announces(rig: Rig) -> None:
    for _ in range(5):
        rig.clock.advance_ns(rig.meter.period_ns)
        rig.spend(2_000_000)
        readings = rig.meter.read()
        assert readings
        assert all(isinstance(reading, SORTS[rig.meter.info.kind]) for reading in readings)


def test_time_never_goes_back_and_the_last_reading_reaches_to_the_call(rig: Rig) -> None:
    last_ns = 0
    for _ in range(5):
        rig.clock.advance_ns(rig.meter.period_ns)
        rig.spend(2_000_000)
        ends = [end_of(reading) for reading in rig.meter.read()]
        assert ends == sorted(ends)
        assert ends[0] > last_ns
        assert ends[-1] >= rig.clock.monotonic_ns()
        last_ns = ends[-1]


def test_intervals_of_means_do_not_overlap(rig: Rig) -> None:
    last_ns = rig.clock.monotonic_ns()
    for share in (1, 2, 1, 3):
        rig.clock.advance_ns(rig.meter.period_ns * share)
        rig.spend(1_000_000)
        for reading in rig.meter.read():
            if isinstance(reading, Mean):
                assert last_ns <= reading.start_ns < reading.end_ns
                last_ns = reading.end_ns


def test_energy_is_never_negative_and_a_counter_never_falls(rig: Rig) -> None:
    total_uj = 0
    for energy_uj in (2_000_000, 0, 3_000_000):
        rig.clock.advance_ns(rig.meter.period_ns)
        rig.spend(energy_uj)
        for reading in rig.meter.read():
            if isinstance(reading, Count):
                assert reading.total_uj >= total_uj
                total_uj = reading.total_uj
            else:
                assert reading.power_uw >= 0


def test_the_facts_are_whole_and_survive_the_wire(rig: Rig) -> None:
    info = rig.meter.info
    assert info.name
    assert info.covers
    assert info.refusal is None
    assert 0 < info.u_ratio <= 1
    assert rig.meter.period_ns > 0
    assert 0 < rig.meter.budget.ratio_at(3_000_000) <= 1
    assert (info.kind == "modelled") == (info.boundary == "modelled")
    assert codec.loads(MeterInfo, codec.dumps(info), strict=True) == info


def test_only_a_model_knows_the_power_without_work(rig: Rig) -> None:
    assert (rig.meter.idle_uw is not None) == (rig.meter.info.kind == "modelled")


def test_a_meter_that_is_unplugged_fails_the_read_with_a_meter_error(rig: Rig) -> None:
    rig.unplug()
    rig.clock.advance_ns(rig.meter.period_ns)
    with pytest.raises(MeterReadError):
        rig.meter.read()


def test_closing_twice_is_closing_once(rig: Rig) -> None:
    rig.meter.close()
    rig.meter.close()


def test_the_real_machine_has_a_model_that_keeps_the_same_promises() -> None:
    clock = SystemClock()
    meter = choose(["modelled"], Path("/"), clock=clock).meter
    assert meter is not None
    called_ns = clock.monotonic_ns()
    (reading,) = meter.read()
    assert isinstance(reading, Mean)
    assert reading.start_ns < reading.end_ns
    assert reading.end_ns >= called_ns
    assert meter.idle_uw is not None
    assert reading.power_uw >= meter.idle_uw
