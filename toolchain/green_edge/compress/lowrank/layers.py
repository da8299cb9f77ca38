"""What stands in the place of a layer that is split, as values: it can be priced unbuilt."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from green_edge.compress.graph.values import Graph, Node, Width
from green_edge.compress.lowrank.factors import Factors
from green_edge.core.steps import Form

Array = NDArray[Any]

_CONVOLUTIONS = {"Conv1D", "Conv2D"}
_SEPARABLE = {"SeparableConv1D": "Conv1D", "SeparableConv2D": "Conv2D"}
_REFUSED = {
    **dict.fromkeys(
        ("DepthwiseConv1D", "DepthwiseConv2D"),
        "depthwise: one input a channel has no rank to lower",
    ),
    **dict.fromkeys(
        ("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"),
        "transposed: its windows overlap in the outputs",
    ),
    "Conv3D": "three-dimensional convolutions are not split",
    "Embedding": "looked up, not multiplied: a second layer would only add work",
    **dict.fromkeys(
        ("LSTM", "GRU", "SimpleRNN", "Bidirectional", "RNN", "ConvLSTM1D", "ConvLSTM2D"),
        "recurrent: the cell of the converter takes whole kernels only",
    ),
    **dict.fromkeys(
        ("MultiHeadAttention", "GroupQueryAttention", "EinsumDense"),
        "its products over several axes have no layers to be split into",
    ),
}


@dataclass(frozen=True, slots=True)
class Piece:
    """One of the layers that stand in a layer's place.

    Attributes:
        kind: name of the class.
        config: as Keras serialises it.
        shape: of its output, without the batch.
    """

    kind: str
    config: Mapping[str, Any]
    shape: tuple[int | None, ...]

    @property
    def name(self) -> str:
        """Of the layer."""
        return str(self.config["name"])


@dataclass(frozen=True, slots=True)
class Choice:
    """How a layer is split.

    Attributes:
        ranks: of a patch form that goes by both sides (inner, outer); else (rank,).
    """

    form: Form
    ranks: tuple[int, ...]


def forms(node: Node) -> tuple[Form, ...]:
    """The forms that a layer can take; none where `refusal` has a reason."""
    if node.kind == "Dense":
        return ("dense",)
    if node.kind in _SEPARABLE or math.prod(window(node)) == 1:
        return ("pointwise",)
    return ("channel",) if 1 in window(node) or node.kind == "Conv1D" else ("spatial", "channel")


def refusal(node: Node) -> str | None:
    """Why a layer that has weights cannot be split, None where it can."""
    config = node.config
    if node.kind not in {"Dense", *_CONVOLUTIONS, *_SEPARABLE}:
        return _REFUSED.get(node.kind, f"no rule splits a layer of the class {node.kind}")
    if config.get("data_format") == "channels_first":
        return "channels come first: TensorFlow Lite has them last"
    if config.get("groups", 1) != 1:
        return "grouped: its groups share no inputs"
    for word in ("kernel_constraint", "pointwise_constraint"):
        if config.get(word):
            return "its kernel is under a constraint, which the parts cannot hold"
    if config.get("lora_rank"):
        return "it carries a low-rank adapter"
    return None


def window(node: Node) -> tuple[int, ...]:
    """Length of a convolution's kernel along each axis; none for other layers."""
    return tuple(node.config.get("kernel_size", ())) if node.kind in _CONVOLUTIONS else ()


def as_places(kernel: Array, node: Node, form: Form) -> Array:
    """A kernel as (places, inputs, outputs) of a form."""
    *_, inputs, outputs = kernel.shape
    if form == "spatial":
        high, wide = window(node)
        return kernel.transpose(1, 0, 2, 3).reshape(wide, high * inputs, outputs)
    return kernel.reshape(-1, inputs, outputs)


def place_order(node: Node, form: Form, inputs: int) -> Array:
    """Where each element of a patch in the order of `as_places` stands in a patch of the layer."""
    order = np.arange(math.prod(window(node)) * inputs)
    return as_places(order.reshape(*window(node), inputs, 1), node, form).ravel()


def as_kernels(factors: Factors, node: Node, form: Form) -> list[Array]:
    """The kernels of the pieces in order."""
    parts = [part for part in (factors.project, factors.core, factors.expand) if part is not None]
    if form == "dense":
        return [parts[0], parts[1][0]]
    if form == "spatial":
        high, _ = window(node)
        rank = parts[0].shape[1]
        return [parts[0].reshape(high, 1, -1, rank), parts[1][None]]
    axes = window(node) or (1,) * _axes(node)
    core = factors.core
    return [
        part.reshape(*(axes if part is core else (1,) * len(axes)), *part.shape[-2:])
        for part in parts
    ]


