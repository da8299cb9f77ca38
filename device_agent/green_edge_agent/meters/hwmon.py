"""INA power sensors read through hwmon: as counter, as mean power, or as power at a moment.

A chip with an energy register (INA228 and its kin) is a counter and needs no fast reading. A chip
that averages is read once an averaging time, so that its means cover all of it. A chip that does
not average gives points; how often they are taken is a matter of sampling, see `energy.recorder`.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from green_edge_agent.meters.contract import Count, Mean, Meter, Point
from green_edge_agent.meters.counter import EndlessCounter
from green_edge_agent.meters.sensors import (
    Sensor,
    check_sensor,
    find_sensors,
    power_uw_of,
    refuse_backwards,
)
from green_edge_agent.meters.source import Site, Source, Wanted
from green_edge_agent.meters.sysroot import read_int
from green_edge_wire.clock import Clock
from green_edge_wire.device import MeterInfo
from green_edge_wire.errors import MeterAbsentError, MeterError
from green_edge_wire.telemetry import FLAG_RESET, FLAG_SATURATED, Boundary, MeterKind
from green_edge_wire.units import NS_PER_MS, UW_PER_W

logger = logging.getLogger(__name__)

_POINT_PERIOD_NS = 20 * NS_PER_MS
_COUNTER_PERIOD_NS = 200 * NS_PER_MS
# 16 averages of 1.1 + 1.1 ms, the default of the INA226 (its configuration 0x4527).
_DEFAULT_AVERAGING_NS = 35_200_000
# A shorter mean would cost more reads than it is worth; such a chip is read for points.
_SHORTEST_MEAN_NS = 10 * NS_PER_MS
# Far above what a shunt for a small board carries; tells a reset counter from a busy one.
_MAX_POWER_UW = 200 * UW_PER_W
# Where the uncertainty is quoted for a person: a Raspberry Pi between idle and busy.
_QUOTED_AT_UW = 3 * UW_PER_W

FACTS = MeterInfo(
    name="hwmon",
    kind="mean",
    boundary="board-dc-in",
    covers="all that the shunt feeds, usually the board's 5 V supply; not the adapter's loss",
    u_ratio=0.02,
)


class PowerSensor:
    """A sensor that tells power; kind `mean` or `point` by how its chip works and is read."""

    def __init__(
        self, sensor: Sensor, clock: Clock, *, boundary: Boundary, period_ns: int | None
    ) -> None:
        self._sensor = sensor
        self._clock = clock
        self._averaging_ns = averaging_ns(sensor)
        self.period_ns = period_ns or self._averaging_ns or _POINT_PERIOD_NS
        means = self._averaging_ns > 0 and self.period_ns <= self._averaging_ns
        self.info = describe(sensor, "mean" if means else "point", boundary)
        self.budget = sensor.chip.budget
        self.idle_uw: int | None = None
        self._last_ns = clock.monotonic_ns()

    def read(self) -> tuple[Mean | Point, ...]:
        """Read voltage and current once.

        Raises:
            MeterReadError: the sensor does not answer, or current flows backwards.
        """
        before_ns = self._clock.monotonic_ns()
        voltage_mv, current_ma = self._sensor.read_mv_ma()
        refuse_backwards(self._sensor, current_ma)
        power_uw = power_uw_of(self._sensor, voltage_mv, current_ma)
        after_ns = self._clock.monotonic_ns()
        flags = (FLAG_SATURATED,) if self._sensor.saturated(current_ma) else ()
        if self.info.kind == "point":
            at_ns = (before_ns + after_ns) // 2
            return (Point(at_ns, (after_ns - before_ns) // 2, power_uw, flags),)
        # A value speaks for no more than the chip's averaging time, so a late read leaves a hole.
        start_ns = max(self._last_ns, after_ns - self._averaging_ns)
        self._last_ns = after_ns
        return (Mean(start_ns, after_ns, power_uw, flags),)

    def close(self) -> None:
        """Nothing is held open."""


class EnergySensor:
    """A sensor with an energy register of its own."""

    def __init__(
        self,
        sensor: Sensor,
        energy_path: Path,
        clock: Clock,
        *,
        boundary: Boundary,
        period_ns: int | None,
    ) -> None:
        self._sensor = sensor
        self._energy_path = energy_path
        self._clock = clock
        self.period_ns = period_ns or _COUNTER_PERIOD_NS
        # The driver shows the 40-bit register as 64 bits of uJ; full it holds years of a board.
        self._counter = EndlessCounter(wraps_at_uj=None, max_power_uw=_MAX_POWER_UW)
        self.info = describe(sensor, "counter", boundary)
        self.budget = sensor.chip.budget
        self.idle_uw: int | None = None
        self.read()

    def read(self) -> tuple[Count, ...]:
        """Read the energy register, and the current for the end of its range.

        Raises:
            MeterReadError: the sensor does not answer, or current flows backwards.
        """
        before_ns = self._clock.monotonic_ns()
        raw_uj = read_int(self._energy_path)
        after_ns = self._clock.monotonic_ns()
        _, current_ma = self._sensor.read_mv_ma()
        refuse_backwards(self._sensor, current_ma)
        at_ns = (before_ns + after_ns) // 2
        step = self._counter.advance(raw_uj, at_ns)
        flags = ((FLAG_RESET,) if step.reset else ()) + (
            (FLAG_SATURATED,) if self._sensor.saturated(current_ma) else ()
        )
        return (Count(at_ns, (after_ns - before_ns) // 2, self._counter.total_uj, flags),)

    def close(self) -> None:
        """Nothing is held open."""


def averaging_ns(sensor: Sensor) -> int:
    """Time that one value of the sensor is the mean of; 0 for a value of a moment."""
    if not sensor.chip.averages:
        return 0
    update_ns = sensor.update_ns or _DEFAULT_AVERAGING_NS
    return update_ns if update_ns >= _SHORTEST_MEAN_NS else 0


def describe(sensor: Sensor, kind: MeterKind, boundary: Boundary) -> MeterInfo:
    """Facts of a sensor in use, with a warning where its shunt is only the driver's default."""
    notes = [f"shunt of {sensor.name}"]
    if sensor.label:
        notes.append(f"labelled {sensor.label}")
    if sensor.shunt_uohm is not None:
        default = sensor.shunt_uohm == sensor.chip.driver_shunt_uohm
        doubt = " (the driver's default: check the print on the shunt)" if default else ""
        notes.append(f"{sensor.shunt_uohm} uOhm{doubt}")
    if boundary == "unknown":
        notes.append("what it feeds is not known: state it, such as hwmon=board-dc-in")
    else:
        notes.append("not the adapter's loss")
    return MeterInfo(
        name=f"hwmon:{sensor.name}",
        kind=kind,
        boundary=boundary,
        covers="; ".join(notes),
        u_ratio=round(sensor.chip.budget.ratio_at(_QUOTED_AT_UW), 4),
    )


