import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from green_edge_agent.meters.choose import choose
from green_edge_agent.meters.contract import Count, Meter
from green_edge_wire.units import NS_PER_S
from support.clock import ManualClock
from support.sysfs import add_rapl_zone, write

RANGE_UJ = 65_532_610_987


def _meter(root: Path, clock: ManualClock) -> Meter:
    meter = choose(["rapl"], root, clock=clock).meter
    assert meter is not None
    return meter


def test_packages_and_their_memory_are_added_and_nothing_twice(tmp_path: Path) -> None:
    package = add_rapl_zone(tmp_path, "intel-rapl:0", "package-0", 1_000)
    core = add_rapl_zone(tmp_path, "intel-rapl:0:0", "core", 500)
    dram = add_rapl_zone(tmp_path, "intel-rapl:0:1", "dram", 70)
    second = add_rapl_zone(tmp_path, "intel-rapl:1", "package-1", 2_000)
    psys = add_rapl_zone(tmp_path, "intel-rapl:2", "psys", 9_000)
    copy = add_rapl_zone(tmp_path, "intel-rapl-mmio:0", "package-0", 1_000)
    clock = ManualClock()
    meter = _meter(tmp_path, clock)
    for path in (package, core, dram, second, psys, copy):
        write(path, int(path.read_text()) + 1_000_000)
    clock.advance_s(1)
    assert meter.read() == (Count(NS_PER_S, 0, 3_000_000),)
    assert meter.info.boundary == "cpu-package"
    assert "package-0 + dram + package-1" in meter.info.covers


def test_each_zone_wraps_by_itself(tmp_path: Path) -> None:
    zones = [
        add_rapl_zone(tmp_path, f"intel-rapl:{n}", f"package-{n}", start_uj, range_uj=RANGE_UJ)
        for n, start_uj in enumerate((RANGE_UJ - 400, 5_000))
    ]
    clock = ManualClock()
    meter = _meter(tmp_path, clock)
    write(zones[0], 600)
    write(zones[1], 7_000)
    clock.advance_s(0.5)
    assert meter.read() == (Count(NS_PER_S // 2, 0, 3_000),)


def test_a_counter_that_stands_still_is_stale_until_it_moves(tmp_path: Path) -> None:
    zone = add_rapl_zone(tmp_path, "intel-rapl:0", "package-0", 10)
    clock = ManualClock()
    meter = _meter(tmp_path, clock)
    clock.advance_s(0.9)
    assert meter.read()[0].flags == ()
    clock.advance_s(0.1)
    assert meter.read()[0].flags == ("stale",)
    write(zone, 20)
    assert meter.read()[0].flags == ()


def test_a_reset_is_flagged_and_adds_nothing(tmp_path: Path) -> None:
    zone = add_rapl_zone(tmp_path, "intel-rapl:0", "package-0", RANGE_UJ // 2, range_uj=RANGE_UJ)
    clock = ManualClock()
    meter = _meter(tmp_path, clock)
    clock.advance_s(0.5)
    write(zone, 5)
    assert meter.read() == (Count(NS_PER_S // 2, 0, 0, ("reset",)),)


def test_a_machine_without_rapl_is_refused_as_normal(tmp_path: Path) -> None:
    choice = choose(["rapl"], tmp_path, clock=ManualClock())
    assert choice.meter is None
    assert choice.broken == ()
    assert "normal on ARM boards" in (choice.refusals[0].refusal or "")


def test_counters_that_a_virtual_machine_shows_but_does_not_run_are_refused(tmp_path: Path) -> None:
    add_rapl_zone(tmp_path, "intel-rapl:0", "package-0", 0)
    choice = choose(["rapl"], tmp_path, clock=ManualClock())
    assert choice.broken == ("rapl",)
    assert "stand at 0" in (choice.refusals[0].refusal or "")


def test_a_counter_that_cannot_be_read_is_broken_and_not_absent(tmp_path: Path) -> None:
    path = add_rapl_zone(tmp_path, "intel-rapl:0", "package-0", 10)
    path.unlink()
    path.mkdir()
    choice = choose(["rapl"], tmp_path, clock=ManualClock())
    assert choice.meter is None
    assert choice.broken == ("rapl",)
    assert "Is a directory" in (choice.refusals[0].refusal or "")


@pytest.fixture
def as_nobody(tmp_path: Path) -> Iterator[None]:
    """Run without root's right to read everything."""
    user = os.geteuid()
    if user == 0:
        for folder in (tmp_path, *tmp_path.parents[:2]):
            folder.chmod(0o755)
        os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_counter_that_only_root_may_read_is_refused_with_the_remedy(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    path = add_rapl_zone(tmp_path, "intel-rapl:0", "package-0", 10)
    path.chmod(0o400 if os.geteuid() == 0 else 0)
    request.getfixturevalue("as_nobody")
    choice = choose(["rapl"], tmp_path, clock=ManualClock())
    assert choice.broken == ("rapl",)
    assert "no permission to read; run as root" in (choice.refusals[0].refusal or "")
