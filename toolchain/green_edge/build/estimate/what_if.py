"""The same model with other channels, types or factored layers, for a cost model to be asked about.

Nothing here computes anything that could be run: only the shapes and types of tensors change, and a
cost model looks at nothing else.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from green_edge.targets.cost.shape import OpShape
from green_edge.tflite.model import Op, Tensor, TfliteModel

# Their filters hold the channels that come in and those that go out.
_MIXERS = frozenset({"CONV_2D", "FULLY_CONNECTED"})
# What goes in on a channel comes out on the same one.
_CARRIERS = frozenset({
    "ABS", "ADD", "AVERAGE_POOL_2D", "DEPTHWISE_CONV_2D", "DEQUANTIZE", "DIV", "ELU", "EXP",
    "HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "MAXIMUM", "MAX_POOL_2D", "MEAN", "MINIMUM", "MUL",
    "PAD", "PADV2", "PRELU", "QUANTIZE", "RELU", "RELU6", "RELU_N1_TO_1", "RESHAPE",
    "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "RSQRT", "SQUARE", "SUB", "TANH",
})  # fmt: skip
_FLOAT = "float32"
_INT8 = "int8"


@dataclass(frozen=True, slots=True)
class ChannelGroup:
    """Tensors that have the same channels, so that one more or less changes all of them.

    Attributes:
        channels: how many; the length of the last axis.
        tensors: activations of the group.
        makers: operations whose filters make these channels, in the model's order.
    """

    channels: int
    tensors: frozenset[int]
    makers: tuple[int, ...]


def channel_groups(model: TfliteModel) -> tuple[ChannelGroup, ...]:
    """Groups whose channels are the model's own to choose, in the order of their first layers.

    Those of inputs and outputs are not, and neither are those that an operation mixes with others
    in a way that is not followed here, such as a concatenation or a flattening.
    """
    groups = _united(model)
    taken = {i for op in model.ops for i in op.inputs}
    ends = {i for op in model.ops for i in op.outputs} - taken
    fixed = {groups[i] for i in (*model.input_indices, *model.output_indices, *ends)}
    fixed |= {groups[i] for op in model.ops for i in _entangled(op, model)}
    found: dict[int, list[int]] = {}
    for op in model.ops:
        if op.op in _MIXERS and op.outputs and groups[op.outputs[0]] not in fixed:
            found.setdefault(groups[op.outputs[0]], []).append(op.index)
    return tuple(
        ChannelGroup(
            channels=model.tensors[model.ops[makers[0]].outputs[0]].shape[-1],
            tensors=frozenset(i for i, own in enumerate(groups) if own == root),
            makers=tuple(makers),
        )
        for root, makers in found.items()
    )


def with_channels(model: TfliteModel, group: ChannelGroup, channels: int) -> TfliteModel:
    """The model with another number of channels in a group."""
    changed = {i: _last(model.tensors[i].shape, channels) for i in group.tensors}
    for op in model.ops:
        weights = _weights(op)
        if weights is None:
            continue
        shape = changed.get(weights, model.tensors[weights].shape)
        makes, takes = op.outputs[0] in group.tensors, op.inputs[0] in group.tensors
        if op.op == "DEPTHWISE_CONV_2D":
            shape = _last(shape, channels) if makes else shape
        else:
            shape = (channels, *shape[1:]) if makes else shape
            shape = _last(shape, channels) if takes else shape
        changed[weights] = shape
    return replace(
        model,
        tensors=tuple(
            replace(tensor, shape=changed[i]) if i in changed else tensor
            for i, tensor in enumerate(model.tensors)
        ),
    )


def folded(model: TfliteModel) -> TfliteModel:
    """The model with what DEQUANTIZE makes of constants, such as float16 weights, as constants.

    These are float32 tensors of the length that they have in the file, and weights of what takes
    them. The operations stay at their places and cost nothing.
    """
    stored_bytes = {
        op.outputs[0]: model.tensors[op.inputs[0]].constant_bytes
        for op in model.ops
        if op.op == "DEQUANTIZE" and model.tensors[op.inputs[0]].constant
    }
    tensors = tuple(
        replace(tensor, constant_bytes=stored_bytes.get(i, tensor.constant_bytes))
        for i, tensor in enumerate(model.tensors)
    )
    ops = tuple(
        replace(op, weight_bytes=0)
        if stored_bytes.keys() & set(op.outputs)
        else replace(
            op, weight_bytes=op.weight_bytes + sum(stored_bytes.get(i, 0) for i in op.inputs)
        )
        for op in model.ops
    )
    return replace(model, tensors=tensors, ops=ops)


def with_dtype(model: TfliteModel, dtype: str) -> TfliteModel:
    """The model with float32 activations and weights in int8, or with int8 ones in float32.

    What turned the one type into the other is left out.
    """
    before = _FLOAT if dtype == _INT8 else _INT8
    ops = tuple(op for op in model.ops if op.op not in {"QUANTIZE", "DEQUANTIZE"})
    tensors = tuple(replace(t, dtype=dtype) if t.dtype == before else t for t in model.tensors)
    return replace(model, ops=ops, tensors=tensors)


def factored(shape: OpShape, rank: int) -> tuple[OpShape, OpShape]:
    """A fully connected layer as two, with `rank` values between them."""
    out, taken = shape.weights
    between = (*shape.output[:-1], rank)
    return (
        replace(shape, output=between, weights=(rank, taken)),
        replace(shape, data=between, weights=(out, rank)),
    )


def _united(model: TfliteModel) -> list[int]:
    """For each tensor the one that stands for its group."""
    root = list(range(len(model.tensors)))

    def find(i: int) -> int:
        while root[i] != i:
            i = root[i]
        return i

    for op in model.ops:
        if op.op in _CARRIERS:
            first, *rest = _followed(op, model)
            for other in rest:
                root[find(other)] = find(first)
    return [find(i) for i in range(len(root))]


def _followed(op: Op, model: TfliteModel) -> tuple[int, ...]:
    """Activations that a carrier ties together: those as wide as its output."""
    output = op.outputs[0]
    channels = _channels(model.tensors[output])
    inputs = (i for i in op.inputs if i >= 0 and not model.tensors[i].constant)
    return (output, *(i for i in inputs if _channels(model.tensors[i]) == channels))


def _entangled(op: Op, model: TfliteModel) -> Iterable[int]:
    """Tensors of an operation that are as wide as they are for a reason not followed here."""
    touched = {i for i in (*op.inputs, *op.outputs) if i >= 0 and not model.tensors[i].constant}
    if op.op in _MIXERS:
        # A matrix that is computed, or an input that the layer flattens first.
        weights = _weights(op)
        plain = weights is not None and (
            _channels(model.tensors[op.inputs[0]]) == model.tensors[weights].shape[-1]
        )
        return () if plain else touched
    if op.op not in _CARRIERS or not op.outputs:
        return touched
    return touched if touched - set(_followed(op, model)) else ()


def _weights(op: Op) -> int | None:
    weighted = op.op in _MIXERS or op.op == "DEPTHWISE_CONV_2D"
    return op.inputs[1] if weighted and len(op.inputs) > 1 and op.inputs[1] >= 0 else None


def _channels(tensor: Tensor) -> int:
    return tensor.shape[-1] if tensor.shape else 0


def _last(shape: tuple[int, ...], length: int) -> tuple[int, ...]:
    return (*shape[:-1], length)
