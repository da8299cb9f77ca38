"""What a model costs on a board's processor, with each runtime that installs there."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from green_edge.build.estimate.counting import Counts, is_emulated, setting_of
from green_edge.build.estimate.report import AtRate, How, Layer, RuntimeEstimate
from green_edge.emulate import Refusal
from green_edge.targets import physics, runtimes
from green_edge.targets.check import refused_by_runtime
from green_edge.targets.cost.shape import shapes_of
from green_edge.targets.physics import Bounds
from green_edge.targets.prediction import (
    PRICED_DENSE,
    Prediction,
    dtype_of,
    known_system,
    model_of,
    notes_of,
    predict,
    ranges_of,
)
from green_edge.targets.registry import Target
from green_edge.tflite.model import TfliteModel
from green_edge_wire.errors import ConfigError, ModelError
from green_edge_wire.units import UW_PER_MW

# Two counts of the same model differ by less (benchmarks/emulation.py).
_REPEATS_WITHIN_RATIO = 0.001
_US_PER_S = 1_000_000


@dataclass(frozen=True, slots=True)
class OnProcessor:
    """What was found for a processor.

    Attributes:
        entries: a runtime each, the one that the board's agent takes first.
        prediction: of the cost model for that one; None where none is fitted, or where it does not
            know all that runs.
        notes: what the figures need to be read, and what is missing among the entries.
    """

    entries: tuple[RuntimeEstimate, ...]
    prediction: Prediction | None
    notes: tuple[str, ...]


def with_runtimes(target: Target) -> tuple[Target, ...]:
    """A target's processor with each runtime that installs there, the preferred one first."""
    if target.place is None:
        return ()
    processor = replace(target, accelerator=None)
    return tuple(replace(processor, plan=plan) for plan in runtimes.plans(target.place))


def require_known(model: TfliteModel, target: Target, *, counted: bool) -> None:
    """Check that the cost on a target's processor can be told, before anything is counted.

    Args:
        model: to estimate.
        target: board and system.
        counted: whether instructions are to be counted.

    Raises:
        ConfigError: its own runtime is neither emulated nor in the cost model.
    """
    own = with_runtimes(target)[0]
    if counted and is_emulated(setting_of(own)):
        return
    try:
        model_of(own)
    except ConfigError:
        reason = "its runtime is not emulated" if counted else "as asked"
        raise _nothing_known(model, own, reason) from None


def on_processor(model: TfliteModel, target: Target, counts: Counts) -> OnProcessor:
    """Cost of a model on the processor of a target.

    Raises:
        ConfigError: neither a count nor a cost model is to be had for the board's own runtime.
        ModelError: that runtime refuses the model, in its own words.
    """
    own, *others = with_runtimes(target)
    prediction = _predicted(model, own)
    entries, notes = [_entry(model, own, counts, prediction)], []
    for other in others:
        try:
            entries.append(_entry(model, other, counts, _predicted(model, other)))
        except (ConfigError, ModelError) as error:
            notes.append(str(error))
    entries[0] = replace(entries[0], runs_there=True)
    notes += [*_of_prediction(prediction, model, own), *_of_model(model)]
    board = notes_of(target, shapes_of(model))
    return OnProcessor(tuple(entries), prediction, (*board, *notes, *_without_wheel(target)))


def layers(model: TfliteModel, prediction: Prediction) -> tuple[Layer, ...]:
    """Shares of the instructions as the cost model splits them, in the model's order."""
    total = sum(each.instructions for each in prediction.per_op) or 1.0
    return tuple(
        Layer(each.index, each.op, each.instructions / total, model.ops[each.index].name)
        for each in prediction.per_op
    )


