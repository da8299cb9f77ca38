"""Power over time with its exact integral, and meters that see it; truth is analytic."""

from collections.abc import Callable
from dataclasses import dataclass

from green_edge_agent.meters.contract import Count, ErrorBudget, Mean, Point, Reading
from green_edge_wire.clock import Clock
from green_edge_wire.device import MeterInfo
from green_edge_wire.errors import MeterReadError
from green_edge_wire.telemetry import MeterKind
from green_edge_wire.units import NS_PER_S


@dataclass(frozen=True, slots=True)
class Bursts:
    """Idle power with a burst of `active_uw` in the first `busy_ns` of every `period_ns`."""

    idle_uw: int
    active_uw: int
    busy_ns: int
    period_ns: int
    phase_ns: int = 0

    def power_uw(self, at_ns: int) -> int:
        busy = (at_ns + self.phase_ns) % self.period_ns < self.busy_ns
        return self.active_uw if busy else self.idle_uw

    def energy_uj(self, start_ns: int, end_ns: int) -> float:
        """Exact energy between two moments."""
        busy_ns = self._busy_until(end_ns) - self._busy_until(start_ns)
        idle_ns = end_ns - start_ns - busy_ns
        return (self.active_uw * busy_ns + self.idle_uw * idle_ns) / NS_PER_S

    def _busy_until(self, at_ns: int) -> int:
        periods, rest_ns = divmod(at_ns + self.phase_ns, self.period_ns)
        return periods * self.busy_ns + min(rest_ns, self.busy_ns)


class WaveMeter:
    """A meter of any kind that sees a waveform; implements `meters.contract.Meter`."""

    def __init__(self, wave: Bursts, clock: Clock, kind: MeterKind, *, period_ns: int) -> None:
        self._wave = wave
        self._clock = clock
        self._kind = kind
        self._period_ns = period_ns
        self._origin_ns = clock.monotonic_ns()
        self._last_ns = self._origin_ns
        self.broken = False
        self.flags: tuple[str, ...] = ()
        self.closed = False

    @property
    def info(self) -> MeterInfo:
        return MeterInfo("wave", self._kind, "board-dc-in", "a waveform", 0.01)

    @property
    def budget(self) -> ErrorBudget:
        return ErrorBudget(gain_ratio=0.01)

    @property
    def period_ns(self) -> int:
        return self._period_ns

    @property
    def idle_uw(self) -> int | None:
        return self._wave.idle_uw if self._kind == "modelled" else None

    def read(self) -> tuple[Reading, ...]:
        if self.broken:
            raise MeterReadError("the wave meter is unplugged")
        now_ns, last_ns = self._clock.monotonic_ns(), self._last_ns
        self._last_ns = now_ns
        if self._kind == "counter":
            total_uj = round(self._wave.energy_uj(self._origin_ns, now_ns))
            return (Count(now_ns, 0, total_uj, self.flags),)
        if self._kind == "point":
            return (Point(now_ns, 0, self._wave.power_uw(now_ns), self.flags),)
        if now_ns == last_ns:
            return ()
        energy_uj = self._wave.energy_uj(last_ns, now_ns)
        power_uw = round(energy_uj * NS_PER_S / (now_ns - last_ns))
        return (Mean(last_ns, now_ns, power_uw, self.flags),)

    def close(self) -> None:
        self.closed = True


def advancing_wait(advance_s: Callable[[float], None], rounds: int) -> Callable[[float], bool]:
    """A `wait` for a sampling loop that moves a manual clock and ends it after some rounds."""
    left = [rounds]

    def wait(duration_s: float) -> bool:
        advance_s(duration_s)
        left[0] -= 1
        return left[0] < 0

    return wait
