"""Rules of the layers that look at one sample at a time: what the TF converter makes of each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from green_edge.compress.graph.values import Node, Width
from green_edge.compress.lower.draft import ONE, Axes, Draft, times


@dataclass(frozen=True, slots=True)
class Fed:
    """What comes in.

    Attributes:
        tensor: of the draft.
        alone: whether nothing else takes it.
    """

    tensor: int
    alone: bool


@dataclass(frozen=True, slots=True)
class Call:
    """A layer's call to be drawn.

    Attributes:
        fed: what comes in, in order.
        axes: of what comes out.
        inner: width of an axis of one of the layer's variables (its name, axis, length).
    """

    node: Node
    fed: tuple[Fed, ...]
    axes: Axes
    inner: Callable[[str, int, int], Width]

    @property
    def config(self) -> Mapping[str, Any]:
        """Of the layer."""
        return self.node.config


Rule = Callable[[Draft, Call], int]


def name_of(setting: Any) -> str:
    """Name of an activation as Keras serialises it; `linear` without one."""
    if isinstance(setting, Mapping):
        held = setting.get("config")
        named = held.get("name") if isinstance(held, Mapping) else held
        setting = named if isinstance(named, str) else setting.get("class_name", "linear")
    return str(setting).lower() if setting else "linear"


def activate(draft: Draft, tensor: int, kind: str, *, alone: bool = True) -> int:
    """An activation function by its Keras name."""
    if kind == "softmax":
        return draft.op("SOFTMAX", [tensor], draft.axes(tensor))
    before = draft.lifted(tensor, alone=alone)
    if kind != "linear" and before is not None:
        return draft.reshape(activate(draft, before, kind), draft.axes(tensor))
    rule = _ACTIVATIONS.get(kind)
    if rule is None:
        return draft.op(kind.upper(), [tensor], draft.axes(tensor))
    return rule(draft, tensor, alone)


def _swish(draft: Draft, tensor: int, _: bool) -> int:
    gate = draft.op("LOGISTIC", [tensor], draft.axes(tensor))
    return draft.op("MUL", [tensor, gate], draft.axes(tensor))


def _hard_sigmoid(draft: Draft, tensor: int, alone: bool) -> int:
    moved = draft.shift(tensor, alone=alone)
    return draft.scale(draft.clamp(moved, "RELU6", alone=True), (), None, alone=True)


def _elu(draft: Draft, tensor: int, _: bool) -> int:
    axes = draft.axes(tensor)
    if draft.dtype != "int8":
        return draft.op("ELU", [tensor], axes)
    # It has no int8 kernel.
    plain = draft.op("DEQUANTIZE", [tensor], axes, dtype="float32")
    return draft.op("QUANTIZE", [draft.op("ELU", [plain], axes, dtype="float32")], axes)


def _selu(draft: Draft, tensor: int, _: bool) -> int:
    axes = draft.axes(tensor)
    positive = draft.op("GREATER", [tensor, draft.constant()], axes, dtype="bool")
    scaled = draft.op("MUL", [tensor, draft.constant()], axes)
    less = draft.op("SUB", [draft.op("EXP", [tensor], axes), draft.constant()], axes)
    other = draft.op("MUL", [less, draft.constant()], axes)
    return draft.op("SELECT", [positive, scaled, other], axes)


def _softplus(draft: Draft, tensor: int, _: bool) -> int:
    axes = draft.axes(tensor)
    more = draft.op("ADD", [draft.op("EXP", [tensor], axes), draft.constant()], axes)
    return draft.op("LOG", [more], axes)


def _plain(op: str) -> Callable[[Draft, int, bool], int]:
    return lambda draft, tensor, _: draft.op(op, [tensor], draft.axes(tensor))


def _clamped(op: str) -> Callable[[Draft, int, bool], int]:
    return lambda draft, tensor, alone: draft.clamp(tensor, op, alone=alone)


_ACTIVATIONS: dict[str, Callable[[Draft, int, bool], int]] = {
    "linear": lambda _, tensor, __: tensor,
    "relu": _clamped("RELU"),
    "relu6": _clamped("RELU6"),
    "sigmoid": _plain("LOGISTIC"),
    "tanh": _plain("TANH"),
    "leaky_relu": _plain("LEAKY_RELU"),
    "hard_swish": _plain("HARD_SWISH"),
    "hard_silu": _plain("HARD_SWISH"),
    "hard_sigmoid": _hard_sigmoid,
    "swish": _swish,
    "silu": _swish,
    "elu": _elu,
    "selu": _selu,
    "softplus": _softplus,
}


def activation_of(draft: Draft, call: Call, tensor: int) -> int:
    """The activation of a layer on what it made."""
    return activate(draft, tensor, name_of(call.config.get("activation")))


def activation_layer(draft: Draft, call: Call) -> int:
    """Layers that are an activation by name, of ReLU the one that its limits make."""
    config, kind, only = call.config, call.node.kind, call.fed[0]
    if kind == "Activation":
        name = name_of(config.get("activation"))
    elif kind == "ReLU" and config.get("negative_slope"):
        name = "leaky_relu"
    elif kind == "ReLU" and config.get("max_value") == 6:
        name = "relu6"
    else:
        name = _LAYERS.get(kind, kind.lower())
    return activate(draft, only.tensor, name, alone=only.alone)


_LAYERS = {"LeakyReLU": "leaky_relu", "ReLU": "relu", "ELU": "elu", "Softmax": "softmax"}


def prelu(draft: Draft, call: Call) -> int:
    """PReLU with a slope for each channel, or each element."""
    shared = call.config.get("shared_axes") or ()
    slopes = tuple(ONE if i in shared else each for i, each in enumerate(call.axes) if i)
    return draft.op("PRELU", [call.fed[0].tensor, draft.weights(slopes)], call.axes)


def dense(draft: Draft, call: Call) -> int:
    """Dense."""
    only = call.fed[0]
    tensor = only.tensor
    before = draft.lifted(tensor, alone=only.alone, channels=True)
    if before is not None and len(call.axes) == 2:
        tensor = before
    tensor = draft.unscaled(tensor, vectors=True, shifts=True, alone=only.alone)
    out, depth = call.axes[-1], draft.axes(tensor)[-1]
    made = draft.product("FULLY_CONNECTED", tensor, (out, depth), call.axes)
    return activation_of(draft, call, made)


def batch_norm(draft: Draft, call: Call) -> int:
    """BatchNormalization over the channels."""
    only = call.fed[0]
    before = draft.lifted(only.tensor, alone=only.alone, channels=True)
    tensor = only.tensor if before is None else before
    vector = (draft.axes(tensor)[-1],)
    made = draft.scale(tensor, vector, vector, alone=only.alone)
    return made if before is None else draft.reshape(made, call.axes)


def rescaling(draft: Draft, call: Call) -> int:
    """Rescaling by one number, with an offset or none."""
    only = call.fed[0]
    shift = () if call.config.get("offset") else None
    return draft.scale(only.tensor, (), shift, alone=only.alone)


def normalization(draft: Draft, call: Call) -> int:
    """Normalization by constants of the data."""
    tensor, axes = call.fed[0].tensor, call.axes
    constants = tuple(ONE for _ in axes[:-1]) + axes[-1:]
    less = draft.op("SUB", [tensor, draft.constant(constants)], axes)
    return draft.op("MUL", [less, draft.constant(constants)], axes)


def elementwise(op: str) -> Rule:
    """Add and its like of two tensors or more, one after the other."""

    def rule(draft: Draft, call: Call) -> int:
        if len(call.fed) == 1:
            return draft.op(op, [call.fed[0].tensor, draft.constant()], call.axes)
        made = call.fed[0].tensor
        for other in call.fed[1:]:
            made = draft.op(op, [made, other.tensor], call.axes)
        return made

    return rule


def average(draft: Draft, call: Call) -> int:
    """Average of tensors: their sum by a constant."""
    made = elementwise("ADD")(draft, call)
    return draft.op("MUL", [made, draft.constant()], call.axes)


def concatenate(draft: Draft, call: Call) -> int:
    """Concatenate along an axis."""
    axis = int(call.config.get("axis", -1)) % len(call.axes)
    return draft.op("CONCATENATION", [each.tensor for each in call.fed], call.axes, axis=axis)


def identity(draft: Draft, call: Call) -> int:
    """Layers that do nothing at inference."""
    del draft
    return call.fed[0].tensor


def reshape(draft: Draft, call: Call) -> int:
    """Flatten and Reshape."""
    only = call.fed[0]
    return draft.reshape(only.tensor, call.axes, alone=only.alone)


def permute(draft: Draft, call: Call) -> int:
    """Permute."""
    order = (0, *(int(each) for each in call.config["dims"]))
    return draft.op("TRANSPOSE", [call.fed[0].tensor, draft.whole(*order)], call.axes)


def pad(draft: Draft, call: Call) -> int:
    """Zero padding."""
    return draft.pad(call.fed[0].tensor, call.axes, _margins(call.config["padding"]))


def _margins(padding: Any) -> tuple[tuple[int, int], ...]:
    if isinstance(padding, int):
        return ((padding, padding), (padding, padding))
    return tuple((each, each) if isinstance(each, int) else (each[0], each[1]) for each in padding)


def crop(draft: Draft, call: Call) -> int:
    """Cropping."""
    return draft.op("STRIDED_SLICE", [call.fed[0].tensor, draft.whole(0)], call.axes)


def upsample(draft: Draft, call: Call) -> int:
    """UpSampling2D: repeats axis by axis, or one resize."""
    tensor, size = call.fed[0].tensor, call.config["size"]
    if call.config.get("interpolation", "nearest") != "nearest":
        return draft.op("RESIZE_BILINEAR", [tensor, draft.whole(0)], call.axes)
    factors = (size, size) if isinstance(size, int) else size
    for axis, factor in enumerate(factors, 1):
        axes = draft.axes(tensor)
        apart = (*axes[: axis + 1], ONE, *axes[axis + 1 :])
        repeated = (*axes[: axis + 1], Width(factor), *axes[axis + 1 :])
        joined = (*axes[:axis], times(axes[axis], factor), *axes[axis + 1 :])
        tensor = draft.reshape(tensor, apart)
        tensor = draft.op("TILE", [tensor, draft.whole(0)], repeated)
        tensor = draft.reshape(tensor, joined)
    return tensor


def embedding(draft: Draft, call: Call) -> int:
    """Embedding: negative ids count from the end, then rows are gathered."""
    ids = call.fed[0].tensor
    axes, types = draft.axes(ids), {"dtype": "int32"}
    zero = draft.whole(0)
    negative = draft.op("LESS", [ids, zero], axes, dtype="bool")
    wrapped = draft.op("ADD", [ids, zero], axes, **types)
    rows = draft.op("SELECT", [negative, wrapped, ids], axes, **types)
    table = draft.weights((Width(int(call.config["input_dim"])), call.axes[-1]))
    return draft.op("GATHER", [table, rows], call.axes, axis=0)


def unknown(draft: Draft, call: Call) -> int:
    """A layer without a rule: one operation of its name that reads and writes."""
    draft.unknown[draft.layer] = None
    inputs = [each.tensor for each in call.fed]
    return draft.op(call.node.kind.upper(), inputs, call.axes)