def at_rate(rate_rps: float, entry: RuntimeEstimate, target: Target) -> AtRate:
    """A board that runs a model at a rate of requests, idle between them."""
    latency, net, idle = entry.latency_us, entry.net_energy_uj, physics.board_of(target).idle_mw
    busy = Bounds(latency.low * rate_rps / _US_PER_S, latency.high * rate_rps / _US_PER_S)
    power = Bounds(
        idle.low + net.low * rate_rps / UW_PER_MW, idle.high + net.high * rate_rps / UW_PER_MW
    )
    return AtRate(rate_rps, busy, power if busy.high <= 1 else None)


def _entry(
    model: TfliteModel, target: Target, counts: Counts, prediction: Prediction | None
) -> RuntimeEstimate:
    """Cost with one runtime.

    Raises:
        ConfigError: nothing is known of it.
        ModelError: the runtime refuses the model.
    """
    setting, shapes = setting_of(target), shapes_of(model)
    counted = counts.found.get(setting)
    if isinstance(counted, Refusal):
        # A runtime may take several lines to say it; an error is one.
        raise ModelError(f"{setting} refuses the model: {' '.join(counted.message.split())}")
    how: How = "analytic" if counted is None else "emulated"
    if counted is not None:
        instructions, error_ratio = counted.instructions, _REPEATS_WITHIN_RATIO
    else:
        # Nobody has asked the runtime itself.
        for problem in refused_by_runtime(model, target):
            what = f"{setting} refuses the model: {problem.what} ({problem.where})"
            raise ModelError(what, hint=problem.remedy)
        if prediction is None:
            raise _nothing_known(model, target, counts.why_not(setting))
        instructions, error_ratio = prediction.instructions, prediction.error_ratio
    dtype = (
        dtype_of(shapes, [op.macs for op in model.ops]) if prediction is None else prediction.dtype
    )
    spans = ranges_of(
        instructions,
        shapes,
        dtype=dtype,
        board=physics.board_of(target),
        error_ratio=error_ratio,
    )
    return RuntimeEstimate(
        runtime=setting.runtime,
        version=setting.version,
        dtype=dtype,
        core=setting.core,
        arch=setting.arch,
        instructions=instructions,
        how=how,
        error_ratio=error_ratio,
        latency_us=spans.latency_us,
        energy_uj=spans.energy_uj,
        net_energy_uj=spans.net_energy_uj,
    )


def _predicted(model: TfliteModel, target: Target) -> Prediction | None:
    """What the cost model says; None where it says nothing, or only of a part of the model."""
    try:
        found = predict(model, target)
    except ConfigError:
        return None
    return None if found.partial else found


def _of_prediction(
    prediction: Prediction | None, model: TfliteModel, target: Target
) -> Iterator[str]:
    if model.subgraphs > 1:
        yield (
            "loops or branches run inner graphs, which only a count of instructions knows: no "
            "shares of layers, no advice, and the memory that they move is not in the latency"
        )
    elif prediction is None:
        yield f"no cost model is fitted for {setting_of(target)}: no shares of layers, no advice"
    elif prediction.unknown:
        yield f"the cost model has no rule of its own for {', '.join(prediction.unknown)}"


def _of_model(model: TfliteModel) -> Iterator[str]:
    if model.dynamic:
        names = ", ".join(model.dynamic)
        yield f"axes without a fixed size are taken as 1 long: inputs {names}"
    if model.sparse_kernels:
        yield PRICED_DENSE


def _nothing_known(
    model: TfliteModel, target: Target, reason: str | None
) -> ConfigError | ModelError:
    why = f", and nothing was counted: {reason}" if reason else ""
    measure = "measure it there: green-edge bench --device"
    if model.subgraphs > 1:
        what = f"no cost model knows what loops or branches run inside{why}"
        return ModelError(what, hint=measure)
    what = f"no cost model is fitted for {setting_of(target)}{why}"
    return ConfigError(what, hint=f"{known_system(target)}, or {measure}")


def _without_wheel(target: Target) -> Iterator[str]:
    there = {each.runtime for each in with_runtimes(target)}
    for package in runtimes.packages():
        if package not in there:
            yield f"{package} has no wheel for {target.system}"
