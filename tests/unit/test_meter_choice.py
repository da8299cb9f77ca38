from pathlib import Path

import pytest

from green_edge_agent.meters.choose import choose, survey
from green_edge_agent.meters.report import report
from green_edge_agent.meters.source import Wanted, parse_wanted
from green_edge_wire.errors import ConfigError
from support.clock import ManualClock
from support.sysfs import add_hwmon, add_rapl_zone, board_tree, ina_files, write

ALL = ("hwmon", "rapl", "modelled")


def test_the_first_source_that_works_is_taken_and_each_refusal_is_reported(tmp_path: Path) -> None:
    choice = choose(ALL, board_tree(tmp_path), clock=ManualClock())
    assert choice.meter is not None
    assert choice.meter.info.name == "model:pi4"
    assert [info.name for info in choice.refusals] == ["hwmon", "rapl"]
    assert all(info.refusal for info in choice.refusals)
    assert choice.broken == ()


def test_a_source_before_it_in_the_list_wins(tmp_path: Path) -> None:
    add_hwmon(board_tree(tmp_path), "ina219", ina_files(640))
    first = choose(ALL, tmp_path, clock=ManualClock()).meter
    last = choose(("modelled", "hwmon"), tmp_path, clock=ManualClock()).meter
    assert first is not None
    assert last is not None
    assert (first.info.name, last.info.name) == ("hwmon:ina219@1-0040", "model:pi4")


def test_a_sensor_that_is_there_but_broken_is_told_from_one_that_is_absent(tmp_path: Path) -> None:
    folder = add_hwmon(board_tree(tmp_path), "ina219", ina_files(640))
    write(folder / "in1_input", "nonsense")
    choice = choose(ALL, tmp_path, clock=ManualClock())
    assert choice.broken == ("hwmon",)


def test_a_list_of_absent_sources_leaves_no_meter(tmp_path: Path) -> None:
    choice = choose(("hwmon", "rapl"), tmp_path, clock=ManualClock())
    assert choice.meter is None
    assert len(choice.refusals) == 2


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("hwmoon", r"energy.prefer\[1\]: unknown source 'hwmoon'; did you mean 'hwmon'\?"),
        ("zzz", r"known: hwmon, rapl, modelled"),
        ("rapl=battery", r"what rapl covers is fixed; leave out '=battery'"),
        ("rapl,shunt=3", r"energy.prefer\[1\]: unknown setting 'shunt'; rapl has none"),
        ("rapl,shunt=3,shunt=4", r"the setting 'shunt' stands twice; write KEY=VALUE"),
        ("rapl,shunt", r"the setting 'shunt' has no value"),
        ("hwmon,boundary=wall", r"unknown boundary 'wall'; one of board-dc-in"),
    ],
)
def test_a_list_with_a_mistake_names_its_place(tmp_path: Path, entry: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        choose(("modelled", entry), tmp_path, clock=ManualClock())


def test_settings_and_a_boundary_stand_after_the_name() -> None:
    wanted = parse_wanted("i2c:ina226@1-40,shunt_mohm=10,boundary=battery", place="x")
    assert wanted == Wanted("i2c", "ina226@1-40", "battery", {"shunt_mohm": "10"})
    assert wanted.number("shunt_mohm") == 10.0
    assert wanted.number("max_a", 3.2) == 3.2
    assert parse_wanted("hwmon:ina226@1-0040=battery", place="x").boundary == "battery"


@pytest.mark.parametrize("text", ["ten", "0", "-1", "inf", "nan"])
def test_a_setting_that_is_no_positive_number_is_refused_with_the_remedy(text: str) -> None:
    wanted = parse_wanted(f"i2c:ina226@1-40,shunt_mohm={text}", place="x")
    with pytest.raises(ConfigError, match=r"write i2c:ina226@1-40,shunt_mohm=NUMBER"):
        wanted.number("shunt_mohm")


def test_a_period_has_to_be_positive_and_reaches_the_meter(tmp_path: Path) -> None:
    board_tree(tmp_path)
    with pytest.raises(ConfigError, match=r"energy\.period_ms"):
        choose(ALL, tmp_path, clock=ManualClock(), period_ns=0)
    meter = choose(ALL, tmp_path, clock=ManualClock(), period_ns=77).meter
    assert meter is not None
    assert meter.period_ns == 77


def test_a_survey_lists_every_meter_usable_or_not(tmp_path: Path) -> None:
    board_tree(tmp_path)
    add_hwmon(tmp_path, "ina219", ina_files(640), index=0)
    add_hwmon(tmp_path, "ina226", ina_files(-5), index=1, address="1-0041")
    add_rapl_zone(tmp_path, "intel-rapl:0", "package-0", 1)
    found = {info.name: info.refusal for info in survey(tmp_path, clock=ManualClock())}
    assert list(found) == ["hwmon:ina219@1-0040", "hwmon:ina226@1-0041", "rapl", "model:pi4"]
    assert [name for name, refusal in found.items() if refusal] == ["hwmon:ina226@1-0041"]


def test_the_report_reads_the_meter_in_use_and_lists_it_first(tmp_path: Path) -> None:
    add_hwmon(board_tree(tmp_path), "ina219", ina_files(640))
    clock = ManualClock()
    shown = report(tmp_path, clock=clock, wait=clock.advance_s)
    assert (shown.board, shown.board_id) == ("Raspberry Pi 4 Model B Rev 1.2", "pi4")
    first = shown.meters[0]
    assert (first.name, first.in_use, first.power_uw) == ("hwmon:ina219@1-0040", True, 3_200_000)
    assert [(row.name, row.in_use) for row in shown.meters[1:]] == [
        ("model:pi4", False),
        ("rapl", False),
    ]
    assert shown.meters[2].refusal is not None


def test_the_report_keeps_a_refusal_that_only_the_preference_list_meets(tmp_path: Path) -> None:
    clock = ManualClock()
    prefer = ("hwmon:ina226", "modelled")
    shown = report(board_tree(tmp_path), clock=clock, prefer=prefer, wait=clock.advance_s)
    names = [row.name for row in shown.meters]
    assert names[0] == "model:pi4"
    assert "hwmon:ina226" in names


def test_the_report_of_a_machine_without_meters_says_so(tmp_path: Path) -> None:
    clock = ManualClock()
    shown = report(tmp_path, clock=clock, wait=clock.advance_s)
    assert [row.in_use for row in shown.meters] == [False, False, False]
    assert all(row.refusal for row in shown.meters)
