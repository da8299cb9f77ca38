"""What a model costs with an Edge TPU, against the same board's processor alone."""

from dataclasses import dataclass, replace

from green_edge.build.estimate.report import Coral, Layer, RuntimeEstimate
from green_edge.targets import physics
from green_edge.targets.check import CheckReport, check
from green_edge.targets.coral import CoralCost, HostCost, coral_cost
from green_edge.targets.edgetpu.compiled import Compiled
from green_edge.targets.physics import Range
from green_edge.targets.prediction import Prediction, predict
from green_edge.targets.registry import Target
from green_edge.tflite.model import TfliteModel
from green_edge_wire.errors import ConfigError, ModelError


@dataclass(frozen=True, slots=True)
class OnEdgeTpu:
    """What was found for an accelerator.

    Attributes:
        entry: of the runtime that drives it.
        layers: shares of the time, in the model's order.
        notes: what the figures need to be read.
    """

    coral: Coral
    entry: RuntimeEstimate
    layers: tuple[Layer, ...]
    notes: tuple[str, ...]


def accepted(model: TfliteModel, compiled: Compiled | None, target: Target) -> CheckReport:
    """Where each operation runs.

    Args:
        model: as the file has it.
        compiled: what that file holds if it is compiled.
        target: accelerator and host.

    Raises:
        ModelError: the compiler or the runtime refuses the model.
    """
    report = check(model, target, compiled=compiled)
    if report.verdict == "refused":
        problem = report.problems[0]
        raise ModelError(f"{target.ref.text} refuses it: {problem.what}", hint=problem.remedy)
    return report


def on_edgetpu(
    model: TfliteModel,
    compiled: Compiled | None,
    target: Target,
    alone: RuntimeEstimate | None,
    report: CheckReport,
    rate_rps: float | None,
) -> OnEdgeTpu:
    """Cost of a model on a target with an Edge TPU.

    Args:
        model: as the file has it.
        compiled: what the compiler made of it; None where there is no such file.
        target: accelerator and host.
        alone: cost on the host's processor alone; None where it is not known.
        report: of `accepted`.
        rate_rps: requests a second; None where no rate was given.

    Raises:
        ConfigError: no cost model is fitted for what stays on the processor.
        ModelError: no cost model knows all that stays there, or a compiled file alone that does
            not tell its cycles.
    """
    hosted = predict(model, replace(target, accelerator=None))
    if hosted.partial:
        what = "no cost model knows what loops or branches run inside, on the processor"
        raise ModelError(what, hint="estimate it for the board without the Edge TPU")
    # Without a cost of the whole model on the processor nothing is compared with it.
    whole = Range(0, 0) if alone is None else alone.latency_us
    cost = coral_cost(
        model,
        report.ops,
        target,
        HostCost(whole, _per_op_us(hosted, target)),
        compiled=compiled,
        rate_rps=rate_rps,
    )
    coral = replace(_coral(report, cost, compared=alone is not None), rate_rps=rate_rps)
    return OnEdgeTpu(
        coral=coral,
        entry=_entry(report, coral, hosted, target),
        layers=tuple(
            Layer(each.index, each.op, each.share, model.ops[each.index].name)
            for each in cost.timing.layers
        ),
        notes=cost.notes,
    )


def _per_op_us(hosted: Prediction, target: Target) -> tuple[Range, ...]:
    """What each operation takes on the host's processor."""
    board = physics.board_of(target)
    return tuple(
        physics.latency_us(
            each.instructions,
            each.bytes,
            dtype=hosted.dtype,
            board=board,
            error_ratio=hosted.error_ratio,
        )
        for each in hosted.per_op
    )


def _coral(report: CheckReport, cost: CoralCost, *, compared: bool) -> Coral:
    time, gross_uj, net_uj = cost.timing, cost.energy_uj, cost.net_energy_uj
    if gross_uj is None or net_uj is None:
        raise ConfigError("no power is known of the board", hint="name one that is: pi4, pi5")
    return Coral(
        link=time.link,
        tpu_ops=report.tpu_ops,
        cpu_ops=report.cpu_ops,
        cycles=time.cycles,
        streamed_bytes=time.streamed_bytes,
        compute_us=time.compute_us,
        transfer_us=time.transfer_us,
        streaming_us=time.streaming_us,
        launch_us=time.launch_us,
        host_us=time.host_us,
        latency_us=time.latency_us,
        energy_uj=gross_uj,
        net_energy_uj=net_uj,
        break_even=cost.break_even if compared else None,
    )


def _entry(
    report: CheckReport, coral: Coral, hosted: Prediction, target: Target
) -> RuntimeEstimate:
    left = (op.index for op in report.ops if op.placement != "tpu")
    return RuntimeEstimate(
        runtime=hosted.runtime,
        version=hosted.version,
        # The chip computes in nothing else.
        dtype="int8",
        core=hosted.core,
        arch=hosted.arch,
        instructions=round(sum(hosted.per_op[i].instructions for i in left)),
        how="analytic",
        error_ratio=hosted.error_ratio,
        latency_us=coral.latency_us,
        energy_uj=coral.energy_uj,
        net_energy_uj=coral.net_energy_uj,
        runs_there=True,
        accelerator=target.accelerator,
    )