def _names(site: Site) -> tuple[str, ...]:
    return tuple(sensor.name for sensor in find_sensors(site.root))


def _open(site: Site, wanted: Wanted) -> Meter:
    sensors = find_sensors(site.root)
    if not sensors:
        raise MeterAbsentError("no INA sensor in /sys/class/hwmon")
    chosen = _matching(sensors, wanted.name)
    if not chosen:
        raise MeterAbsentError(
            f"no sensor {wanted.name!r} in /sys/class/hwmon",
            hint=f"there is {', '.join(sensor.name for sensor in sensors)}",
        )
    refused: list[tuple[str, MeterError]] = []
    for sensor in chosen:
        try:
            meter = _open_sensor(sensor, site, wanted)
        except MeterError as error:
            refused.append((sensor.name, error))
            continue
        if refused:
            # Another rail than the one that comes first: whoever reads the figures must know.
            passed = "; ".join(f"not {name}: {error.message}" for name, error in refused)
            logger.warning("sensor=%s is used, %s", sensor.name, passed)
            meter.info = replace(meter.info, covers=f"{meter.info.covers}; {passed}")
        return meter
    raise _all_refused(refused)


def _matching(sensors: Sequence[Sensor], name: str) -> tuple[Sensor, ...]:
    """Sensors that a name or the beginning of one means; a whole name means that sensor alone."""
    exact = tuple(sensor for sensor in sensors if sensor.name == name)
    return exact or tuple(sensor for sensor in sensors if sensor.name.startswith(name))


def _open_sensor(sensor: Sensor, site: Site, wanted: Wanted) -> EnergySensor | PowerSensor:
    boundary = check_sensor(sensor, site.board, stated=wanted.boundary)
    clock, period_ns = site.clock, site.period_ns
    if sensor.energy_path is not None:
        return EnergySensor(
            sensor, sensor.energy_path, clock, boundary=boundary, period_ns=period_ns
        )
    return PowerSensor(sensor, clock, boundary=boundary, period_ns=period_ns)


def _all_refused(refused: Sequence[tuple[str, MeterError]]) -> MeterError:
    """The first refusal, naming the other sensors that were refused too."""
    (_, first), *others = refused
    if not others:
        return first
    names = ", ".join(name for name, _ in others)
    return type(first)(f"{first.message} (refused too: {names})", hint=first.hint)


SOURCE = Source(FACTS, _names, _open, boundary_is_wired=True)
