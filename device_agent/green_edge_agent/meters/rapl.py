"""RAPL: the energy counters of x86 processors, through the kernel's powercap tree.

Adds the zones named `package-*` and the `dram` zones below them. `core` and `uncore` are parts of
a package and `psys` overlaps it, so they are never added (kernel: Documentation/power/powercap).
Each zone wraps at a range of its own, hence every zone has its own endless counter.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from green_edge_agent.meters.contract import Count, ErrorBudget, Meter
from green_edge_agent.meters.counter import EndlessCounter
from green_edge_agent.meters.source import Site, Source, Wanted
from green_edge_agent.meters.sysroot import read_int, read_optional_int, read_text
from green_edge_wire.clock import Clock
from green_edge_wire.device import MeterInfo
from green_edge_wire.errors import MeterAbsentError, MeterReadError
from green_edge_wire.telemetry import FLAG_RESET, FLAG_STALE
from green_edge_wire.units import NS_PER_MS, NS_PER_S, UW_PER_W

_ZONE = re.compile(r"^intel-rapl:\d+(:\d+)?$")
# Above any processor package that is sold; tells a wrapped counter from a reset one.
_MAX_PACKAGE_UW = 1_000 * UW_PER_W
# A package that is switched on uses energy: a counter that stands still this long is not running.
_STALE_AFTER_NS = NS_PER_S
_PERIOD_NS = 500 * NS_PER_MS
# Assumption, from no data sheet: RAPL is a model inside of the processor on many generations.
_BUDGET = ErrorBudget(gain_ratio=0.10)

FACTS = MeterInfo(
    name="rapl",
    kind="counter",
    boundary="cpu-package",
    covers="processor packages and their memory where the processor counts it; not the rest of "
    "the machine, not the power supply's loss",
    u_ratio=_BUDGET.gain_ratio,
)


@dataclass(frozen=True, slots=True)
class Zone:
    """One energy counter of the powercap tree."""

    name: str
    energy_path: Path
    wraps_at_uj: int | None


def find_zones(root: Path) -> tuple[Zone, ...]:
    """Zones that may be added without counting anything twice, in the tree's order."""
    base = root / "sys" / "class" / "powercap"
    folders = sorted(base.iterdir()) if base.is_dir() else []
    zones = []
    for folder in folders:
        name = read_text(folder / "name") or ""
        if _ZONE.match(folder.name) and (name.startswith("package-") or name == "dram"):
            wraps_at_uj = read_optional_int(folder / "max_energy_range_uj")
            zones.append(Zone(name, folder / "energy_uj", wraps_at_uj or None))
    return tuple(zones)


class RaplMeter:
    """The sum of a machine's package and memory counters."""

    def __init__(self, zones: tuple[Zone, ...], clock: Clock, *, period_ns: int) -> None:
        self._clock = clock
        self.period_ns = period_ns
        self.budget = _BUDGET
        self.idle_uw: int | None = None
        self._counters = tuple(
            (zone, EndlessCounter(wraps_at_uj=zone.wraps_at_uj, max_power_uw=_MAX_PACKAGE_UW))
            for zone in zones
        )
        self._moved_at_ns = clock.monotonic_ns()
        self._seen_uj = 0
        self.info = MeterInfo(
            name="rapl",
            kind="counter",
            boundary="cpu-package",
            covers=f"{' + '.join(zone.name for zone in zones)}; not the rest of the machine, not "
            "the power supply's loss",
            u_ratio=_BUDGET.gain_ratio,
        )
        self.read()

    def read(self) -> tuple[Count, ...]:
        """Read all zones, one after the other.

        Raises:
            MeterReadError: a zone cannot be read.
        """
        before_ns = self._clock.monotonic_ns()
        values = [read_int(zone.energy_path) for zone, _ in self._counters]
        after_ns = self._clock.monotonic_ns()
        at_ns = (before_ns + after_ns) // 2
        steps = [
            counter.advance(value, at_ns)
            for (_, counter), value in zip(self._counters, values, strict=True)
        ]
        total_uj = sum(counter.total_uj for _, counter in self._counters)
        flags = (FLAG_RESET,) if any(step.reset for step in steps) else ()
        if total_uj > self._seen_uj:
            self._seen_uj, self._moved_at_ns = total_uj, at_ns
        elif at_ns - self._moved_at_ns >= _STALE_AFTER_NS:
            flags = (*flags, FLAG_STALE)
        return (Count(at_ns, (after_ns - before_ns) // 2, total_uj, flags),)

    def close(self) -> None:
        """Nothing is held open."""


def _names(site: Site) -> tuple[str, ...]:
    return ("",) if find_zones(site.root) else ()


def _open(site: Site, _wanted: Wanted) -> Meter:
    zones = find_zones(site.root)
    if not zones:
        raise MeterAbsentError(
            "no RAPL package zone in /sys/class/powercap",
            hint="normal on ARM boards and in virtual machines",
        )
    if all(read_int(zone.energy_path) == 0 for zone in zones):
        raise MeterReadError(
            "the RAPL counters stand at 0",
            hint="a virtual machine may show them without counting; measure on its host",
        )
    return RaplMeter(zones, site.clock, period_ns=site.period_ns or _PERIOD_NS)


SOURCE = Source(FACTS, _names, _open)
