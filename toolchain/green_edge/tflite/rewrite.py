"""Rewrites an int8 .tflite so that the Edge TPU compiler takes it, without changing any output.

The compiler's interpreter is of 2021: it refuses newer versions of operations, some of them by
giving up the whole model. Converters of today ask for such versions in two ways. A feature may need
one: then the same arithmetic is written with older operations.

    FULLY_CONNECTED that keeps dimensions (v5)   one row: the same without, then RESHAPE
                                                 more rows: CONV_2D with a 1x1 kernel
    FULLY_CONNECTED of two inputs (v6)           a third input that is left out
    TRANSPOSE_CONV with activation (v4)          without; the activation where it cuts anything off

Or the version is higher than the operation needs (see `versions`): then it gets its own. What has
no rule here stays as it is. So does a CONV_2D in groups (v6): the runtimes' kernel for it rounds
otherwise than the one for a single group, so that convolutions of one group each would change
outputs by a step.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import frexp, prod
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from green_edge.tflite.edit import Editor
from green_edge.tflite.read import read
from green_edge.tflite.versions import lowest_version

_OPS = schema.BuiltinOperator
_ACTIVATIONS = schema.ActivationFunctionType
_MAX_INT8 = 127
_MIN_INT8 = -128


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A model for the Edge TPU compiler.

    Attributes:
        content: the file; the one given where nothing had to change.
        changes: what was changed, for people.
    """

    content: bytes
    changes: tuple[str, ...] = ()


def for_edgetpu(tflite: bytes) -> Rewritten:
    """Write a model with the oldest versions of operations that give the same outputs.

    Raises:
        ModelError: it is no .tflite, or broken.
    """
    read(tflite, static=False, zipped=False)
    plain = _without_new_features(tflite)
    lowered = _lowered(plain.content)
    return Rewritten(lowered.content, plain.changes + lowered.changes)


# --- versions ----------------------------------------------------------------------------------


def _lowered(tflite: bytes) -> Rewritten:
    facts, editor = read(tflite, static=False, zipped=False), Editor(tflite)
    counts: Counter[tuple[str, int, int]] = Counter()
    for op, operator in zip(facts.ops, editor.graph.operators or [], strict=True):
        lowest = lowest_version(op, facts.tensors)
        if lowest is not None and lowest < op.version:
            operator.opcodeIndex = editor.code(editor.builtin(operator), lowest)
            counts[op.op, op.version, lowest] += 1
    if not counts:
        return Rewritten(tflite)
    changes = (
        f"{name}: version {old} lowered to {new} in {n} operation{'s' if n > 1 else ''}"
        for (name, old, new), n in sorted(counts.items())
    )
    return Rewritten(editor.content(), tuple(changes))


# --- features ----------------------------------------------------------------------------------


def _without_new_features(tflite: bytes) -> Rewritten:
    editor = Editor(tflite)
    changes: list[str] = []
    kept: list[Any] = []
    for operator in editor.graph.operators or []:
        rule = _FEATURES.get(editor.builtin(operator))
        done = rule(editor, operator) if rule is not None and _is_plain(editor, operator) else None
        kept += [operator] if done is None else done[0]
        changes += [] if done is None else [f"{editor.name(operator.outputs[0])}: {done[1]}"]
    if not changes:
        return Rewritten(tflite)
    editor.graph.operators = kept
    return Rewritten(editor.content(), tuple(changes))


_Done = tuple[list[Any], str] | None


def _is_plain(editor: Editor, operator: Any) -> bool:
    """Whether all is int8 with scales and of known shape: what the rules below work on."""
    ends = (*(i for i in operator.inputs if i >= 0), *operator.outputs)
    tensors = [editor.graph.tensors[index] for index in ends]
    known = all(_is_known(tensor) for tensor in tensors)
    data = [tensor for tensor in tensors if tensor.type != schema.TensorType.INT32]
    return known and all(_is_int8(tensor) for tensor in data)


def _is_known(tensor: Any) -> bool:
    """Whether no axis is unknown, other than a batch that is stored, and run, as 1."""
    batch, *others = _list(tensor.shapeSignature) or [1]
    one = batch >= 0 or _list(tensor.shape)[:1] == [1]
    return one and all(n >= 0 for n in others)


def _is_int8(tensor: Any) -> bool:
    quantization = tensor.quantization
    scales = 0 if quantization is None or quantization.scale is None else len(quantization.scale)
    return tensor.type == schema.TensorType.INT8 and scales > 0


def _dense(editor: Editor, operator: Any) -> _Done:
    operator.inputs = [int(index) for index in operator.inputs]
    two = len(operator.inputs) == 2
    if two:
        operator.inputs.append(-1)
    options = operator.builtinOptions
    if options is None or not options.keepNumDims:
        return ([operator], "its bias is an input that is left out") if two else None
    source, result = operator.inputs[0], int(operator.outputs[0])
    shape = _shape(editor, source)
    rows = prod(shape[:-1])
    if rows > 1 and _conv_rounds_alike(editor, operator):
        return _dense_as_conv(editor, operator, shape), "dense rows written as a 1x1 convolution"
    options.keepNumDims = False
    flat = editor.tensor_like(result, "rows", (rows, _shape(editor, result)[-1]))
    operator.outputs = [flat]
    back = _reshape(editor, flat, result)
    return [operator, back], "dense rows written as a matrix and reshaped"


