"""The INA chips that Linux reads through hwmon: what each driver offers and how sure it is.

Sources: the kernel's Documentation/hwmon/ina2xx.rst, ina3221.rst and ina238.rst, and
drivers/hwmon/ina2xx.c. The error budgets are assumptions, and docs/measuring-energy.md says so:
they rest on limits of TI's data sheets as remembered and on a shunt of 1 % (INA219, INA3221) or
0.5 % (the others).
"""

from dataclasses import dataclass

from green_edge_agent.meters.contract import ErrorBudget
from green_edge_wire.units import UW_PER_MW


@dataclass(frozen=True, slots=True)
class Chip:
    """One sort of chip, as its driver shows it.

    Attributes:
        full_scale_mv: shunt voltage from which on the chip clips; None when not known.
        channels: pairs of (bus voltage file, current file) without `_input`, in mV and mA.
        power_file: the driver computes power finer than voltage times current; None to multiply.
        averages: a value is the mean of `update_interval`, without pauses for other channels.
        driver_shunt_uohm: what the driver assumes without a device-tree entry; None when fixed.
    """

    full_scale_mv: int | None
    channels: tuple[tuple[str, str], ...]
    power_file: str | None
    averages: bool
    driver_shunt_uohm: int | None
    budget: ErrorBudget


# curr1_input is rounded to 1 mA, 5 mW of a 5 V supply. power1_input of older ina2xx drivers has
# steps of 20 or 25 mW and the file does not tell which, so power is voltage times current.
_ONE_CHANNEL = (("in1", "curr1"),)
_DRIVER_SHUNT_UOHM = 10_000
_COARSE = ErrorBudget(gain_ratio=0.02, offset_uw=5 * UW_PER_MW)
_FINE = ErrorBudget(gain_ratio=0.0055, offset_uw=6 * UW_PER_MW)

# 320 mV at the driver's default gain; one step below counts as clipped.
_INA219 = Chip(319, _ONE_CHANNEL, None, averages=False, driver_shunt_uohm=_DRIVER_SHUNT_UOHM,
               budget=_COARSE)  # fmt: skip
# 81.92 mV.
_INA226 = Chip(81, _ONE_CHANNEL, None, averages=True, driver_shunt_uohm=_DRIVER_SHUNT_UOHM,
               budget=_FINE)  # fmt: skip
_INA260 = Chip(None, _ONE_CHANNEL, None, averages=True, driver_shunt_uohm=None, budget=_FINE)
# 163.84 mV in the driver's default range: an assumption, from the data sheet as remembered.
_INA238 = Chip(163, _ONE_CHANNEL, "power1", averages=True, driver_shunt_uohm=_DRIVER_SHUNT_UOHM,
               budget=_FINE)  # fmt: skip
# Its converter goes round the channels, so a value is no mean of the time since the last one.
_INA3221 = Chip(163, (("in1", "curr1"), ("in2", "curr2"), ("in3", "curr3")), None, averages=False,
                driver_shunt_uohm=_DRIVER_SHUNT_UOHM, budget=_COARSE)  # fmt: skip

CHIPS: dict[str, Chip] = {
    "ina219": _INA219,
    "ina220": _INA219,
    "ina226": _INA226,
    "ina230": _INA226,
    "ina231": _INA226,
    "ina260": _INA260,
    "ina3221": _INA3221,
    "ina228": _INA238,
    "ina237": _INA238,
    "ina238": _INA238,
    "ina780": _INA238,
    "sq52206": _INA238,
}
