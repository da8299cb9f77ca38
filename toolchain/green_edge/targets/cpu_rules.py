"""Whether an inference runtime on a processor runs a model's operations, and what slows it there.

A runtime that registers an operation's version has a kernel; that the kernel takes every type is
not said by it. A file whose versions are too low for its types loads, and fails when it is
prepared: the self-test of a bundle shows that.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import Literal

from green_edge.core.checks import Problem
from green_edge.targets import words
from green_edge.targets.edgetpu.predict import Placement
from green_edge.targets.registry import Target
from green_edge.targets.runtimes import Runtime
from green_edge.tflite.model import Op, OpCode, Tensor, TfliteModel

RUNS = "Runs on the CPU"
NO_RUNTIME = "No runtime"
UNSUPPORTED = "Operation not supported"
UNSUPPORTED_VERSION = "Operation version not supported"
RESCALED = "Output quantized otherwise than the input"
NO_DATA = "Not known"
EDGETPU_OP = "edgetpu-custom-op"

# Operations of TensorFlow itself, which the small runtimes leave out.
SELECT_TENSORFLOW = "Flex"
_QUANTIZED = ("int8", "uint8")
# Of axes, shapes and the like.
_SIZES = ("int32", "int64")
_Place = Literal["cpu", "none", "unknown"]
# They change the type of their input: a float operand of theirs is no float computation.
_CASTS = ("QUANTIZE", "DEQUANTIZE", "CAST")


def place(op: Op, runtime: Runtime | None) -> Placement:
    """Say whether a runtime runs an operation.

    Args:
        op: of the model.
        runtime: that the system has; None where none has a wheel for it.
    """
    placement, status, reason = _found(op, runtime)
    return Placement(
        index=op.index,
        op=op.op,
        version=op.version,
        placement=placement,
        status=status,
        reason=reason,
        confidence="guess" if placement == "unknown" else "proven",
        custom_code=op.custom_code,
    )


def _found(  # noqa: PLR0911 - a table
    op: Op | OpCode, runtime: Runtime | None
) -> tuple[_Place, str, str]:
    if runtime is None:
        return "none", NO_RUNTIME, "no runtime has a wheel for this system"
    if not runtime.ops:
        return "unknown", NO_DATA, f"nobody has asked {runtime.title}"
    if op.op == "CUSTOM":
        if op.custom_code in runtime.custom:
            return "cpu", RUNS, ""
        return "none", UNSUPPORTED, f"{runtime.title} has no such custom operation"
    highest, lowest = runtime.ops.get(op.op, 0), runtime.lowest.get(op.op, 1)
    if lowest <= op.version <= highest:
        return "cpu", RUNS, ""
    if highest:
        return "none", UNSUPPORTED_VERSION, f"{runtime.title} has versions {lowest} to {highest}"
    return "none", UNSUPPORTED, f"{runtime.title} has no {op.op}"


def place_all(model: TfliteModel, runtime: Runtime | None) -> tuple[Placement, ...]:
    """Place every operation of the main graph, in its order."""
    rows = []
    for op in model.ops:
        row = place(op, runtime)
        if row.placement == "cpu" and runtime is not None and _rescaled(op, model, runtime):
            reason = f"XNNPACK of {runtime.title} takes it only with one scale and zero point"
            row = replace(row, placement="none", status=RESCALED, reason=reason)
        rows.append(row)
    return tuple(rows)


def rescaled(model: TfliteModel, rows: Sequence[Placement]) -> tuple[Problem, ...]:
    """Operations that move values and shall change their scale too, which XNNPACK refuses.

    It takes such an operation over and then fails to prepare it, and with it the whole model.
    """
    found = tuple(op for op, row in zip(model.ops, rows, strict=True) if row.status == RESCALED)
    if not found:
        return ()
    kinds = ", ".join(sorted({words.kind(op) for op in found}))
    return (
        Problem(
            what=f"failed to delegate {kinds}: (TfLiteXNNPackDelegate) failed to prepare. Its "
            "output is quantized otherwise than its input",
            where=words.where(found),
            remedy="give its output the scale and zero point of its input: convert again with a "
            "current converter, or put a QUANTIZE behind it; runtimes without XNNPACK take it",
        ),
    )


def _rescaled(op: Op, model: TfliteModel, runtime: Runtime) -> bool:
    if op.op not in runtime.one_scale:
        return False
    operands = _inputs(op, model)
    data = [t for t in operands if not t.constant and t.dtype in _QUANTIZED]
    sizes = [t for t in operands if t.dtype in _SIZES]
    strides = operands[3].values if op.op == "STRIDED_SLICE" and len(operands) > 3 else None
    # XNNPACK leaves those with computed sizes, and slices with strides, to the runtime's kernel.
    if len(data) != 1 or not all(t.constant for t in sizes) or set(strides or (1,)) != {1}:
        return False
    before = (data[0].scale, data[0].zero_point)
    return any((t.scale, t.zero_point) != before for t in (model.tensors[i] for i in op.outputs))


def refusals(model: TfliteModel, rows: Sequence[Placement], newest: Runtime) -> tuple[Problem, ...]:
    """Problems of what a runtime does not run, in its own words, one for each kind of operation.

    Args:
        model: the model.
        rows: where its operations run.
        newest: the runtime that has the most, to say whether it would help.
    """
    refused = [op for op, row in zip(model.ops, rows, strict=True) if _not_run(row)]
    refused.sort(key=lambda op: (words.kind(op), op.version))
    return tuple(
        _refusal(tuple(same), model, newest)
        for _, same in groupby(refused, key=lambda op: (words.kind(op), op.version))
    )


def inner_refusals(model: TfliteModel, runtime: Runtime | None) -> tuple[Problem, ...]:
    """Operations of inner graphs (control flow), or of none, that a runtime does not have.

    It looks up the file's whole table before it loads a graph.
    """
    shown = {OpCode(op.op, op.version, op.custom_code) for op in model.ops}
    return tuple(
        Problem(
            what=f"Didn't find op for builtin opcode '{code.op}' version '{code.version}'",
            where="an inner graph",
            remedy="convert with an older converter, or replace the layer",
        )
        for code in model.codes
        if code not in shown
        and code.op != "CUSTOM"
        and runtime is not None
        and _found(code, runtime)[0] == "none"
    )


def _not_run(row: Placement) -> bool:
    return row.placement == "none" and row.status not in (NO_RUNTIME, RESCALED)


def _refusal(ops: Sequence[Op], model: TfliteModel, newest: Runtime) -> Problem:
    op, places = ops[0], words.where(ops)
    if op.custom_code == EDGETPU_OP:
        remedy = "give the int8 file that it was compiled from, or a coral target"
        return Problem("it is compiled for an Edge TPU", places, remedy)
    if op.custom_code is not None and op.custom_code.startswith(SELECT_TENSORFLOW):
        what = (f"Select TensorFlow op(s), included in the given model, is(are) not supported by "
                f"this interpreter: {op.custom_code}")  # fmt: skip
        remedy = "convert without SELECT_TF_OPS; put layers that have builtin operations instead"
        return Problem(what, places, remedy)
    if op.op == "CUSTOM":
        what = f"Encountered unresolved custom op: {op.custom_code}"
        return Problem(what, places, "take it out of the model and compute it after the inference")
    what = f"Didn't find op for builtin opcode '{op.op}' version '{op.version}'"
    return Problem(what, places, _remedy(op, model, newest))


def _remedy(op: Op, model: TfliteModel, newest: Runtime) -> str:
    if op.op == "FULLY_CONNECTED" and _hybrid(op, model):
        return (
            "its weights are int8 and its activations float: quantize the activations too "
            "(green-edge build with --calibration)"
        )
    if place(op, newest).placement == "cpu":
        return f"use a 64-bit system: {newest.title} has it; or convert with an older converter"
    return "convert with an older converter, or replace the layer"


def float_islands(model: TfliteModel) -> tuple[Problem, ...]:
    """Operations that compute in float between int8 ones."""
    floats = tuple(op for op in model.ops if _computes_in(op, model, ("float32",)))
    quantized = len(quantized_ops(model))
    if not floats or not quantized:
        return ()
    kinds = ", ".join(sorted({words.kind(op) for op in floats}))
    return (
        Problem(
            what=f"{len(floats)} of {len(floats) + quantized} operations compute in float32 in an "
            f"int8 model: {kinds}",
            where=words.where(floats),
            remedy="give the quantizer calibration samples that reach them, or replace the layers "
            "by ones that it can quantize",
        ),
    )


def float_ends(model: TfliteModel) -> tuple[Problem, ...]:
    """Inputs and outputs in float of a model that computes in int8."""
    if not quantized_ops(model):
        return ()
    names = [spec.name for spec in (*model.inputs, *model.outputs) if spec.dtype == "float32"]
    if not names:
        return ()
    return (
        Problem(
            what="float32 input or output of an int8 model costs a QUANTIZE or DEQUANTIZE at every "
            "inference",
            where=", ".join(names),
            remedy="convert with int8 input and output, as green-edge build does",
        ),
    )


def slow_int8(ops: Sequence[Op], runtime: Runtime, target: Target) -> tuple[Problem, ...]:
    """Int8 operations without the fast kernels.

    Figures: MLPerf Tiny models on x86-64 (latency) and on an emulated Cortex-A72 (instructions),
    and SSDLite MobileNetV2 on a Pi 4 with a 32-bit system in github.com/NobuoTsukamoto/benchmarks.

    Args:
        ops: those that compute in int8 on the CPU.
        runtime: that runs them.
        target: where.
    """
    if runtime.xnnpack_int8 is not False or not ops:
        return ()
    slow = Problem(
        what=f"{runtime.title} runs int8 without XNNPACK: 1.5 to 30 times slower than float on "
        "x86-64, 0.9 to 3 times float's instructions on an emulated Cortex-A72",
        where=words.where(ops),
        remedy="use a 64-bit system with ai-edge-litert, or measure the float model beside it"
        if target.accelerator is None
        else "change them so that the Edge TPU takes them",
    )
    if target.arch != "armv7l":
        return (slow,)
    trap = Problem(
        what="with one thread a 32-bit system ran int8 slower than float: SSDLite MobileNetV2 on "
        "a Pi 4 took 249 ms for 225 ms",
        where="the 32-bit system",
        remedy="use a 64-bit system: there int8 took half of float's time, with four threads",
    )
    return (slow, trap)


def slow_int16(model: TfliteModel) -> tuple[Problem, ...]:
    """Operations on int16 activations, for which no runtime has fast kernels."""
    slow = tuple(op for op in model.ops if _computes_in(op, model, ("int16",)))
    if not slow:
        return ()
    what = "int16 activations run without XNNPACK in every runtime: slower than int8 and than float"
    remedy = "keep int16 to the few layers that need it, and measure"
    return (Problem(what, words.where(slow), remedy),)


def dynamic_shapes(model: TfliteModel) -> tuple[Problem, ...]:
    """Inputs with an unknown axis beside the batch: nothing that feeds them knows its size."""
    if not model.dynamic:
        return ()
    names = ", ".join(repr(name) for name in model.dynamic)
    return (
        Problem(
            what="dynamic shape: an axis other than the batch is unknown, and the runtime takes 1",
            where=f"input {names}",
            remedy="export the model with a fixed shape",
        ),
    )


def computed_shapes(model: TfliteModel) -> tuple[Problem, ...]:
    """Shapes that the model computes while it runs, which XNNPACK does not take."""
    shapes = tuple(op for op in model.ops if op.op == "SHAPE")
    if not shapes:
        return ()
    return (
        Problem(
            what="it computes shapes while it runs, and what depends on them runs without XNNPACK",
            where=words.where(shapes),
            remedy="convert with the batch fixed to 1, as green-edge build does",
        ),
    )


def quantized_ops(model: TfliteModel) -> tuple[Op, ...]:
    """Operations that compute on 8-bit activations."""
    return tuple(op for op in model.ops if _computes_in(op, model, _QUANTIZED))


def _computes_in(op: Op, model: TfliteModel, dtypes: Sequence[str]) -> bool:
    activations = [t for t in _inputs(op, model) if not t.constant]
    results = [model.tensors[i] for i in op.outputs]
    return (
        op.op not in _CASTS
        and any(t.dtype in dtypes for t in activations)
        and any(t.dtype in dtypes for t in results)
    )


def _hybrid(op: Op, model: TfliteModel) -> bool:
    return [t.dtype for t in _inputs(op, model)[:2]] == ["float32", "int8"]


def _inputs(op: Op, model: TfliteModel) -> list[Tensor]:
    return [model.tensors[i] for i in op.inputs if i >= 0]
