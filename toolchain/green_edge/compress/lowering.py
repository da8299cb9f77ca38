"""What the TF converter makes of a graph: the operations of its int8 file, without making one.

Drawn once for a graph (`lower`), the operations are then told for any number of units that is left
of each group. Where the converter folds a normalisation, fuses an activation or lays layers of one
spatial axis on their side, so is done here; tests hold it against files that it really made.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

from green_edge.compress.graph.values import Graph, Node, Width
from green_edge.compress.lower import layers, rules
from green_edge.compress.lower.draft import Axes, Draft, Drawn, Place, as_model
from green_edge.compress.lower.layers import Call, Fed
from green_edge.targets.cost.shape import DATA_INPUT, OpShape, shapes_of
from green_edge.tflite.macs import macs_of
from green_edge.tflite.model import TfliteModel
from green_edge_wire.errors import ModelError

_BYTES = {"int8": 1, "int32": 4, "float32": 4}
_NO_AXES: Axes = ()


@dataclass(frozen=True, slots=True)
class OpenOp:
    """An operation whose sizes hang on the units that are left.

    Attributes:
        shape: with all units.
        data: axes of its data.
        output: of its output.
        weights: of its second operand; empty where it has none.
        inputs: axes of every input; None for one that is left out.
        learned: axes of its weights and biases, with the bytes of a number.
        groups: indices of the groups that any of them hang on.
    """

    shape: OpShape
    data: Axes
    output: Axes
    weights: Axes
    inputs: tuple[Axes | None, ...]
    learned: tuple[tuple[Axes, int], ...]
    groups: tuple[int, ...]

    def at(self, kept: Sequence[int]) -> OpShape:
        """Its shape with so many units of each group."""
        if not self.groups:
            return self.shape
        return replace(
            self.shape,
            data=_sizes(self.data, kept),
            output=_sizes(self.output, kept),
            weights=_sizes(self.weights, kept),
        )

    def macs(self, kept: Sequence[int]) -> int:
        """Its multiply-accumulates."""
        inputs = [None if axes is None else _sizes(axes, kept) for axes in self.inputs]
        return macs_of(self.shape.op, inputs, (_sizes(self.output, kept),))

    def params(self, kept: Sequence[int]) -> int:
        """Its weights and biases."""
        return sum(prod(_sizes(axes, kept)) for axes, _ in self.learned)

    def parameter_bytes(self, kept: Sequence[int]) -> int:
        """Their length."""
        return sum(width * prod(_sizes(axes, kept)) for axes, width in self.learned)


@dataclass(frozen=True, slots=True, eq=False)
class Lowered:
    """A graph's operations.

    Attributes:
        ops: in order.
        unknown: layers without a rule, each drawn as one operation that reads and writes.
        draft: what it was drawn as.
        alive: operations of the draft that are left.
        fed: tensors of the inputs.
        made: tensors of the outputs.
    """

    ops: tuple[OpenOp, ...]
    unknown: tuple[str, ...]
    draft: Draft
    alive: tuple[Drawn, ...]
    fed: tuple[int, ...]
    made: tuple[int, ...]

    def model(self, kept: Sequence[int]) -> TfliteModel:
        """As the reader of the int8 file would tell tensors and operations."""
        return as_model(self.draft, self.alive, self.fed, self.made, kept)


def operations(
    graph: Graph, kept: Sequence[int] | None = None, *, dtype: str = "int8"
) -> tuple[OpShape, ...]:
    """Operations of the converted graph at batch 1.

    Args:
        graph: any that was read; its model is not looked at.
        kept: units that are left of each group; all of them if not given.
        dtype: `int8` for full int8, or `float32`.

    Raises:
        ModelError: an axis other than the batch is left open.
    """
    left = graph.sizes if kept is None else kept
    return tuple(op.at(left) for op in lower(graph, dtype).ops)


def macs(graph: Graph, kept: Sequence[int] | None = None) -> int:
    """Multiply-accumulates of one inference."""
    left = graph.sizes if kept is None else kept
    return sum(op.macs(left) for op in lower(graph, "int8").ops)


def params(graph: Graph, kept: Sequence[int] | None = None) -> int:
    """Weights and biases of the converted graph, normalisations folded in."""
    left = graph.sizes if kept is None else kept
    return sum(op.params(left) for op in lower(graph, "int8").ops)


def parameter_bytes(graph: Graph, kept: Sequence[int] | None = None, *, dtype: str = "int8") -> int:
    """Length of the weights and biases in the converted file."""
    left = graph.sizes if kept is None else kept
    return sum(op.parameter_bytes(left) for op in lower(graph, dtype).ops)


@functools.lru_cache(maxsize=8)
def lower(graph: Graph, dtype: str) -> Lowered:
    """Draw a graph's operations; remembered for the last few graphs.

    Raises:
        ModelError: an axis other than the batch is left open.
    """
    draft = Draft(dtype)
    tensors = {
        -1 - k: draft.data(_fed_axes(graph, k), _fed_dtype(graph, k, dtype))
        for k in range(len(graph.inputs))
    }
    fed, alone = tuple(tensors.values()), _taken_once(graph)
    for index, node in enumerate(graph.nodes):
        draft.layer = node.layer
        given = tuple(Fed(tensors[k], alone[k]) for k in node.sources)
        call = Call(node, given, _axes(node), functools.partial(_inner, graph, node.layer))
        tensors[index] = rules.rule_of(node)(draft, call)
    made = tuple(tensors[k] for k in graph.outputs)
    alive = draft.alive(made)
    full = shapes_of(as_model(draft, alive, fed, made, graph.sizes))
    owners: dict[int, Drawn] = {}
    for op in alive:
        owners |= {tensor: op for tensor in op.inputs if tensor not in owners}
    ops = tuple(
        _open(op, shape, draft.places, owners) for op, shape in zip(alive, full, strict=True)
    )
    return Lowered(ops, tuple(draft.unknown), draft, alive, fed, made)


def _fed_axes(graph: Graph, index: int) -> Axes:
    return (Width(1), *(_known(size, f"input {index + 1}") for size in graph.inputs[index]))


def _fed_dtype(graph: Graph, index: int, dtype: str) -> str:
    """Ids of an embedding keep their type."""
    takers = (node.kind for node in graph.nodes if -1 - index in node.sources)
    return "int32" if "Embedding" in takers else dtype


def _axes(node: Node) -> Axes:
    return (Width(1), *(_known(size, node.layer) for size in node.shape[:-1]), node.width)


def _known(size: int | None, place: str) -> Width:
    if size is None:
        hint = "give every axis but the batch a size, e.g. keras.Input((96, 96, 3))"
        raise ModelError(f"{place}: an axis beside the batch has no size", hint=hint)
    return Width(size)


def _taken_once(graph: Graph) -> dict[int, bool]:
    """Of each node and input, whether one layer alone takes it; layers that do nothing hand on."""
    source = {-1 - k: -1 - k for k in range(len(graph.inputs))}
    taken: dict[int, int] = {}
    for index, node in enumerate(graph.nodes):
        handed = rules.rule_of(node) is layers.identity
        source[index] = source[node.sources[0]] if handed else index
        if not handed:
            for k in node.sources:
                taken[source[k]] = taken.get(source[k], 0) + 1
    for k in graph.outputs:
        taken[source[k]] = taken.get(source[k], 0) + 1
    return {k: taken.get(root, 0) == 1 for k, root in source.items()}


def _inner(graph: Graph, layer: str, variable: str, axis: int, size: int) -> Width:
    """Width of an axis inside of a layer, from the slices of the groups there."""
    parts = tuple(
        (index, len(each.indices[0]))
        for index, group in enumerate(graph.groups)
        for each in group.slices
        if (each.layer, each.variable, each.axis) == (layer, variable, axis)
    )
    covered = sum(times * graph.groups[index].size for index, times in parts)
    return Width(size - covered, parts)


def _open(
    op: Drawn, shape: OpShape, places: Sequence[Place], owners: Mapping[int, Drawn]
) -> OpenOp:
    """Of weights that several operations share, the first owns them."""
    inputs = tuple(None if i < 0 else places[i] for i in op.inputs)
    # A bare operation of Keras may have the name of one of the schema, but not its operands.
    at = DATA_INPUT.get(op.op, 0)
    data = inputs[at] if at < len(inputs) else None
    second = inputs[1] if shape.weights else None
    output = places[op.outputs[0]].axes
    used = [each.axes for each in inputs if each is not None] + [output]
    owned = [places[i] for i in op.inputs if i >= 0 and owners[i] is op]
    learned = [each for each in owned if each.role in {"weights", "bias"}]
    return OpenOp(
        shape=shape,
        data=data.axes if data else _NO_AXES,
        output=output,
        weights=second.axes if second else _NO_AXES,
        inputs=tuple(None if each is None else each.axes for each in inputs),
        learned=tuple((each.axes, _BYTES[each.dtype]) for each in learned),
        groups=tuple(sorted({g for axes in used for width in axes for g, _ in width.parts})),
    )


def _sizes(axes: Axes, kept: Sequence[int]) -> tuple[int, ...]:
    return tuple(width.size(kept) for width in axes)
