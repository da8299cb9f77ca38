from collections.abc import Callable
from pathlib import Path

import pytest

from green_edge_agent.check import Check
from green_edge_agent.config import AgentConfig, BrokerConfig, EnergyConfig
from green_edge_agent.doctor import Surroundings, checks
from green_edge_agent.transport.url import BrokerUrl
from green_edge_wire.errors import ModelError, TransportError
from support.clock import ManualClock
from support.sysfs import add_hwmon, add_rapl_zone, board_tree, ina_files

TODAY_UNIX_MS = 1_800_000_000_000


def _fine(_url: BrokerUrl) -> None:
    return None


def _around(
    *,
    runtime: Callable[[], str] = lambda: "ai-edge-litert 2.3.0",
    broker: Callable[[BrokerUrl], None] = _fine,
    machine: str = "aarch64",
    bits: int = 64,
    python: tuple[int, int] = (3, 11),
    unix_ms: int = TODAY_UNIX_MS,
) -> Surroundings:
    clock = ManualClock(unix_ms=unix_ms)
    return Surroundings(clock, runtime, broker, machine, bits, python)


def _config(state_dir: Path, **energy: tuple[str, ...]) -> AgentConfig:
    return AgentConfig(
        site="home",
        device_id="pi-kitchen",
        state_dir=state_dir,
        broker=BrokerConfig("mqtt://127.0.0.1:1883"),
        energy=EnergyConfig(**energy),  # type: ignore[arg-type]
    )


def _by_name(found: tuple[Check, ...]) -> dict[str, Check]:
    return {check.name: check for check in found}


def test_a_board_with_a_meter_and_a_runtime_is_well(tmp_path: Path) -> None:
    add_hwmon(board_tree(tmp_path), "ina226", ina_files(600, shunt_uohm=20_000))
    found = _by_name(checks(None, tmp_path, surroundings=_around()))
    assert found["board"].found == "Raspberry Pi 4 Model B Rev 1.2 (pi4), 3793 MiB"
    assert found["meter"].found == "hwmon:ina226@1-0040 (mean, board-dc-in, +-1%)"
    assert {name: check.ok for name, check in found.items() if name != "sysroot"} == {
        "board": "ok",
        "system": "ok",
        "runtime": "ok",
        "clock": "ok",
        "meter": "ok",
        "edge tpu": "ok",
    }
    assert found["sysroot"].remedy == "unset GREEN_EDGE_SYSROOT on a board"


def test_without_a_meter_energy_is_said_to_be_estimated(tmp_path: Path) -> None:
    meter = _by_name(checks(None, board_tree(tmp_path), surroundings=_around()))["meter"]
    assert meter.ok == "warn"
    assert "estimated, not measured" in meter.found


def test_no_meter_at_all_fails_with_every_reason(tmp_path: Path) -> None:
    meter = _by_name(checks(None, tmp_path, surroundings=_around()))["meter"]
    assert meter.ok == "fail"
    assert "hwmon: no INA sensor" in meter.found
    assert "rapl: no RAPL" in meter.found


def test_a_meter_that_is_there_but_broken_is_a_check_of_its_own(tmp_path: Path) -> None:
    path = add_rapl_zone(board_tree(tmp_path), "intel-rapl:0", "package-0", 1)
    path.unlink()
    path.mkdir()
    found = _by_name(checks(None, tmp_path, surroundings=_around()))
    assert found["meter rapl"].ok == "warn"
    assert "Is a directory" in found["meter rapl"].found
    assert "meter hwmon" not in found


def test_a_meter_of_unknown_boundary_asks_for_it(tmp_path: Path) -> None:
    add_hwmon(board_tree(tmp_path, "Some Board"), "ina219", ina_files(640))
    meter = _by_name(checks(None, tmp_path, surroundings=_around()))["meter"]
    assert (meter.ok, meter.remedy) == ("warn", "state the boundary in prefer")


@pytest.mark.parametrize(
    ("machine", "bits", "python", "verdict"),
    [
        ("aarch64", 64, (3, 13), "ok"),
        ("armv7l", 32, (3, 11), "ok"),
        ("aarch64", 32, (3, 11), "warn"),
        ("aarch64", 32, (3, 13), "fail"),
        ("armv7l", 32, (3, 12), "fail"),
    ],
)
def test_32_bit_systems_are_told_what_they_lack(
    tmp_path: Path, machine: str, bits: int, python: tuple[int, int], verdict: str
) -> None:
    around = _around(machine=machine, bits=bits, python=python)
    system = _by_name(checks(None, tmp_path, surroundings=around))["system"]
    assert system.ok == verdict
    assert (system.remedy is None) == (verdict == "ok")


def test_a_missing_runtime_fails_with_its_remedy(tmp_path: Path) -> None:
    def nothing() -> str:
        raise ModelError("no runtime", hint="install one")

    runtime = _by_name(checks(None, tmp_path, surroundings=_around(runtime=nothing)))["runtime"]
    assert runtime == Check("runtime", "fail", "no runtime", "install one")


def test_a_clock_that_was_never_set_is_a_warning(tmp_path: Path) -> None:
    clock = _by_name(checks(None, tmp_path, surroundings=_around(unix_ms=1_000)))["clock"]
    assert clock.ok == "warn"


def test_a_configuration_adds_state_folder_keys_and_broker(tmp_path: Path) -> None:
    config = _config(tmp_path / "var" / "state")
    found = _by_name(checks(config, board_tree(tmp_path), surroundings=_around()))
    assert found["state folder"].ok in ("ok", "warn")
    assert found["state folder"].found.startswith(str(tmp_path / "var" / "state"))
    assert found["trusted keys"].ok == "warn"
    assert found["broker"] == Check("broker", "ok", "mqtt://127.0.0.1:1883")


def test_a_state_folder_below_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    config = _config(tmp_path / "file" / "state")
    found = _by_name(checks(config, board_tree(tmp_path), surroundings=_around()))
    assert found["state folder"].ok == "fail"
    assert "chown" in (found["state folder"].remedy or "")


def test_a_broker_that_refuses_us_fails_with_the_reason(tmp_path: Path) -> None:
    def refuse(_url: BrokerUrl) -> None:
        raise TransportError("wrong password", hint="ask the operator")

    around = _around(broker=refuse)
    found = _by_name(checks(_config(tmp_path), board_tree(tmp_path), surroundings=around))
    assert found["broker"] == Check("broker", "fail", "wrong password", "ask the operator")


def test_a_mistake_in_the_preference_list_fails_the_meter(tmp_path: Path) -> None:
    config = _config(tmp_path, prefer=("hwmoon",))
    found = _by_name(checks(config, board_tree(tmp_path), surroundings=_around()))
    assert found["meter"].ok == "fail"
    assert "did you mean 'hwmon'?" in (found["meter"].remedy or "")


def test_the_real_machine_can_be_checked_without_a_configuration() -> None:
    found = _by_name(checks(None, Path("/")))
    assert {"board", "system", "runtime", "clock", "meter"} <= set(found)
    assert "sysroot" not in found
