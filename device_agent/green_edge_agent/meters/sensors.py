"""Which INA sensors hwmon shows, and whether what they read can be the supply of this machine."""

from dataclasses import dataclass
from pathlib import Path

from green_edge_agent.meters.board import Board
from green_edge_agent.meters.ina import CHIPS, Chip
from green_edge_agent.meters.sysroot import read_int, read_optional_int, read_text
from green_edge_wire.errors import MeterReadError
from green_edge_wire.telemetry import Boundary
from green_edge_wire.units import NS_PER_MS, UW_PER_W, w_from_uw

# A Raspberry Pi's supply is 5 V; a battery pack behind a UPS board is not.
_PI_SUPPLY_MV = (4_400, 5_500)
# Nothing from an idle Zero to a busy Pi 5 with a Coral lies outside.
_PI_POWER_UW = (3 * UW_PER_W // 10, 15 * UW_PER_W)
# Shunt voltage is shown in whole millivolts; two of them and a quarter tell a wrong shunt.
_SHUNT_SLACK_MV = 2
_SHUNT_SLACK_RATIO = 0.25


@dataclass(frozen=True, slots=True)
class Sensor:
    """One channel of one INA chip.

    Attributes:
        name: such as `ina226@1-0040`, with `.2` for the second of several channels.
        shunt_uohm: what the driver reckons with; None when the chip has its own.
        energy_path: of the chip's own energy counter; None without one.
        update_ns: time that the chip averages over; None when the driver does not say.
    """

    name: str
    chip: Chip
    label: str
    voltage_path: Path
    current_path: Path
    power_path: Path | None
    energy_path: Path | None
    shunt_uohm: int | None
    update_ns: int | None

    def read_mv_ma(self) -> tuple[int, int]:
        """Bus voltage and current now.

        Raises:
            MeterReadError: a file cannot be read.
        """
        return read_int(self.voltage_path), read_int(self.current_path)

    def saturated(self, current_ma: int) -> bool:
        """Whether a current is at the end of the chip's range."""
        if self.chip.full_scale_mv is None or self.shunt_uohm is None:
            return False
        return abs(current_ma) * self.shunt_uohm >= self.chip.full_scale_mv * 1_000_000


def find_sensors(root: Path) -> tuple[Sensor, ...]:
    """All channels of all INA chips with a driver, by name."""
    base = root / "sys" / "class" / "hwmon"
    folders = sorted(base.iterdir()) if base.is_dir() else []
    sensors = []
    for folder in folders:
        chip_name = read_text(folder / "name") or ""
        chip = CHIPS.get(chip_name)
        if chip is not None:
            sensors.extend(_channels(folder, chip_name, chip))
    return tuple(sorted(sensors, key=lambda sensor: sensor.name))


def check_sensor(sensor: Sensor, board: Board, *, stated: Boundary | None) -> Boundary:
    """Take one reading, refuse what cannot be right, and say what the sensor covers.

    Args:
        sensor: to be used.
        board: the machine; only of a Raspberry Pi do we know what its supply looks like.
        stated: the user's word on the boundary, which ends our own guessing.

    Raises:
        MeterReadError: current flows backwards, the shunt's value is wrong, or the power is not
            a Raspberry Pi's.
    """
    voltage_mv, current_ma = sensor.read_mv_ma()
    refuse_backwards(sensor, current_ma)
    _check_shunt(sensor, current_ma)
    if stated is not None:
        return stated
    if not board.is_raspberry_pi or not _PI_SUPPLY_MV[0] <= voltage_mv <= _PI_SUPPLY_MV[1]:
        return "unknown"
    power_uw = voltage_mv * current_ma
    if not _PI_POWER_UW[0] <= power_uw <= _PI_POWER_UW[1]:
        raise MeterReadError(
            f"hwmon:{sensor.name} shows {w_from_uw(power_uw):.2f} W, which no Raspberry Pi uses",
            hint=_shunt_hint(sensor),
        )
    return "board-dc-in"


def refuse_backwards(sensor: Sensor, current_ma: int) -> None:
    """Refuse a negative current, whose energy would be taken off the total.

    Raises:
        MeterReadError: the current is negative beyond the rounding of 1 mA.
    """
    if current_ma < -1:
        raise MeterReadError(
            f"hwmon:{sensor.name} shows {current_ma} mA",
            hint="exchange the two wires of the shunt; a battery that charges cannot be a meter",
        )


def power_uw_of(sensor: Sensor, voltage_mv: int, current_ma: int) -> int:
    """Power: the driver's own figure where it is finer, else voltage times current (mV x mA).

    Raises:
        MeterReadError: the power file cannot be read.
    """
    power_uw = voltage_mv * current_ma if sensor.power_path is None else read_int(sensor.power_path)
    return max(power_uw, 0)


def _channels(folder: Path, chip_name: str, chip: Chip) -> list[Sensor]:
    address = (folder / "device").resolve().name if (folder / "device").exists() else folder.name
    update_ms = read_optional_int(folder / "update_interval")
    sensors = []
    for number, (voltage, current) in enumerate(chip.channels, start=1):
        single = len(chip.channels) == 1
        if not (folder / f"{current}_input").exists():
            continue
        energy_path = folder / "energy1_input"
        shunt = "shunt_resistor" if single else f"shunt{number}_resistor"
        sensors.append(
            Sensor(
                name=f"{chip_name}@{address}" + ("" if single else f".{number}"),
                chip=chip,
                label=read_text(folder / f"{voltage}_label") or "",
                voltage_path=folder / f"{voltage}_input",
                current_path=folder / f"{current}_input",
                power_path=folder / f"{chip.power_file}_input" if chip.power_file else None,
                energy_path=energy_path if single and energy_path.exists() else None,
                shunt_uohm=read_optional_int(folder / shunt),
                update_ns=None if update_ms is None else update_ms * NS_PER_MS,
            )
        )
    return sensors


def _check_shunt(sensor: Sensor, current_ma: int) -> None:
    """Compare the shunt's voltage with what the shown current would make of it."""
    shown_mv = read_optional_int(sensor.current_path.with_name("in0_input"))
    if shown_mv is None or sensor.shunt_uohm is None or len(sensor.chip.channels) > 1:
        return
    expected_mv = current_ma * sensor.shunt_uohm / 1_000_000
    slack_mv = _SHUNT_SLACK_MV + _SHUNT_SLACK_RATIO * abs(expected_mv)
    if abs(shown_mv - expected_mv) > slack_mv:
        raise MeterReadError(
            f"hwmon:{sensor.name} shows {current_ma} mA and {shown_mv} mV across its shunt, which "
            f"does not fit {sensor.shunt_uohm} uOhm",
            hint=_shunt_hint(sensor),
        )


def _shunt_hint(sensor: Sensor) -> str:
    folder = sensor.current_path.parent
    if sensor.shunt_uohm is None:
        return "state what it measures, such as hwmon=unknown, if it is not the board's supply"
    return (
        f"the driver reckons with a shunt of {sensor.shunt_uohm} uOhm; a 0.1 Ohm breakout needs "
        f"'echo 100000 > {folder}/shunt_resistor' or shunt-resistor in the device tree"
    )
