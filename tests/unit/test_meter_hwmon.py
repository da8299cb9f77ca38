from pathlib import Path

import pytest

from green_edge_agent.meters.choose import Choice, choose
from green_edge_agent.meters.contract import Count, Mean, Meter, Point
from green_edge_wire.errors import ConfigError, MeterReadError
from green_edge_wire.units import NS_PER_MS
from support.clock import ManualClock
from support.sysfs import add_hwmon, board_tree, ina_files, write


def _choose(root: Path, prefer: str = "hwmon", period_ns: int | None = None) -> Choice:
    return choose([prefer], root, clock=ManualClock(10**9), period_ns=period_ns)


def _meter(root: Path, prefer: str = "hwmon", period_ns: int | None = None) -> Meter:
    choice = _choose(root, prefer, period_ns)
    assert choice.meter is not None, choice.refusals
    return choice.meter


def _refusal(root: Path, prefer: str = "hwmon") -> str:
    choice = _choose(root, prefer)
    assert choice.meter is None
    assert choice.refusals[0].refusal is not None
    return choice.refusals[0].refusal


def test_an_ina219_gives_points_of_voltage_times_current(tmp_path: Path) -> None:
    add_hwmon(board_tree(tmp_path), "ina219", {**ina_files(640), "power1_input": 3_220_000})
    meter = _meter(tmp_path)
    # 5 V x 640 mA; the power file of an old driver, in steps of 20 mW, is not used.
    assert meter.read() == (Point(10**9, 0, 3_200_000),)
    assert (meter.info.name, meter.info.kind) == ("hwmon:ina219@1-0040", "point")
    assert (meter.info.boundary, meter.info.u_ratio) == ("board-dc-in", 0.0201)
    assert meter.period_ns == 20 * NS_PER_MS


def test_an_ina226_gives_means_over_its_averaging_time(tmp_path: Path) -> None:
    add_hwmon(
        board_tree(tmp_path), "ina226", {**ina_files(600, shunt_uohm=20_000), "update_interval": 35}
    )
    clock = ManualClock(10**9)
    meter = choose(["hwmon"], tmp_path, clock=clock).meter
    assert meter is not None
    assert (meter.info.kind, meter.period_ns) == ("mean", 35 * NS_PER_MS)
    clock.advance_ns(35 * NS_PER_MS)
    start_ns = 10**9
    assert meter.read() == (Mean(start_ns, start_ns + 35 * NS_PER_MS, 3_000_000),)
    # A late read speaks for the last averaging time only: the rest is a hole.
    clock.advance_ns(100 * NS_PER_MS)
    end_ns = clock.monotonic_ns()
    assert meter.read() == (Mean(end_ns - 35 * NS_PER_MS, end_ns, 3_000_000),)


def test_a_chip_that_averages_less_than_the_period_gives_points(tmp_path: Path) -> None:
    files = {**ina_files(600, shunt_uohm=20_000), "update_interval": 2}
    folder = add_hwmon(board_tree(tmp_path), "ina226", files)
    assert _meter(tmp_path).info.kind == "point"
    write(folder / "update_interval", 35)
    slow = _meter(tmp_path, period_ns=100 * NS_PER_MS)
    assert (slow.info.kind, slow.period_ns) == ("point", 100 * NS_PER_MS)


def test_an_ina228_is_a_counter_by_its_energy_file(tmp_path: Path) -> None:
    files = {**ina_files(600, shunt_uohm=15_000), "energy1_input": 5_000_000}
    folder = add_hwmon(board_tree(tmp_path), "ina228", files)
    meter = _meter(tmp_path)
    assert meter.info.kind == "counter"
    write(folder / "energy1_input", 8_000_000)
    assert meter.read() == (Count(10**9, 0, 3_000_000),)
    write(folder / "energy1_input", 10)
    assert meter.read() == (Count(10**9, 0, 3_000_000, ("reset",)),)