def pieces(
    node: Node, choice: Choice, takes: Sequence[int | None], taken: Collection[str]
) -> tuple[Piece, ...]:
    """The layers that stand in a layer's place, the last under its name.

    Args:
        node: a call of the layer.
        choice: how it is split.
        takes: shape of its input, without the batch.
        taken: names that are not free.
    """
    config = dict(node.config)
    inner = config | {"use_bias": False, "activation": "linear", "activity_regularizer": None}
    last = config | {"use_bias": True}
    first_name = _free(f"{config['name']}_in", taken)
    match choice.form:
        case "dense":
            parts = [inner | {"units": choice.ranks[0], "name": first_name}, last]
        case "pointwise":
            parts = [
                inner | {"filters": choice.ranks[0], "name": first_name},
                _one_by_one(node, last),
            ]
        case "spatial":
            parts = [
                _along(inner | {"filters": choice.ranks[0], "name": first_name}, 0),
                _along(last, 1),
            ]
        case "channel":
            parts = _channel_parts(node, choice.ranks, takes, (inner, last), taken)
    kinds = [node.kind] * len(parts)
    if choice.form == "pointwise":
        kinds[-1] = _SEPARABLE.get(node.kind, node.kind)
    shapes = _shapes(node, choice.form, takes, parts)
    return tuple(map(Piece, kinds, parts, shapes))


def swapped(graph: Graph, choices: Mapping[str, Choice]) -> Graph:
    """The graph with layers split, good for its price alone: the model is the unchanged one."""
    taken = {node.layer for node in graph.nodes}
    nodes: list[Node] = []
    moved: list[int] = []
    for node in graph.nodes:
        node = replace(node, sources=tuple(_after(moved, s) for s in node.sources))  # noqa: PLW2901
        choice = choices.get(node.layer)
        if choice is None:
            nodes.append(node)
        else:
            nodes.extend(_calls(graph, nodes, node, choice, taken))
        moved.append(len(nodes) - 1)
    return replace(
        graph, nodes=tuple(nodes), outputs=tuple(_after(moved, out) for out in graph.outputs)
    )


def shape_of(graph: Graph, nodes: Sequence[Node], source: int) -> tuple[int | None, ...]:
    """Shape of what a call takes, without the batch."""
    return nodes[source].shape if source >= 0 else graph.inputs[-1 - source]


def _calls(
    graph: Graph, before: Sequence[Node], node: Node, choice: Choice, taken: Collection[str]
) -> list[Node]:
    made: list[Node] = []
    parts = pieces(node, choice, shape_of(graph, before, node.sources[0]), taken)
    for i, part in enumerate(parts):
        made.append(
            Node(
                part.name,
                part.kind,
                part.config,
                node.sources if i == 0 else (len(before) + i - 1,),
                part.shape,
                node.width if part is parts[-1] else Width(part.shape[-1] or 0),
            )
        )
    return made


def _channel_parts(
    node: Node,
    ranks: tuple[int, ...],
    takes: Sequence[int | None],
    configs: tuple[dict[str, Any], dict[str, Any]],
    taken: Collection[str],
) -> list[dict[str, Any]]:
    (inner, last), (rank_in, rank_out) = configs, ranks
    name = last["name"]
    parts = []
    if rank_in != takes[-1]:
        first = inner | {"filters": rank_in, "name": _free(f"{name}_in", taken)}
        parts.append(_one_by_one(node, first))
    if rank_out == last["filters"]:
        return [*parts, last]
    core = inner | {"filters": rank_out, "name": _free(f"{name}_core", taken)}
    return [*parts, core, _one_by_one(node, last)]


def _one_by_one(node: Node, config: Mapping[str, Any]) -> dict[str, Any]:
    """A convolution of one place; of a separable layer's config what the plain one takes."""
    ones = [1] * _axes(node)
    plain = {key: value for key, value in config.items() if not key.startswith("depth")}
    regularizer = plain.pop("pointwise_regularizer", None)
    for key in ("pointwise_initializer", "pointwise_constraint"):
        plain.pop(key, None)
    if regularizer is not None:
        plain["kernel_regularizer"] = regularizer
    return plain | {
        "kernel_size": ones,
        "strides": ones,
        "dilation_rate": ones,
        "padding": "valid",
        "groups": 1,
    }


def _along(config: Mapping[str, Any], axis: int) -> dict[str, Any]:
    """A 2-D convolution along one of its axes alone."""
    there = {
        key: [value if i == axis else 1 for i, value in enumerate(config[key])]
        for key in ("kernel_size", "strides", "dilation_rate")
    }
    return dict(config) | there


def _shapes(
    node: Node, form: Form, takes: Sequence[int | None], parts: Sequence[Mapping[str, Any]]
) -> list[tuple[int | None, ...]]:
    widths = [part.get("filters", part.get("units")) for part in parts]
    shapes = [(*node.shape[:-1], width) for width in widths]
    if form == "spatial":
        shapes[0] = (node.shape[0], takes[1], widths[0])
    elif form == "channel" and math.prod(parts[0]["kernel_size"]) == 1:
        shapes[0] = (*takes[:-1], widths[0])
    return shapes


def _axes(node: Node) -> int:
    return 1 if node.kind.endswith("1D") else 2


def _after(moved: Sequence[int], source: int) -> int:
    return moved[source] if source >= 0 else source


def _free(name: str, taken: Collection[str]) -> str:
    if name not in taken:
        return name
    return next(f"{name}_{k}" for k in range(2, len(taken) + 3) if f"{name}_{k}" not in taken)
