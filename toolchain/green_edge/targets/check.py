"""Whether a model runs on a target, where each operation runs, and what to change."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from green_edge.core.checks import Problem
from green_edge.targets import cpu_rules, runtimes, system_rules
from green_edge.targets.edgetpu import memory, risks
from green_edge.targets.edgetpu.compiled import Compiled
from green_edge.targets.edgetpu.predict import Placement, predict
from green_edge.targets.edgetpu.verdict import MAPPED
from green_edge.targets.edgetpu_advice import left_to_cpu, newer_than_driver, streamed
from green_edge.targets.registry import Target
from green_edge.targets.runtimes import Runtime, RuntimePlan
from green_edge.tflite.model import Op, TfliteModel

Verdict = Literal["runs", "partial", "refused", "unknown"]


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check found.

    Attributes:
        target: as the user named it.
        verdict: `partial` where an accelerator leaves operations to the CPU.
        ops: in the model's order.
        tpu_ops: number of them on the accelerator.
        cpu_ops: number of them on the CPU.
        parameter_bytes: of the accelerator's memory where there is one, else weights in the file.
        parameter_memory: whether they stay in that memory.
        problems: the worst first.
        runtime: what runs the model there; absent where no runtime has a wheel.
        libedgetpu: release of the Edge TPU's driver library that goes with it.
        notes: what to mind with the accelerator's host.
    """

    target: str
    verdict: Verdict
    ops: tuple[Placement, ...]
    tpu_ops: int
    cpu_ops: int
    parameter_bytes: int
    parameter_memory: memory.Fit
    problems: tuple[Problem, ...]
    runtime: RuntimePlan | None = None
    libedgetpu: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Findings:
    """What the rules of a kind of target say.

    Attributes:
        refusals: problems at which the model does not run at all.
        advice: problems with which it runs.
    """

    rows: tuple[Placement, ...]
    refusals: tuple[Problem, ...]
    advice: tuple[Problem, ...]
    parameter_bytes: int
    parameter_memory: memory.Fit


def check(model: TfliteModel, target: Target, *, compiled: Compiled | None = None) -> CheckReport:
    """Check a model against a target.

    Args:
        model: read without regard to dynamic shapes.
        target: where it shall run.
        compiled: what the model's compiled operations hold, where it has been compiled already.
    """
    runtime = None if target.plan is None else runtimes.load(target.plan.name)
    if target.accelerator is None:
        found = _on_cpu(model, target, runtime)
    elif compiled is not None:
        found = _compiled(model, target, runtime, compiled)
    else:
        found = _on_edgetpu(model, target, runtime)
    refusals = (*system_rules.no_runtime(target), *found.refusals)
    advice = (
        *system_rules.old_python(target),
        *system_rules.too_large(target, model),
        *found.advice,
    )
    return CheckReport(
        target=target.ref.text,
        verdict=_verdict(found.rows, refusals),
        ops=found.rows,
        tpu_ops=_count(found.rows, "tpu"),
        cpu_ops=_count(found.rows, "cpu"),
        parameter_bytes=found.parameter_bytes,
        parameter_memory=found.parameter_memory,
        problems=(*refusals, *advice),
        runtime=target.plan,
        libedgetpu=target.libedgetpu,
        notes=target.notes,
    )


def _on_cpu(model: TfliteModel, target: Target, runtime: Runtime | None) -> _Findings:
    rows = cpu_rules.place_all(model, runtime)
    advice = (
        *(
            ()
            if runtime is None
            else cpu_rules.slow_int8(cpu_rules.quantized_ops(model), runtime, target)
        ),
        *cpu_rules.slow_int16(model),
        *cpu_rules.float_islands(model),
        *cpu_rules.float_ends(model),
        *cpu_rules.computed_shapes(model),
    )
    return _Findings(
        rows=rows,
        refusals=(
            *cpu_rules.dynamic_shapes(model),
            *refused_by_runtime(model, target),
        ),
        advice=advice,
        parameter_bytes=sum(op.weight_bytes for op in model.ops),
        parameter_memory="borderline" if system_rules.too_large(target, model) else "fits",
    )