def test_a_chip_with_a_fine_power_file_is_read_by_it(tmp_path: Path) -> None:
    files = {**ina_files(600, shunt_uohm=15_000), "power1_input": 3_001_234}
    add_hwmon(board_tree(tmp_path), "ina238", files)
    reading = _meter(tmp_path).read()[0]
    assert isinstance(reading, Mean)
    assert reading.power_uw == 3_001_234


def test_the_end_of_the_shunts_range_is_flagged(tmp_path: Path) -> None:
    folder = add_hwmon(board_tree(tmp_path), "ina219", ina_files(640))
    meter = _meter(tmp_path)
    write(folder / "curr1_input", 3_190)
    assert meter.read()[0].flags == ("saturated",)
    write(folder / "curr1_input", 3_180)
    assert meter.read()[0].flags == ()


def test_a_saturated_energy_register_is_flagged_too(tmp_path: Path) -> None:
    files = {**ina_files(600, shunt_uohm=100_000), "energy1_input": 0}
    folder = add_hwmon(board_tree(tmp_path), "ina228", files)
    meter = _meter(tmp_path)
    write(folder / "curr1_input", 1_640)
    assert meter.read()[0].flags == ("saturated",)


def test_a_wrong_shunt_resistor_is_refused_with_the_remedy(tmp_path: Path) -> None:
    # A breakout with 0.1 Ohm at the driver's default of 0.01 Ohm: ten times the current.
    add_hwmon(board_tree(tmp_path), "ina219", ina_files(6_400, shunt_uohm=10_000))
    refusal = _refusal(tmp_path)
    assert "32.00 W, which no Raspberry Pi uses" in refusal
    assert "echo 100000 > " in refusal
    assert "hwmon0/shunt_resistor" in refusal


def test_a_current_that_does_not_fit_the_shunts_voltage_is_refused(tmp_path: Path) -> None:
    add_hwmon(board_tree(tmp_path), "ina219", {**ina_files(640), "in0_input": 6})
    assert "does not fit 100000 uOhm" in _refusal(tmp_path)


def test_the_drivers_default_shunt_is_doubted_in_what_the_meter_covers(tmp_path: Path) -> None:
    folder = add_hwmon(board_tree(tmp_path), "ina219", ina_files(640, shunt_uohm=10_000))
    assert "check the print on the shunt" in _meter(tmp_path).info.covers
    write(folder / "shunt_resistor", 12_000)
    assert "check the print" not in _meter(tmp_path).info.covers


def test_current_that_flows_backwards_is_refused_at_the_start_and_later(tmp_path: Path) -> None:
    folder = add_hwmon(board_tree(tmp_path), "ina219", ina_files(-640))
    assert "exchange the two wires" in _refusal(tmp_path)
    write(folder / "curr1_input", 640)
    write(folder / "in0_input", 64)
    meter = _meter(tmp_path)
    write(folder / "curr1_input", -5)
    with pytest.raises(MeterReadError, match="shows -5 mA"):
        meter.read()
    # One milliampere below zero is rounding.
    write(folder / "curr1_input", -1)
    assert meter.read() == (Point(10**9, 0, 0),)


def test_a_voltage_that_is_no_pi_supply_leaves_the_boundary_unknown(tmp_path: Path) -> None:
    add_hwmon(board_tree(tmp_path), "ina219", ina_files(500, voltage_mv=8_100))
    info = _meter(tmp_path).info
    assert info.boundary == "unknown"
    assert "hwmon=board-dc-in" in info.covers
    assert _meter(tmp_path, "hwmon=battery").info.boundary == "battery"


def test_on_another_machine_the_boundary_is_the_users_to_state(tmp_path: Path) -> None:
    add_hwmon(board_tree(tmp_path, "Some Board"), "ina219", ina_files(10))
    assert _meter(tmp_path).info.boundary == "unknown"
    assert _meter(tmp_path, "hwmon:ina219=soc-rails").info.boundary == "soc-rails"


