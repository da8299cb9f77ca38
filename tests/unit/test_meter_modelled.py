from pathlib import Path

import pytest

from green_edge_agent.energy.recorder import EnergyRecorder
from green_edge_agent.meters.board import board_ids, read_board
from green_edge_agent.meters.choose import choose
from green_edge_agent.meters.contract import Mean, Meter
from green_edge_agent.meters.modelled import CpuTime, busy_ratio, parse_cpu_time
from green_edge_agent.meters.power_models import known_models, model_for
from green_edge_wire.errors import ConfigError, MeterReadError
from green_edge_wire.units import NS_PER_S, w_from_uw
from support.clock import ManualClock
from support.sysfs import board_tree, set_cpu_ticks, write


def _meter(root: Path, clock: ManualClock, board: str | None = None) -> Meter:
    meter = choose(["modelled"], root, clock=clock, board=board).meter
    assert meter is not None
    return meter


def test_power_lies_on_the_line_between_idle_and_full_load(tmp_path: Path) -> None:
    clock = ManualClock()
    meter = _meter(board_tree(tmp_path), clock)
    clock.advance_s(1)
    set_cpu_ticks(tmp_path, busy=100, idle=300)
    # A quarter busy on a Pi 4 revision 1.2 with 64 bits: 2.286 W + 4.534 W / 4.
    assert meter.read() == (Mean(0, NS_PER_S, 3_419_500),)
    assert (meter.info.name, meter.info.kind) == ("model:pi4", "modelled")
    assert (meter.info.boundary, meter.idle_uw) == ("modelled", 2_286_000)
    assert meter.info.u_ratio == 0.50


def test_between_two_ticks_the_last_share_holds_and_no_tick_is_lost(tmp_path: Path) -> None:
    clock = ManualClock()
    meter = _meter(board_tree(tmp_path), clock)
    clock.advance_s(1)
    set_cpu_ticks(tmp_path, busy=200, idle=200)
    half_busy = meter.read()[0]
    clock.advance_ns(1_000)
    short = meter.read()[0]
    assert isinstance(half_busy, Mean)
    assert isinstance(short, Mean)
    assert short.power_uw == half_busy.power_uw
    clock.advance_s(1)
    set_cpu_ticks(tmp_path, busy=600, idle=200)
    assert meter.read()[0] == Mean(short.end_ns, clock.monotonic_ns(), 6_820_000)


def test_a_window_of_the_modelled_source_is_bracketed_and_wide(tmp_path: Path) -> None:
    clock = ManualClock()
    recorder = EnergyRecorder(_meter(board_tree(tmp_path), clock), clock)
    recorder.sample_once()
    start_ns = clock.monotonic_ns()
    clock.advance_s(5)
    set_cpu_ticks(tmp_path, busy=1_000, idle=1_000)
    reading = recorder.close_window(start_ns, clock.monotonic_ns())
    assert reading.energy_uj == round(5 * (2_286_000 + 4_534_000 / 2))
    assert (reading.kind, reading.u_ratio, reading.flags) == ("modelled", 0.5, ())
    assert reading.valid


def test_an_unknown_host_is_an_assumption_of_a_hundred_percent(tmp_path: Path) -> None:
    board_tree(tmp_path, "Some Board", cpus=2)
    clock = ManualClock()
    meter = _meter(tmp_path, clock)
    clock.advance_s(1)
    set_cpu_ticks(tmp_path, busy=100, idle=100, cpus=2)
    # 0.8 W idle, 8 W full, half busy.
    assert meter.read() == (Mean(0, NS_PER_S, 4_400_000, ("assumed-board",)),)
    assert (meter.info.name, meter.info.u_ratio) == ("model:host", 1.0)


def test_a_board_stated_for_another_machine_is_marked_as_assumed(tmp_path: Path) -> None:
    board_tree(tmp_path, "Some Board")
    meter = _meter(tmp_path, ManualClock(), board="pi4")
    assert meter.read()[0].flags == ("assumed-board",)
    assert (meter.info.name, meter.info.u_ratio) == ("model:pi4", 1.0)
    pi4 = _meter(board_tree(tmp_path), ManualClock(), board="pi4")
    assert pi4.info.u_ratio == 0.50


