"""What meters there are, what they cover, how sure they are, and what they read now: as data."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from green_edge_agent.energy.recorder import EnergyRecorder
from green_edge_agent.meters.board import read_board
from green_edge_agent.meters.choose import DEFAULT_PREFERENCE, choose, survey
from green_edge_wire.clock import Clock
from green_edge_wire.device import MeterInfo
from green_edge_wire.telemetry import Boundary, EnergyReading, MeterKind
from green_edge_wire.units import uw_from_uj_ns

_SPAN_S = 0.5


@dataclass(frozen=True, slots=True)
class MeterRow:
    """One meter of the machine, usable or not.

    Attributes:
        in_use: the preference list chooses it.
        u_ratio: expanded uncertainty (k=2), relative.
        power_uw: mean over a short span, only of the meter in use.
        flags: of that reading.
        refusal: why it cannot be used, with the remedy.
    """

    name: str
    kind: MeterKind
    boundary: Boundary
    covers: str
    u_ratio: float
    in_use: bool = False
    power_uw: int | None = None
    flags: tuple[str, ...] = ()
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class MeterReport:
    """The machine and its meters, the one in use first."""

    board: str
    board_id: str
    meters: tuple[MeterRow, ...]


def report(
    root: Path,
    *,
    clock: Clock,
    prefer: Sequence[str] = DEFAULT_PREFERENCE,
    board: str | None = None,
    wait: Callable[[float], object] = time.sleep,
) -> MeterReport:
    """Look for all meters and read the chosen one over half a second.

    Args:
        root: see `sysroot`.
        clock: stamps the readings.
        prefer: the preference list, see `choose`.
        board: id for the modelled source instead of the detected one.
        wait: lets some seconds pass.

    Raises:
        ConfigError: the list or the board names nothing that we know.
    """
    machine = read_board(root)
    rows = {info.name: _row(info) for info in survey(root, clock=clock, board=board)}
    choice = choose(prefer, root, clock=clock, board=board)
    for info in choice.refusals:
        rows.setdefault(info.name, _row(info))
    if choice.meter is not None:
        recorder = EnergyRecorder(choice.meter, clock)
        reading = _read(recorder, clock, wait)
        recorder.stop()
        rows[recorder.info.name] = _row_in_use(recorder.info, reading)
    ordered = sorted(rows.values(), key=lambda row: (not row.in_use, row.refusal is not None))
    return MeterReport(machine.model, machine.board_id, tuple(ordered))


def _read(recorder: EnergyRecorder, clock: Clock, wait: Callable[[float], object]) -> EnergyReading:
    recorder.sample_once()
    start_ns = clock.monotonic_ns()
    wait(_SPAN_S)
    return recorder.close_window(start_ns, clock.monotonic_ns())


def _row(info: MeterInfo) -> MeterRow:
    return MeterRow(
        info.name, info.kind, info.boundary, info.covers, info.u_ratio, refusal=info.refusal
    )


def _row_in_use(info: MeterInfo, reading: EnergyReading) -> MeterRow:
    power_uw = uw_from_uj_ns(reading.energy_uj, reading.window_ns) if reading.window_ns else None
    return MeterRow(
        info.name,
        info.kind,
        info.boundary,
        info.covers,
        reading.u_ratio,
        in_use=True,
        power_uw=power_uw,
        flags=reading.flags,
    )
