"""From which request rate an accelerator spends less than its host's processor alone.

An accelerator draws power all the time; it pays where its savings at each request add up to more:

    crossover rate = its idle power / (energy of a request on the processor - on the accelerator)

Both energies are above the idle board, whose own power is spent either way and cancels. Ranges are
taken at their worst on both sides: between the two crossover rates the figures do not tell.
"""

import math
from dataclasses import dataclass
from typing import Literal

from green_edge.targets.physics import Bounds, Range
from green_edge_wire.units import UJ_PER_MJ

Choice = Literal["cpu", "tpu", "either", "neither"]
Name = Literal["cpu", "tpu"]

_US_PER_S = 1_000_000
_TITLES: dict[Name, str] = {"cpu": "processor, on one thread,", "tpu": "Edge TPU"}
# Requests a second that are listed where the user names none: one in 100 s to more than any board
# serves.
_RATES = (0.01, 0.1, 1.0, 10.0, 100.0, 1_000.0, 10_000.0)


@dataclass(frozen=True, slots=True)
class Way:
    """One way to serve requests on a board, one after the other.

    Attributes:
        latency_us: of one inference.
        idle_mw: what it draws above the idle board all the time, such as an accelerator's own.
        active_mw: what it draws above that while an inference runs.
    """

    latency_us: Range
    idle_mw: Bounds
    active_mw: Bounds

    @property
    def request_uj(self) -> Bounds:
        """Energy of one request beside `idle_mw`."""
        # A milliwatt for a microsecond is a nanojoule.
        low = self.latency_us.low * self.active_mw.low / UJ_PER_MJ
        return Bounds(low, self.latency_us.high * self.active_mw.high / UJ_PER_MJ)

    @property
    def capacity_rps(self) -> Bounds:
        """Requests a second beyond which it may not keep up, and beyond which it cannot."""
        slow, fast = max(self.latency_us.high, 1), max(self.latency_us.low, 1)
        return Bounds(_US_PER_S / slow, _US_PER_S / fast)

    def power_mw(self, rate_rps: float) -> Bounds | None:
        """Mean power above the idle board at a rate; None where it cannot keep up."""
        if rate_rps > self.capacity_rps.high:
            return None
        busy = Bounds(
            min(1.0, rate_rps * self.latency_us.low / _US_PER_S),
            min(1.0, rate_rps * self.latency_us.high / _US_PER_S),
        )
        low = self.idle_mw.low + busy.low * self.active_mw.low
        return Bounds(low, self.idle_mw.high + busy.high * self.active_mw.high)


@dataclass(frozen=True, slots=True)
class Crossover:
    """Requests a second: above `low` the accelerator may spend less, above `high` it surely does.

    Without `high` it is never sure.
    """

    low: float
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """What is best at one rate.

    Attributes:
        cpu_mw: mean power above the idle board; absent where the processor cannot keep up.
        tpu_mw: the same of the accelerator, with its idle power.
        may_fail: those that keep up at the low end of their latency, but not at the high end.
    """

    rate_rps: float
    choice: Choice
    cpu_mw: Bounds | None = None
    tpu_mw: Bounds | None = None
    may_fail: tuple[Name, ...] = ()


@dataclass(frozen=True, slots=True)
class BreakEven:
    """TPU, CPU or neither.

    Attributes:
        verdict: at the rate that was asked; without one `cpu` or `tpu` where that is best at every
            listed rate that anything may serve, else `either`. At a rate `either` means that the
            ranges do not tell which spends less, or whether the one that does keeps up; `neither`
            that nothing here keeps up.
        reason: a sentence.
        cpu_capacity_rps: beyond `low` the processor may not keep up, beyond `high` it cannot.
        tpu_capacity_rps: the same of the accelerator.
        rows: choices by rate, slowest first.
        crossover_rps: where the accelerator begins to spend less; absent where it never does.
    """

    verdict: Choice
    reason: str
    cpu_capacity_rps: Bounds
    tpu_capacity_rps: Bounds
    rows: tuple[Row, ...]
    crossover_rps: Crossover | None = None