def test_the_line_of_the_zero_2_is_named_an_assumption(tmp_path: Path) -> None:
    meter = _meter(board_tree(tmp_path, "Raspberry Pi Zero 2 W Rev 1.0"), ManualClock())
    assert meter.read()[0].flags == ("assumed-board",)
    assert "an assumption" in meter.info.covers


@pytest.mark.parametrize(
    ("model", "bits", "idle_w", "full_w"),
    [
        ("Raspberry Pi 3 Model B Rev 1.2", 32, 1.078, 4.555),
        ("Raspberry Pi 4 Model B Rev 1.1", 32, 2.206, 5.918),
        ("Raspberry Pi 4 Model B Rev 1.1", 64, 2.307, 6.803),
        ("Raspberry Pi 4 Model B Rev 1.2", 64, 2.286, 6.820),
        # A later revision takes the nearest one that was measured.
        ("Raspberry Pi 4 Model B Rev 1.5", 64, 2.286, 6.820),
        ("Raspberry Pi 4 Model B Rev 1.5", 32, 2.243, 5.727),
        ("Raspberry Pi 5 Model B Rev 1.0", 64, 4.403, 7.861),
        # Measured with 64 bits only.
        ("Raspberry Pi 5 Model B Rev 1.0", 32, 4.403, 7.861),
    ],
)
def test_the_nearest_measured_board_gives_the_line(
    tmp_path: Path, model: str, bits: int, idle_w: float, full_w: float
) -> None:
    found = model_for(read_board(board_tree(tmp_path, model), bits=bits))
    assert w_from_uw(found.power_uw(0)) == pytest.approx(idle_w)
    assert w_from_uw(found.power_uw(1)) == pytest.approx(full_w)
    assert not found.assumed


def test_every_known_board_has_a_line() -> None:
    assert set(known_models()) == {*board_ids(), "host"}


def test_every_known_board_has_a_plausible_line(tmp_path: Path) -> None:
    board = read_board(board_tree(tmp_path))
    for board_id in board_ids():
        model = model_for(board, stated_id=board_id)
        assert model.board_id == board_id
        assert 400_000 <= model.power_uw(0) < model.power_uw(1) <= 13_000_000


def test_a_board_that_does_not_exist_is_a_mistake_even_where_it_is_not_needed(
    tmp_path: Path,
) -> None:
    with pytest.raises(ConfigError, match=r"energy.board: unknown board 'pi44'; did you mean"):
        choose(["hwmon"], tmp_path, clock=ManualClock(), board="pi44")


def test_waiting_for_a_disk_is_idle_and_interrupts_are_work() -> None:
    assert parse_cpu_time("cpu  1 2 4 100 50 8 16 999 1 1\ncpu0 ...") == CpuTime(busy=31, idle=150)


@pytest.mark.parametrize(
    "text", ["", "cpu", "cpu  1 2 3", "intr 1 2 3 4 5 6 7", "cpu a b c d e f g"]
)
def test_what_is_not_proc_stat_is_refused(text: str) -> None:
    with pytest.raises(MeterReadError, match="does not begin with the ticks"):
        parse_cpu_time(text)


def test_an_idle_count_that_goes_back_is_no_negative_load() -> None:
    assert busy_ratio(CpuTime(10, 100), CpuTime(20, 99)) == 1.0
    assert busy_ratio(CpuTime(10, 100), CpuTime(10, 100)) is None


def test_a_tree_without_proc_has_no_model_and_a_broken_one_fails_the_read(tmp_path: Path) -> None:
    choice = choose(["modelled"], tmp_path, clock=ManualClock())
    assert choice.meter is None
    assert "no /proc/stat" in (choice.refusals[0].refusal or "")
    meter = _meter(board_tree(tmp_path), ManualClock())
    (tmp_path / "proc" / "stat").unlink()
    with pytest.raises(MeterReadError, match="cannot be read"):
        meter.read()
    write(tmp_path / "proc" / "stat", "nonsense")
    with pytest.raises(MeterReadError, match="does not begin"):
        meter.read()
