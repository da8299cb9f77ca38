"""What a model costs on a Coral target: time and energy on the chip, and whether it pays.

The board around the chip is that of `physics`, the chip's own figures those of `edgetpu`. Whoever
asks says what the model costs on the processor, by counting or by prediction.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from green_edge.targets import physics
from green_edge.targets.break_even import BreakEven, Way, break_even
from green_edge.targets.edgetpu.accelerators import Power, facts, link_of, power_of
from green_edge.targets.edgetpu.compiled import Compiled
from green_edge.targets.edgetpu.predict import Placement
from green_edge.targets.edgetpu.timing import Timing, timing
from green_edge.targets.physics import Board, Bounds, Range
from green_edge.targets.registry import Target
from green_edge.tflite.model import TfliteModel
from green_edge_wire.errors import ConfigError

_NOTHING = Bounds(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class HostCost:
    """What a model takes on the processor alone, one thread.

    Attributes:
        latency_us: of the whole model.
        per_op_us: of each operation, in its order; None for one of which no cost is known.
    """

    latency_us: Range
    per_op_us: tuple[Range | None, ...]


@dataclass(frozen=True, slots=True)
class CoralCost:
    """Costs of one inference.

    Attributes:
        timing: where the time goes.
        notes: what is assumed, a sentence each.
        sources: of the figures of the chip, by name.
        energy_uj: of the board with the accelerator while an inference runs (gross); absent where
            nothing is known of the board's power.
        net_energy_uj: above the same board idle with the accelerator.
        break_even: the Edge TPU against the processor alone.
    """

    timing: Timing
    notes: tuple[str, ...]
    sources: dict[str, str]
    energy_uj: Range | None = None
    net_energy_uj: Range | None = None
    break_even: BreakEven | None = None


def coral_cost(
    model: TfliteModel,
    placements: Sequence[Placement],
    target: Target,
    host: HostCost | None,
    *,
    compiled: Compiled | None = None,
    rate_rps: float | None = None,
) -> CoralCost:
    """Cost of a model on a Coral target.

    Args:
        model: before compilation.
        placements: where each operation runs, from `edgetpu.predict`.
        target: a Coral on its host.
        host: what the same model takes on the host's processor; None where that is not known.
        compiled: the same model compiled; its code and streamed bytes then count.
        rate_rps: requests a second that the verdict is for.

    Raises:
        ConfigError: no Coral target.
    """
    power = power_of(target)
    per_op = (None,) * len(model.ops) if host is None else host.per_op_us
    time = timing(model, placements, link_of(target), host_us=per_op, compiled=compiled)
    cost = CoralCost(time, (*time.notes, *power.notes), facts().sources)
    board = _board(target)
    if board is None:
        note = "no power is known of the board: no energy, and no break-even with its processor"
        return replace(cost, notes=(*cost.notes, note))
    active_mw = _active_mw(board, power)
    pays = None
    if host is not None:
        cpu = Way(host.latency_us, _NOTHING, board.one_core_mw)
        tpu = Way(time.latency_us, power.idle_mw, active_mw)
        pays = break_even(cpu, tpu, rate_rps=rate_rps)
    return replace(
        cost,
        energy_uj=physics.energy(time.latency_us, _gross_mw(board, power)),
        net_energy_uj=physics.energy(time.latency_us, active_mw),
        break_even=pays,
    )


def _board(target: Target) -> Board | None:
    try:
        return physics.board_of(target)
    except ConfigError:
        return None


def _gross_mw(board: Board, power: Power) -> Bounds:
    """Board and accelerator together; the processor waits, or works as hard as it can."""
    low = board.idle_mw.low + power.active_mw.low
    return Bounds(low, board.busy_mw.high + power.active_mw.high)


def _active_mw(board: Board, power: Power) -> Bounds:
    """Above board and accelerator idle."""
    low = max(0.0, power.active_mw.low - power.idle_mw.high)
    high = power.active_mw.high - power.idle_mw.low + board.one_core_mw.high
    return Bounds(low, high)
