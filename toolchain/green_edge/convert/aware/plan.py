"""Where a student's weights and activations are quantized, decided on the graph of layer calls.

The rules follow what the converter makes of a graph: activations are fused into the layer before,
and pooling, reshaping and the like hand the scale of their input on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from green_edge_wire.errors import ModelError

# A call: a convolution or dense layer; normalisation; an activation that is fused into the layer
# before; one with an output of its own; one whose output has a fixed scale; one that keeps its
# input's scale; one that is absent when the model runs.
Kind = Literal["weights", "norm", "fused", "own", "fixed", "same", "absent"]

_KINDS: dict[str, Kind] = {
    **dict.fromkeys(("Conv1D", "Conv2D", "DepthwiseConv2D", "Conv2DTranspose", "Dense"), "weights"),
    "BatchNormalization": "norm",
    **dict.fromkeys(("ReLU", "Relu", "Relu6"), "fused"),
    **dict.fromkeys(("Softmax", "Sigmoid", "Tanh"), "fixed"),
    **dict.fromkeys(("Dropout", "SpatialDropout1D", "SpatialDropout2D", "GaussianNoise",
                     "GaussianDropout", "AlphaDropout", "ActivityRegularization",
                     "Identity"), "absent"),
    **dict.fromkeys(("Flatten", "Reshape", "Permute", "Transpose", "ZeroPadding1D",
                     "ZeroPadding2D", "Cropping1D", "Cropping2D", "MaxPooling1D", "MaxPooling2D",
                     "AveragePooling1D", "AveragePooling2D", "UpSampling1D",
                     "UpSampling2D"), "same"),
    **dict.fromkeys(("Add", "Subtract", "Multiply", "Concatenate", "Maximum", "Minimum",
                     "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalMaxPooling1D",
                     "GlobalMaxPooling2D", "LeakyReLU", "PReLU"), "own"),
}  # fmt: skip
# The converter fuses an activation into these alone.
_FUSING = frozenset({"Add", "Subtract", "Multiply"})
_ACTIVATIONS: dict[str, Kind] = {
    "linear": "absent",
    "relu": "fused",
    "relu6": "fused",
    "softmax": "fixed",
    "sigmoid": "fixed",
    "tanh": "fixed",
}


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a layer or operation, in the order of execution.

    Attributes:
        layer: identity of the layer object; a shared layer has several calls.
        name: of the layer, for messages.
        layer_class: name of its class.
        activation: name of its activation function; `linear` for a layer without one.
        sources: calls whose outputs it takes; -1 for an input of the model.
        last_axis: False for a normalisation over another axis than the last.
    """

    layer: int
    name: str
    layer_class: str
    activation: str
    sources: tuple[int, ...]
    last_axis: bool = True


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of a call in the student.

    Attributes:
        kind: see `Kind`.
        norm: the call of the normalisation that is folded into these weights.
        split: the activation is called apart, because its input has a scale of its own.
        skip: nothing is left of it.
        quantize: its output passes through fake quantization.
    """

    kind: Kind
    norm: int | None = None
    split: bool = False
    skip: bool = False
    quantize: bool = False


def make_plan(calls: Sequence[Call], outputs: Sequence[int]) -> tuple[Step, ...]:
    """Decide for each call.

    Args:
        calls: of the whole graph.
        outputs: the calls whose outputs are the model's.

    Raises:
        ModelError: a layer that fine-tuning has no rule for, named.
    """
    kinds = [_kind(call) for call in calls]
    users = _users(calls, outputs)
    times = [sum(other.layer == call.layer for other in calls) for call in calls]
    folded = {
        user: i
        for i, call in enumerate(calls)
        if (user := _only(users[i])) is not None
        and kinds[i] == "weights"
        and call.activation == "linear"
        and kinds[user] == "norm"
        and times[i] == times[user] == 1
    }
    norms = {conv: norm for norm, conv in folded.items()}
    steps = []
    for i, (call, kind) in enumerate(zip(calls, kinds, strict=True)):
        split = kind == "weights" and _ACTIVATIONS[call.activation] == "fixed"
        skip = kind == "absent" or i in folded
        gives = kind in {"weights", "norm", "fused", "own"} and i not in norms
        user = _only(users[i])
        fusing = call.layer_class in _FUSING or kind in {"weights", "norm"}
        fused_next = (
            fusing and call.activation == "linear" and user is not None and kinds[user] == "fused"
        )
        quantize = gives and not fused_next
        steps.append(Step(kind, norms.get(i), split, skip, quantize))
    return tuple(steps)


def _kind(call: Call) -> Kind:
    if not call.last_axis:
        raise ModelError(f"fine-tuning folds no normalisation over another axis: {call.name!r}")
    if call.layer_class == "Activation":
        if call.activation in _ACTIVATIONS:
            return _ACTIVATIONS[call.activation]
    elif call.layer_class in _KINDS and call.activation in _ACTIVATIONS:
        return _KINDS[call.layer_class]
    what = call.layer_class
    if call.activation != "linear":
        what += f" with activation {call.activation}"
    raise ModelError(
        f"fine-tuning has no rule for layer {call.name!r} ({what})",
        hint="train it quantization-aware in your own framework, or leave 'fine-tune' out",
    )


def _users(calls: Sequence[Call], outputs: Sequence[int]) -> list[list[int | None]]:
    """Calls that take each call's output; None for the world outside."""
    users: list[list[int | None]] = [[] for _ in calls]
    for i, call in enumerate(calls):
        for source in call.sources:
            if source >= 0:
                users[source].append(i)
    for output in outputs:
        users[output].append(None)
    return users


def _only(users: Sequence[int | None]) -> int | None:
    return users[0] if len(users) == 1 else None