def refused_by_runtime(model: TfliteModel, target: Target) -> tuple[Problem, ...]:
    """Why the runtime of a target's processor does not load a model, in its own words."""
    runtime = None if target.plan is None else runtimes.load(target.plan.name)
    rows = cpu_rules.place_all(model, runtime)
    return (
        *cpu_rules.refusals(model, rows, runtimes.newest()),
        *cpu_rules.rescaled(model, rows),
        *cpu_rules.inner_refusals(model, runtime),
    )


def _on_edgetpu(model: TfliteModel, target: Target, runtime: Runtime | None) -> _Findings:
    rows = predict(model)
    count = memory.parameter_bytes(model, rows)
    left = tuple(op for op, row in zip(model.ops, rows, strict=True) if row.placement != "tpu")
    fatal, crashes = risks.fatal(model), risks.risks(model, rows)
    # With nothing on the chip the compiler writes no file that is worth having.
    nothing = not any(row.placement in ("tpu", "unknown") for row in rows)
    slow = tuple(op for op in cpu_rules.quantized_ops(model) if op in left)
    return _Findings(
        rows=rows,
        refusals=(*fatal, *crashes) if fatal or nothing else _host_refusals(model, left, runtime),
        advice=(
            *(() if fatal or nothing else crashes),
            *(() if fatal and nothing else left_to_cpu(model, rows)),
            *memory.streamed_layers(model, rows),
            *(() if runtime is None else cpu_rules.slow_int8(slow, runtime, target)),
        ),
        parameter_bytes=count,
        parameter_memory=memory.fits(count),
    )


def _host_refusals(
    model: TfliteModel, left: Sequence[Op], runtime: Runtime | None
) -> tuple[Problem, ...]:
    """What the Edge TPU leaves to the host has to run there."""
    hosted = replace(model, ops=tuple(left))
    rows = [cpu_rules.place(op, runtime) for op in left]
    return (
        *cpu_rules.refusals(hosted, rows, runtimes.newest()),
        *cpu_rules.inner_refusals(model, runtime),
    )


def _compiled(
    model: TfliteModel, target: Target, runtime: Runtime | None, compiled: Compiled
) -> _Findings:
    rows = tuple(
        _chip(op) if op.custom_code == cpu_rules.EDGETPU_OP else cpu_rules.place(op, runtime)
        for op in model.ops
    )
    left = (op for op in model.ops if op.custom_code != cpu_rules.EDGETPU_OP)
    hosted = replace(model, ops=tuple(left))
    return _Findings(
        rows=rows,
        refusals=(
            *newer_than_driver(compiled, target.libedgetpu),
            *cpu_rules.refusals(model, rows, runtimes.newest()),
            *cpu_rules.inner_refusals(model, runtime),
        ),
        advice=(
            *cpu_rules.float_ends(model),
            *(
                ()
                if runtime is None
                else cpu_rules.slow_int8(cpu_rules.quantized_ops(hosted), runtime, target)
            ),
            *streamed(compiled),
        ),
        parameter_bytes=compiled.cached_bytes + compiled.streamed_bytes,
        parameter_memory="streams" if compiled.streamed_bytes else "fits",
    )


def _chip(op: Op) -> Placement:
    row = Placement(op.index, op.op, op.version, "tpu", MAPPED, "it was compiled", "proven")
    return replace(row, custom_code=op.custom_code)


def _verdict(rows: Sequence[Placement], refusals: Sequence[Problem]) -> Verdict:
    placements = {row.placement for row in rows}
    if refusals or "none" in placements:
        return "refused"
    if "unknown" in placements:
        return "unknown"
    return "partial" if {"tpu", "cpu"} <= placements else "runs"


def _count(rows: Sequence[Placement], placement: str) -> int:
    return sum(row.placement == placement for row in rows)
