"""What makes the Edge TPU compiler refuse a whole model, or crash on it, visible before it runs.

`fatal` names faults in the compiler's own words: it loads the model into an interpreter of its own
first, and what that one refuses is compiled in no part. `risks` names patterns at which it has
crashed or given up, though not always.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import prod

from green_edge.core.checks import Problem
from green_edge.targets.edgetpu.ops import facts
from green_edge.targets.edgetpu.predict import Placement
from green_edge.targets.edgetpu.rules import EIGHT_BIT
from green_edge.targets.lowering import is_grouped, lower
from green_edge.targets.words import where
from green_edge.tflite.model import Op, OpCode, Options, TfliteModel

COMPILED_OP = "edgetpu-custom-op"
# Customs that the compiler's interpreter has: those of register.cc in TensorFlow, and PoseNet's.
_CUSTOMS = {
    "AudioSpectrogram",
    "Mfcc",
    "NumericVerify",
    "PosenetDecoderOp",
    "TFLite_Detection_PostProcess",
}
# Operand that decides the shape of an operation's output: where it is computed, so is the shape.
_SHAPE_OPERANDS = {
    "BROADCAST_TO": (1,),
    "EXPAND_DIMS": (1,),
    "FILL": (0,),
    "MEAN": (1,),
    "PAD": (1,),
    "PADV2": (1,),
    "RANGE": (0, 1, 2),
    "REDUCE_MAX": (1,),
    "REDUCE_MIN": (1,),
    "RESHAPE": (1,),
    "RESIZE_BILINEAR": (1,),
    "RESIZE_NEAREST_NEIGHBOR": (1,),
    "SLICE": (1, 2),
    "SPLIT": (0,),
    "STRIDED_SLICE": (1, 2, 3),
    "SUM": (1,),
    "TILE": (1,),
    "TOPK_V2": (1,),
    "TRANSPOSE": (1,),
    "TRANSPOSE_CONV": (0,),
}
# Output shapes that depend on the values of the input.
_BY_VALUE = {"UNIQUE", "WHERE"}
# Largest bound of each activation, as kernels quantize it with the output's scale.
_BOUNDS = {"RELU": 0.0, "RELU6": 6.0, "RELU_N1_TO_1": 1.0}
_INT32_MAX = 2**31 - 1
# They change how values are stored, not the values.
_PASSED_ON = {"QUANTIZE", "RESHAPE"}
# Inputs this high or wide with such early layers failed as "large activation tensors"; models a
# little smaller passed.
_LARGE_INPUT = 512
_LARGE_ACTIVATION_BYTES = 2 << 20


def fatal(model: TfliteModel) -> tuple[Problem, ...]:
    """Faults at which the compiler stops, each in its own words."""
    compiled = next((op for op in model.ops if op.custom_code == COMPILED_OP), None)
    if compiled is not None:
        return (_compiled_already(compiled),)
    found = [*_unquantized(model), *_dynamic(model), *_unregistered(model), *_unresolved(model)]
    for op in model.ops:
        found += _overflow(model, op)
    return tuple(found)


def risks(model: TfliteModel, placements: Sequence[Placement]) -> tuple[Problem, ...]:
    """Patterns at which the compiler has crashed, failed or made nothing."""
    found = [
        *_add_of_pad_and_resize(model, placements),
        *_large_activations(model, placements),
        *_grouped(model),
    ]
    if placements and not any(place.placement in {"tpu", "unknown"} for place in placements):
        found.append(
            Problem(
                what="Number of Edge TPU subgraphs: 0",
                where="model",
                remedy="the first operation that can map decides; see why each one cannot",
            )
        )
    return tuple(found)


def _compiled_already(op: Op) -> Problem:
    return Problem(
        what=f"compiled already: it holds an {COMPILED_OP}",
        where=where([op]),
        remedy="give the int8 model that it was compiled from",
    )


def _unquantized(model: TfliteModel) -> Iterator[Problem]:
    computed = (model.tensors[i] for op in model.ops for i in op.outputs)
    if any(t.dtype in EIGHT_BIT and t.scale is not None for t in computed):
        return
    yield Problem(
        what="Invalid model: Model not quantized",
        where="model",
        remedy="quantize weights and activations to int8: green-edge build",
    )


def _dynamic(model: TfliteModel) -> Iterator[Problem]:
    words = (
        "Attempting to use a delegate that only supports static-sized tensors with a graph that "
        "has dynamic-sized tensors."
    )
    if model.dynamic:
        names = ", ".join(model.dynamic)
        yield Problem(
            what=words, where=f"input {names}", remedy="export it with every axis of a fixed size"
        )
    computed = [op for op in model.ops if _shape_is_computed(model, op)]
    if computed:
        yield Problem(
            what=words,
            where=where(computed),
            remedy="export with a fixed batch of 1, so that shapes become constants",
        )


def _shape_is_computed(model: TfliteModel, op: Op) -> bool:
    if op.op in _BY_VALUE:
        return True
    operands = _SHAPE_OPERANDS.get(op.op, ())
    indices = [op.inputs[i] for i in operands if i < len(op.inputs) and op.inputs[i] >= 0]
    # An operand of no elements, such as the shape of a scalar, has no content either.
    return any(not model.tensors[i].constant and prod(model.tensors[i].shape) for i in indices)


def _unregistered(model: TfliteModel) -> Iterator[Problem]:
    """Operations that the compiler's interpreter does not know, of the file's whole table."""
    for code in _codes(model):
        highest = facts().interpreter.get(code.op)
        if code.op in {"CUSTOM", "DELEGATE"} or (highest is not None and code.version <= highest):
            continue
        words = f"Didn't find op for builtin opcode '{code.op}' version '{code.version}'"
        ops = [op for op in model.ops if (op.op, op.version) == (code.op, code.version)]
        yield Problem(
            what=f"Invalid model: Model could not be parsed: {words}. Registration failed.",
            where=_of_code(ops),
            remedy=f"replace {code.op}; the compiler has no such operation"
            if highest is None
            else lower(model, ops, highest),
        )


def _unresolved(model: TfliteModel) -> Iterator[Problem]:
    for code in _codes(model):
        if code.op != "CUSTOM" or code.custom_code in _CUSTOMS:
            continue
        name = code.custom_code or "(unnamed)"
        remedy = (
            "convert without SELECT_TF_OPS, from layers that TFLite has"
            if name.startswith("Flex")
            else "end the model before it and run that part in your own code"
        )
        ops = [op for op in model.ops if (op.op, op.custom_code) == ("CUSTOM", code.custom_code)]
        yield Problem(f"Encountered unresolved custom op: {name}.", _of_code(ops), remedy)


def _codes(model: TfliteModel) -> list[OpCode]:
    """Types of operations of the main graph, in its order, then those of the table besides."""
    used = [OpCode(op.op, op.version, op.custom_code) for op in model.ops]
    return list(dict.fromkeys([*used, *model.codes]))


def _of_code(ops: Sequence[Op]) -> str:
    return where(ops) if ops else "an inner graph"


def _overflow(model: TfliteModel, op: Op) -> Iterator[Problem]:
    fused = op.op if op.op in _BOUNDS else (op.options or Options()).fused_activation
    bound = _BOUNDS.get(fused or "")
    scale = model.tensors[op.outputs[0]].scale if op.outputs else None
    if bound is None or scale is None or (scale > 0 and bound / scale <= _INT32_MAX):
        return
    yield Problem(
        what="no_integer_overflow_from_quantization was not true; "
        f"Node number {op.index} ({op.op}) failed to prepare.",
        where=where([op]),
        remedy=f"its output scale is {scale:g}: calibrate with samples that reach this layer, "
        "or remove the layer",
    )


def _add_of_pad_and_resize(
    model: TfliteModel, placements: Sequence[Placement]
) -> Iterator[Problem]:
    maker = {index: op for op in model.ops for index in op.outputs}
    for op, place in zip(model.ops, placements, strict=True):
        feeds = {_computed_by(maker, index) for index in op.inputs}
        resized = any(name.startswith("RESIZE_") for name in feeds)
        if op.op == "ADD" and place.placement == "tpu" and "PAD" in feeds and resized:
            yield Problem(
                what="Compilation failed! (the compiler has crashed on an ADD of a PAD and a "
                "resize)",
                where=where([op]),
                remedy="choose sizes that need no PAD there, or compile with -d -k 3",
            )


def _computed_by(maker: Mapping[int, Op], index: int) -> str:
    """Type of the operation that computes a tensor, behind those that only pass values on."""
    op = maker.get(index)
    while op is not None and op.op in _PASSED_ON:
        op = maker.get(op.inputs[0]) if op.inputs else None
    return "" if op is None else op.op


def _large_activations(model: TfliteModel, placements: Sequence[Placement]) -> Iterator[Problem]:
    sizes = [size for spec in model.inputs if len(spec.shape) == 4 for size in spec.shape[1:3]]
    if max(sizes, default=0) < _LARGE_INPUT:
        return
    largest = max(
        (
            (prod(model.tensors[index].shape), op.index)
            for op, place in zip(model.ops, placements, strict=True)
            if place.placement == "tpu"
            for index in op.outputs
        ),
        default=(0, 0),
    )
    if largest[0] >= _LARGE_ACTIVATION_BYTES:
        op = model.ops[largest[1]]
        yield Problem(
            what="Compilation failed due to large activation tensors in model. (may be: "
            f"{largest[0]:,} bytes)",
            where=where([op]),
            remedy="use a smaller input, or fewer channels in the first layers",
        )


def _grouped(model: TfliteModel) -> Iterator[Problem]:
    grouped = [op for op in model.ops if is_grouped(op, model)]
    if grouped:
        yield Problem(
            what="Compilation failed: Model failed in Tflite interpreter. (may be: a grouped "
            "convolution)",
            where=where(grouped),
            remedy="split it into convolutions of one group before it is quantized, or use a "
            "depthwise one; green-edge build leaves it, as no older operation rounds as it does",
        )
