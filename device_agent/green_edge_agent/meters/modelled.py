"""The modelled source: no meter at all, power from the busy share of the processors.

Its figures are of the kind `modelled` and say so wherever they go. Busy and idle time come from
`/proc/stat`, so whatever else runs on the machine is in the figure, as with a real meter; what
other machines take from a virtual one (`steal`) is in neither.
"""

from dataclasses import dataclass
from pathlib import Path

from green_edge_agent.meters.contract import ErrorBudget, Mean, Meter
from green_edge_agent.meters.power_models import PowerModel, model_for
from green_edge_agent.meters.source import Site, Source, Wanted
from green_edge_agent.meters.sysroot import read_text
from green_edge_wire.clock import Clock
from green_edge_wire.device import MeterInfo
from green_edge_wire.errors import MeterAbsentError, MeterReadError
from green_edge_wire.telemetry import FLAG_ASSUMED_BOARD
from green_edge_wire.units import NS_PER_MS

# The kernel counts in ticks of 10 ms; half a second of them resolves 2 % of one processor.
_PERIOD_NS = 500 * NS_PER_MS

FACTS = MeterInfo(
    name="model",
    kind="modelled",
    boundary="modelled",
    covers="nothing is measured: a line through idle and full load by the busy share of the "
    "processors",
    u_ratio=1.0,
)


@dataclass(frozen=True, slots=True)
class CpuTime:
    """Ticks of all processors together since they started."""

    busy: int
    idle: int


def parse_cpu_time(text: str) -> CpuTime:
    """Busy and idle ticks of the first line of `/proc/stat`.

    Waiting for a disk is idle; guests are already in `user` (kernel: Documentation/filesystems/
    proc.rst: user nice system idle iowait irq softirq steal guest guest_nice).

    Raises:
        MeterReadError: the text is not that of `/proc/stat`.
    """
    fields = text.partition("\n")[0].split()
    try:
        ticks = [int(field) for field in fields[1:8]]
    except ValueError:
        ticks = []
    if len(ticks) < 7 or fields[0] != "cpu":
        raise MeterReadError("/proc/stat does not begin with the ticks of all processors")
    user, nice, system, idle, iowait, irq, softirq = ticks
    return CpuTime(busy=user + nice + system + irq + softirq, idle=idle + iowait)


def busy_ratio(before: CpuTime, after: CpuTime) -> float | None:
    """Busy share between two readings; None when no tick has passed.

    The kernel's idle count may go back a little; a negative difference counts as 0.
    """
    busy = max(after.busy - before.busy, 0)
    idle = max(after.idle - before.idle, 0)
    return busy / (busy + idle) if busy + idle else None


class ModelledMeter:
    """Mean power since the last reading, out of the busy share in that time."""

    def __init__(self, root: Path, clock: Clock, model: PowerModel, *, period_ns: int) -> None:
        self._path = root / "proc" / "stat"
        self._clock = clock
        self._model = model
        self.period_ns = period_ns
        self.idle_uw: int | None = model.idle_uw
        self.budget = ErrorBudget(gain_ratio=model.u_ratio)
        self.info = MeterInfo(
            name=f"model:{model.board_id}",
            kind="modelled",
            boundary="modelled",
            covers=f"nothing is measured: a line over the processors' load, {model.origin}",
            u_ratio=model.u_ratio,
        )
        self._busy_ratio = 0.0
        self._last_ns = clock.monotonic_ns()
        self._last = self._read_cpu_time()

    def read(self) -> tuple[Mean, ...]:
        """Mean power since the last call; the last share again when no tick has passed.

        Raises:
            MeterReadError: `/proc/stat` cannot be read or is not one.
        """
        now = self._read_cpu_time()
        start_ns, end_ns = self._last_ns, self._clock.monotonic_ns()
        ratio = busy_ratio(self._last, now)
        if ratio is not None:
            self._busy_ratio = ratio
        self._last, self._last_ns = now, end_ns
        flags = (FLAG_ASSUMED_BOARD,) if self._model.assumed else ()
        return (Mean(start_ns, end_ns, self._model.power_uw(self._busy_ratio), flags),)

    def close(self) -> None:
        """Nothing is held open."""

    def _read_cpu_time(self) -> CpuTime:
        text = read_text(self._path)
        if text is None:
            raise MeterReadError(f"{self._path} cannot be read")
        return parse_cpu_time(text)


def _names(site: Site) -> tuple[str, ...]:
    return ("",) if (site.root / "proc" / "stat").exists() else ()


def _open(site: Site, _wanted: Wanted) -> Meter:
    if not _names(site):
        raise MeterAbsentError("no /proc/stat: the load of the processors is unknown")
    model = model_for(site.board, stated_id=site.board_id)
    return ModelledMeter(site.root, site.clock, model, period_ns=site.period_ns or _PERIOD_NS)


SOURCE = Source(FACTS, _names, _open)