def break_even(cpu: Way, tpu: Way, *, rate_rps: float | None = None) -> BreakEven:
    """Compare the processor alone with the accelerator on the same board.

    Args:
        cpu: inferences on the processor, the accelerator unplugged.
        tpu: inferences on the accelerator.
        rate_rps: the rate that is asked; without one the verdict is over all that are listed.
    """
    crossover = _crossover(cpu, tpu)
    wanted = sorted({*_RATES, *([] if rate_rps is None else [rate_rps])})
    rows = tuple(_row(cpu, tpu, crossover, rate) for rate in wanted)
    asked = next((row for row in rows if row.rate_rps == rate_rps), None)
    verdict = _overall(cpu, tpu, crossover) if asked is None else asked.choice
    return BreakEven(
        verdict=verdict,
        reason=_reason(cpu, tpu, crossover, asked),
        cpu_capacity_rps=cpu.capacity_rps,
        tpu_capacity_rps=tpu.capacity_rps,
        rows=rows,
        crossover_rps=crossover,
    )


def _crossover(cpu: Way, tpu: Way) -> Crossover | None:
    most = cpu.request_uj.high - tpu.request_uj.low
    least = cpu.request_uj.low - tpu.request_uj.high
    # A milliwatt over a microjoule is a thousand a second.
    low = UJ_PER_MJ * tpu.idle_mw.low / most if most > 0 else math.inf
    high = UJ_PER_MJ * tpu.idle_mw.high / least if least > 0 else math.inf
    if low > tpu.capacity_rps.high:
        return None
    return Crossover(low, high if high <= tpu.capacity_rps.high else None)


def _row(cpu: Way, tpu: Way, crossover: Crossover | None, rate_rps: float) -> Row:
    cpu_mw, tpu_mw = cpu.power_mw(rate_rps), tpu.power_mw(rate_rps)
    ways: dict[Name, Way] = {"cpu": cpu, "tpu": tpu}
    may_fail = tuple(
        name
        for name, way in ways.items()
        if way.capacity_rps.low < rate_rps <= way.capacity_rps.high
    )
    best = _best(cpu, tpu, crossover, rate_rps)
    choice = "either" if best in may_fail else best
    return Row(rate_rps, choice, _rounded(cpu_mw), _rounded(tpu_mw), may_fail)


def _rounded(power_mw: Bounds | None) -> Bounds | None:
    """To microwatts: what lies below is no figure."""
    return power_mw and Bounds(round(power_mw.low, 3), round(power_mw.high, 3))


def _best(cpu: Way, tpu: Way, crossover: Crossover | None, rate_rps: float) -> Choice:
    """What spends less, of those that may keep up."""
    if rate_rps > cpu.capacity_rps.high:
        return "neither" if rate_rps > tpu.capacity_rps.high else "tpu"
    if rate_rps > tpu.capacity_rps.high or crossover is None or rate_rps < crossover.low:
        return "cpu"
    sure = crossover.high is not None and rate_rps > crossover.high
    return "tpu" if sure else "either"


def _overall(cpu: Way, tpu: Way, crossover: Crossover | None) -> Choice:
    best = {_best(cpu, tpu, crossover, rate) for rate in _RATES} - {"neither"}
    return best.pop() if len(best) == 1 else "either"


def _reason(cpu: Way, tpu: Way, crossover: Crossover | None, asked: Row | None) -> str:
    too_slow = "" if asked is None else _too_slow(asked)
    if too_slow:
        return too_slow
    if crossover is not None:
        sure = (
            "at no rate surely" if crossover.high is None else f"surely above {crossover.high:.3g}"
        )
        may = f"above {crossover.low:.3g} requests/s" if crossover.low else "at any rate"
        return f"the Edge TPU may spend less {may}, {sure}"
    never = "at no rate does the Edge TPU save what it draws when idle"
    if cpu.capacity_rps.high < tpu.capacity_rps.high:
        return f"{never}; above {cpu.capacity_rps.high:.3g} requests/s it alone may keep up"
    return never


def _too_slow(row: Row) -> str:
    """Which of the two cannot keep up or may not; empty where both surely do."""
    if row.cpu_mw is None and row.tpu_mw is None:
        return "neither keeps up with this rate, one request after the other"
    if len(row.may_fail) == len(_TITLES):
        return "neither the processor, on one thread, nor the Edge TPU surely keeps up"
    powers: dict[Name, Bounds | None] = {"cpu": row.cpu_mw, "tpu": row.tpu_mw}
    cannot = [f"the {_TITLES[name]} cannot" for name, mw in powers.items() if mw is None]
    said = [*cannot, *(f"the {_TITLES[name]} may not" for name in row.may_fail)]
    return f"{', '.join(said)} keep up with this rate" if said else ""