def _dense_as_conv(editor: Editor, operator: Any, shape: Sequence[int]) -> list[Any]:
    source, weights, bias = operator.inputs
    result = int(operator.outputs[0])
    channels, depth = _shape(editor, weights)
    kernel = editor.tensor_like(weights, "kernel", (channels, 1, 1, depth))
    before: list[Any] = []
    after: list[Any] = []
    if len(shape) != 4 or shape[0] != 1:
        rows = prod(shape[:-1])
        image = editor.tensor_like(source, "rows", (1, 1, rows, depth))
        before = [_reshape(editor, source, image)]
        made = editor.tensor_like(result, "rows", (1, 1, rows, channels))
        after = [_reshape(editor, made, result)]
        source, result = image, made
    if bias < 0:
        bias = _no_bias(editor, source, kernel, channels)
    options = schema.Conv2DOptionsT()
    options.padding = schema.Padding.VALID
    options.strideH = options.strideW = 1
    options.dilationHFactor = options.dilationWFactor = 1
    options.fusedActivationFunction = operator.builtinOptions.fusedActivationFunction
    conv = editor.operator(_OPS.CONV_2D, (source, kernel, bias), (result,), options)
    conv.opcodeIndex = editor.code(_OPS.CONV_2D, 3)
    return [*before, conv, *after]


def _no_bias(editor: Editor, source: int, kernel: int, channels: int) -> int:
    """Zeros for a convolution, which cannot leave its bias out as a dense layer can."""
    weights, data = editor.graph.tensors[kernel], editor.graph.tensors[source]
    bias = editor.whole_numbers(f"{editor.name(kernel)}/bias", [0] * channels)
    quantization = schema.QuantizationParametersT()
    scale = np.float32(data.quantization.scale[0])
    quantization.scale = [float(scale * np.float32(s)) for s in weights.quantization.scale]
    quantization.zeroPoint = [0] * len(quantization.scale)
    editor.graph.tensors[bias].quantization = quantization
    return bias


def _conv_rounds_alike(editor: Editor, operator: Any) -> bool:
    """Whether a convolution has the very multiplier of this dense layer.

    With one scale for all weights the runtime multiplies the two scales of a dense layer in single
    precision, those of a convolution in double (`kernel_util.cc`).
    """
    source, weights = (editor.graph.tensors[i].quantization for i in operator.inputs[:2])
    result = editor.graph.tensors[operator.outputs[0]].quantization
    if len(weights.scale) > 1:
        return True
    one, other = np.float32(source.scale[0]), np.float32(weights.scale[0])
    output = float(result.scale[0])
    dense, conv = float(one * other) / output, float(one) * float(other) / output
    return _multiplier(dense) == _multiplier(conv)


def _multiplier(value: float) -> tuple[int, int]:
    """Fixed-point form of a factor: 31 bits and a shift."""
    mantissa, shift = frexp(value)
    return round(mantissa * (1 << 31)), shift


def _transpose_conv(editor: Editor, operator: Any) -> _Done:
    options = operator.builtinOptions
    activation = _ACTIVATIONS.NONE if options is None else options.fusedActivationFunction
    follower = _FOLLOWERS.get(activation)
    if follower is None:
        return None
    result = int(operator.outputs[0])
    options.fusedActivationFunction = _ACTIVATIONS.NONE
    if _cuts_nothing(editor, result, activation):
        return [operator], "its activation cuts nothing off and is left out"
    before = editor.tensor_like(result, "before_activation", _shape(editor, result))
    operator.outputs = [before]
    after = editor.operator(follower, (before,), (result,))
    return [operator, after], "its activation is an operation of its own"


def _cuts_nothing(editor: Editor, index: int, activation: int) -> bool:
    """Whether the range of an int8 tensor already ends where an activation would cut it."""
    quantization = editor.graph.tensors[index].quantization
    scale, zero = float(quantization.scale[0]), int(_list(quantization.zeroPoint)[0])
    low, high = _LIMITS[activation]
    below = zero + round(low / scale) <= _MIN_INT8
    return below and (high is None or zero + round(high / scale) >= _MAX_INT8)


def _reshape(editor: Editor, source: int, result: int) -> Any:
    shape = _shape(editor, result)
    options = schema.ReshapeOptionsT()
    options.newShape = shape
    sizes = editor.whole_numbers(f"{editor.name(result)}/shape", shape)
    operator = editor.operator(_OPS.RESHAPE, (source, sizes), (result,), options)
    operator.opcodeIndex = editor.code(_OPS.RESHAPE, 1)
    return operator


def _shape(editor: Editor, index: int) -> list[int]:
    return _list(editor.graph.tensors[index].shape)


def _list(array: Any) -> list[int]:
    # An absent vector reads as the number 0.
    return [] if array is None or isinstance(array, int) else [int(n) for n in array]


_FEATURES: dict[int, Callable[[Editor, Any], _Done]] = {
    _OPS.FULLY_CONNECTED: _dense,
    _OPS.TRANSPOSE_CONV: _transpose_conv,
}
_FOLLOWERS = {
    _ACTIVATIONS.RELU: _OPS.RELU,
    _ACTIVATIONS.RELU6: _OPS.RELU6,
}
# Real values that each lets through; None without an end.
_LIMITS: dict[int, tuple[float, float | None]] = {
    _ACTIVATIONS.RELU: (0.0, None),
    _ACTIVATIONS.RELU6: (0.0, 6.0),
}
