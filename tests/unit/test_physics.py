from dataclasses import replace

import pytest

from green_edge.targets import physics
from green_edge.targets.physics import Bounds, InstructionsPerCycle, Range
from green_edge.targets.registry import find, names
from green_edge_agent.meters.board import Board as Machine
from green_edge_agent.meters.power_models import model_for
from green_edge_wire.errors import ConfigError

# 1 GHz and one instruction a cycle, whatever the type; a byte takes a nanosecond.
BOARD = replace(
    physics.load("pi4"),
    clock_mhz=Bounds(1_000, 1_000),
    ipc=InstructionsPerCycle(int8=Bounds(1, 1), float32=Bounds(1, 1)),
    cache_kib=1,
    memory_mb_s=Bounds(1_000, 1_000),
    idle_mw=Bounds(2_000, 3_000),
    one_core_mw=Bounds(500, 1_000),
)


def test_instructions_over_instructions_a_second_are_the_latency() -> None:
    assert physics.latency_us(3_000_000, 0, dtype="int8", board=BOARD) == Range(3_000, 3_000)


def test_the_range_spans_the_bounds_of_clock_and_instructions_per_cycle() -> None:
    ipc = InstructionsPerCycle(int8=Bounds(0.5, 2), float32=Bounds(1, 1))
    board = replace(BOARD, clock_mhz=Bounds(1_000, 2_000), ipc=ipc)
    assert physics.latency_us(4_000_000, 0, dtype="int8", board=board) == Range(1_000, 8_000)
    assert physics.latency_us(4_000_000, 0, dtype="float32", board=board) == Range(2_000, 4_000)


def test_bytes_come_on_top_of_the_longest_latency_from_a_cold_cache() -> None:
    found = physics.latency_us(1_000_000, 500_000, dtype="int8", board=BOARD)
    assert found == Range(1_000, 1_500)


def test_a_model_is_no_faster_than_what_comes_from_the_memory_chip() -> None:
    found = physics.latency_us(1_000, 10_000_000, dtype="int8", board=BOARD, bytes_missed=2_000_000)
    assert found == Range(2_000, 10_001)


def test_an_uncertain_count_widens_the_range_at_both_ends() -> None:
    found = physics.latency_us(1_000_000, 0, dtype="int8", board=BOARD, error_ratio=0.25)
    assert found == Range(800, 1_250)
    # Half as many or twice as many.
    double = physics.latency_us(1_000_000, 0, dtype="int8", board=BOARD, error_ratio=1.0)
    assert double == Range(500, 2_000)


def test_gross_energy_is_the_power_of_the_busy_board_for_the_time() -> None:
    # 2.5 and 4 W for 1 and 2 ms.
    assert physics.energy_uj(Range(1_000, 2_000), BOARD) == Range(2_500, 8_000)


def test_net_energy_is_what_the_core_adds_to_the_idle_board() -> None:
    assert physics.net_energy_uj(Range(1_000, 2_000), BOARD) == Range(500, 2_000)


def test_every_board_of_the_registry_is_known_with_a_source_for_each_figure() -> None:
    for name in names():
        if name == "host":
            continue
        board = physics.board_of(find(name))
        figures = {"clock_mhz", "cache_kib", "memory_mb_s", "idle_mw", "one_core_mw", "ipc"}
        assert set(board.sources) == figures | ({"ipc_armv7l"} if board.ipc_armv7l else set())
        assert board.core == find(name).cpu
        for bounds in (
            board.clock_mhz,
            board.ipc.int8,
            board.ipc.float32,
            board.memory_mb_s,
            board.idle_mw,
            board.one_core_mw,
        ):
            assert 0 < bounds.low <= bounds.high


def test_an_accelerator_has_the_processor_of_its_host() -> None:
    assert physics.board_of(find("coral-usb+pi5")) == physics.load("pi5")
    assert physics.board_of(find("coral-devboard")).core == "cortex-a53"


def test_a_32_bit_system_has_its_own_instructions_per_cycle_where_they_are_published() -> None:
    narrow, wide = physics.board_of(find("pi4:bookworm-armhf")), physics.board_of(find("pi4"))
    assert narrow.ipc == wide.ipc_armv7l != wide.ipc
    assert narrow == replace(wide, ipc=narrow.ipc)
    assert physics.board_of(find("pi3:bookworm-armhf")) == physics.load("pi3")


def test_nothing_is_claimed_of_this_workstation() -> None:
    with pytest.raises(
        ConfigError, match="no clock, bandwidth or power is known of 'host'"
    ) as told:
        physics.board_of(find("coral-usb+host"))
    assert "green-edge bench" in (told.value.hint or "")


def test_boards_with_one_core_share_its_instructions_per_cycle() -> None:
    assert (
        physics.load("pi3").ipc == physics.load("zero2").ipc == physics.load("coral-devboard").ipc
    )


@pytest.mark.parametrize("name", ["zero2", "pi3", "pi4", "pi5"])
def test_powers_of_a_board_hold_the_line_that_its_agent_reports_by(name: str) -> None:
    machine = Machine("", name, revision="", bits=64, cpus=4, ram_bytes=0)
    line, board = model_for(machine), physics.load(name)
    assert board.idle_mw.low <= line.idle_uw / 1_000 <= board.idle_mw.high
    # One core takes a quarter to a half of what four take.
    assert board.one_core_mw.low <= line.slope_uw / 4_000 + 1
    assert line.slope_uw / 2_000 <= board.one_core_mw.high


def test_every_board_draws_what_boards_of_its_size_draw() -> None:
    for name in ("zero2", "pi3", "pi4", "pi5", "coral-devboard"):
        board = physics.load(name)
        assert 500 < board.idle_mw.low <= board.idle_mw.high < 5_000
        assert board.idle_mw.high < 3 * board.idle_mw.low
        assert 400 < board.one_core_mw.low <= board.one_core_mw.high < board.busy_mw.high