def test_each_channel_of_an_ina3221_is_a_meter_of_its_own(tmp_path: Path) -> None:
    files: dict[str, str | int] = {"update_interval": 35}
    for n, current_ma in ((1, 700), (3, 200)):
        files |= {f"in{n}_input": 5_000, f"curr{n}_input": current_ma, f"in{n}_label": f"RAIL{n}"}
        files |= {f"shunt{n}_resistor": 10_000}
    add_hwmon(board_tree(tmp_path), "ina3221", files, address="1-0041")
    first = _meter(tmp_path)
    assert (first.info.name, first.info.kind) == ("hwmon:ina3221@1-0041.1", "point")
    assert "RAIL1" in first.info.covers
    third = _meter(tmp_path, "hwmon:ina3221@1-0041.3")
    assert third.read() == (Point(10**9, 0, 1_000_000),)


def test_a_sensor_that_is_named_but_not_there_is_refused_with_those_that_are(
    tmp_path: Path,
) -> None:
    add_hwmon(board_tree(tmp_path), "ina219", ina_files(640))
    assert "there is ina219@1-0040" in _refusal(tmp_path, "hwmon:ina226")


def test_other_hwmon_devices_are_no_power_meters(tmp_path: Path) -> None:
    add_hwmon(board_tree(tmp_path), "cpu_thermal", {"temp1_input": 48_000}, address=None)
    assert _refusal(tmp_path) == "no INA sensor in /sys/class/hwmon"


def test_an_unplugged_sensor_fails_the_read_and_may_come_back(tmp_path: Path) -> None:
    folder = add_hwmon(board_tree(tmp_path), "ina219", ina_files(640), address=None)
    meter = _meter(tmp_path)
    assert meter.info.name == "hwmon:ina219@hwmon0"
    (folder / "curr1_input").unlink()
    with pytest.raises(MeterReadError, match="No such file"):
        meter.read()
    write(folder / "curr1_input", "garbage")
    with pytest.raises(MeterReadError, match="not a whole number"):
        meter.read()
    write(folder / "curr1_input", 640)
    assert meter.read() == (Point(10**9, 0, 3_200_000),)


def test_a_boundary_that_does_not_exist_is_a_mistake_in_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"energy.prefer\[0\]: unknown boundary 'wall'"):
        _choose(tmp_path, "hwmon=wall")


def test_an_ina260_has_a_shunt_of_its_own_and_no_range_that_we_know(tmp_path: Path) -> None:
    files = ina_files(600)
    del files["shunt_resistor"], files["in0_input"]
    folder = add_hwmon(board_tree(tmp_path), "ina260", files)
    meter = _meter(tmp_path)
    assert "uOhm" not in meter.info.covers
    write(folder / "curr1_input", 14_000)
    assert meter.read()[0].flags == ()
    # At the start the same reading is no Raspberry Pi, and there is no shunt to correct.
    assert "state what it measures, such as hwmon=unknown" in _refusal(tmp_path)


def test_a_sensor_that_is_refused_lets_the_next_one_have_its_turn_and_is_named(
    tmp_path: Path,
) -> None:
    root = board_tree(tmp_path)
    add_hwmon(root, "ina219", ina_files(-300), address="1-0040")
    add_hwmon(root, "ina219", ina_files(640), index=1, address="1-0041")
    choice = _choose(root)
    assert choice.meter is not None
    assert choice.meter.info.name == "hwmon:ina219@1-0041"
    assert "; not ina219@1-0040: " in choice.meter.info.covers
    assert "-300 mA" in choice.meter.info.covers
    assert _choose(root, "hwmon:ina219").meter is not None
    # A whole name means that sensor alone.
    assert "-300 mA" in _refusal(root, "hwmon:ina219@1-0040")


def test_when_all_sensors_are_refused_the_first_reason_names_the_others(tmp_path: Path) -> None:
    root = board_tree(tmp_path)
    for index in range(3):
        address = f"1-004{index}"
        add_hwmon(root, "ina219", ina_files(-300), index=index, address=address)
    reason = _refusal(root)
    assert "ina219@1-0040 shows -300 mA" in reason
    assert "(refused too: ina219@1-0041, ina219@1-0042)" in reason
    assert "exchange the two wires" in reason
