"""Which tensors of two .tflite are the same, and the layers that lie between them.

Tensors are paired by name, where both files know it, else by structure: the same operation with the
same fused activation on inputs that are paired already gives the same output. QUANTIZE and
DEQUANTIZE stand for the tensor that they take. Outputs that are left are paired by position.

A layer is what either file does between one paired tensor and those before it: mostly one operation
each, several where one file fuses or splits what the other does not. What belongs to no layer is
listed with the reason.
"""

from collections import Counter
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Literal

from green_edge.tflite.model import Op, Tensor, TfliteModel
from green_edge.tflite.read import read

_REAL = {"float32", "int8", "uint8", "int16"}
_RECODES = {"QUANTIZE", "DEQUANTIZE"}
_COMMUTES = {"ADD", "MUL", "MAXIMUM", "MINIMUM"}
_ACTIVATIONS = {"RELU", "RELU6", "RELU_N1_TO_1", "TANH"}
_NONE = "NONE"


@dataclass(frozen=True, slots=True)
class Graph:
    """The main graph of a file.

    Attributes:
        maker: operation that computes a tensor.
    """

    content: bytes
    facts: TfliteModel
    maker: Mapping[int, Op]

    @property
    def inputs(self) -> tuple[int, ...]:
        """Indices of tensors."""
        return self.facts.input_indices

    @property
    def outputs(self) -> tuple[int, ...]:
        """Indices of tensors."""
        return self.facts.output_indices

    def tensor(self, index: int) -> Tensor:
        """Tensor of an index."""
        return self.facts.tensors[index]


@dataclass(frozen=True, slots=True)
class Pair:
    """The same tensor in the baseline (`a`) and in the new file (`b`)."""

    a: int
    b: int


@dataclass(frozen=True, slots=True)
class Layer:
    """What lies between paired tensors.

    Attributes:
        name: of the tensor that the baseline computes.
        op: the operation that computes it; `QUANTIZE` where the new file only recodes it.
        starts: tensors that it is computed from; none where the new file's input itself is
            quantized.
        end: the tensor that is computed.
        ops: how many operations of the baseline it covers.
    """

    name: str
    op: str
    starts: tuple[Pair, ...]
    end: Pair
    ops: int


@dataclass(frozen=True, slots=True)
class Unmatched:
    """An operation that is part of no layer."""

    file: Literal["a", "b"]
    name: str
    op: str
    reason: str


@dataclass(frozen=True, slots=True)
class Matching:
    """Layers in the new file's order, and what is in none."""

    layers: tuple[Layer, ...]
    unmatched: tuple[Unmatched, ...]


def open_graph(content: bytes) -> Graph:
    """Read a file.

    Raises:
        ModelError: it is no .tflite, broken or of dynamic shape.
    """
    facts = read(content)
    return Graph(content, facts, {index: op for op in facts.ops for index in op.outputs})


def match(a: Graph, b: Graph) -> Matching:
    """Pair the tensors of a baseline and of a new file, and find the layers between them.

    Operations on whole numbers and truth values are no layers.
    """
    pairs = _Pairing(a, b).pairs
    layers: list[Layer] = []
    covered_a: set[int] = set()
    covered_b: set[int] = set()
    reasons: dict[int, str] = {}
    for index in [*b.inputs, *b.maker]:
        if index not in pairs or not (_real(a.tensor(pairs[index])) and _real(b.tensor(index))):
            continue
        within_b, starts_b = _back(b, index, pairs.keys())
        starts = tuple(Pair(pairs[start], start) for start in sorted(starts_b))
        within_a, missing = _reach(a, pairs[index], {pair.a for pair in starts})
        if missing:
            names = ", ".join(repr(a.tensor(i).name) for i in sorted(missing))
            reasons |= dict.fromkeys(within_b, f"the baseline computes it from {names} too")
            continue
        covered_a |= within_a
        covered_b |= within_b
        if _may_err(b, index, within_b):
            end = Pair(pairs[index], index)
            op = a.maker[end.a].op if within_a else "QUANTIZE"
            layers.append(Layer(a.tensor(end.a).name, op, starts, end, len(within_a)))
    left_out = [*_left_out("a", a, covered_a, {}), *_left_out("b", b, covered_b, reasons)]
    return Matching(tuple(layers), tuple(left_out))


def _real(tensor: Tensor) -> bool:
    return tensor.dtype == "float32" or (tensor.dtype in _REAL and tensor.scale is not None)


def _may_err(graph: Graph, end: int, within: set[int]) -> bool:
    """Whether a layer can change values: it does more than to make them float again."""
    if graph.tensor(end).dtype != "float32":
        return True
    return any(graph.facts.ops[index].op != "DEQUANTIZE" for index in within)


def _back(graph: Graph, end: int, stops: Container[int]) -> tuple[set[int], set[int]]:
    """Operations that lead to a computed tensor, and the stops and inputs of the graph before."""
    within: set[int] = set()
    met: set[int] = set()
    todo = [end]
    while todo:
        index = todo.pop()
        op = graph.maker.get(index)
        if index != end and (index in stops or (op is None and index in graph.inputs)):
            met.add(index)
        elif op is not None and op.index not in within:
            within.add(op.index)
            todo.extend(i for i in op.inputs if i >= 0)
    return within, met


def _reach(graph: Graph, end: int, starts: set[int]) -> tuple[set[int], set[int]]:
    """Operations that lead from `starts` to a tensor, and inputs of the graph that it also needs.

    None where the tensor itself is a start, or an input.
    """
    if end in starts or end not in graph.maker:
        return set(), set()
    within, met = _back(graph, end, starts)
    return within, met - starts


def _left_out(
    file: Literal["a", "b"], graph: Graph, covered: set[int], reasons: Mapping[int, str]
) -> list[Unmatched]:
    return [
        Unmatched(file, op.name, op.op, reasons.get(op.index, "the other file has no such tensor"))
        for op in graph.facts.ops
        if op.index not in covered and any(_real(graph.tensor(i)) for i in op.outputs)
    ]


class _Pairing:
    """Walks the new file and pairs its tensors with the baseline's: `pairs`, new to baseline."""

    def __init__(self, a: Graph, b: Graph) -> None:
        self.pairs: dict[int, int] = {}
        self._a, self._b = a, b
        self._taken: set[int] = set()
        self._by_name = _unique_names(a)
        self._pair_inputs()
        for op in b.facts.ops:
            self._pair_op(op)
        for first, second in zip(a.outputs, b.outputs, strict=False):
            self._claim(first, second)

    def _pair_inputs(self) -> None:
        first = {_plain(self._a.tensor(i).name): i for i in self._a.inputs}
        second = [_plain(self._b.tensor(i).name) for i in self._b.inputs]
        by_name = set(first) == set(second) and len(second) == len(first)
        order = [first[name] for name in second] if by_name else self._a.inputs
        for one, other in zip(order, self._b.inputs, strict=False):
            self._claim(one, other)

    def _pair_op(self, op: Op) -> None:
        if op.op in _RECODES and op.inputs[0] in self.pairs:
            self.pairs[op.outputs[0]] = self.pairs[op.inputs[0]]
            return
        for index in op.outputs:
            named = self._by_name.get(_plain(self._b.tensor(index).name))
            if named is not None:
                self._claim(named, index)
        if not any(index in self.pairs for index in op.outputs):
            self._pair_by_structure(op)

    def _pair_by_structure(self, op: Op) -> None:
        like, fused = self._unfused(op)
        inputs = self._real_inputs(self._b, like)
        if any(index not in self.pairs for index in inputs):
            return
        wanted = _order(like.op, [self.pairs[index] for index in inputs])
        for candidate in self._a.facts.ops:
            found = _order(candidate.op, self._real_inputs(self._a, candidate))
            if candidate.op != like.op or found != wanted:
                continue
            ends_at = self._with_activation(candidate, fused)
            if ends_at and all(self._fits(*pair) for pair in zip(ends_at, op.outputs, strict=True)):
                for first, second in zip(ends_at, op.outputs, strict=True):
                    self._claim(first, second)
                return

    def _unfused(self, op: Op) -> tuple[Op, str]:
        """An operation with its activation; of an activation that stands alone, what it follows."""
        source = self._b.maker.get(op.inputs[0]) if op.inputs else None
        alone = op.op in _ACTIVATIONS and source is not None and op.inputs[0] not in self.pairs
        if alone and source is not None and _fused(source) == _NONE:
            return source, op.op
        return op, _fused(op)

    def _with_activation(self, op: Op, fused: str) -> tuple[int, ...]:
        """Outputs of a baseline's operation after the activation; nothing if it has another."""
        if _fused(op) == fused:
            return op.outputs
        if _fused(op) != _NONE:
            return ()
        followers = [o for o in self._a.facts.ops if op.outputs[0] in o.inputs]
        return followers[0].outputs if [o.op for o in followers] == [fused] else ()

    def _real_inputs(self, graph: Graph, op: Op) -> list[int]:
        given = [i for i in op.inputs if i in graph.maker or i in graph.inputs]
        return [i for i in given if graph.tensor(i).dtype in _REAL] or given

    def _fits(self, first: int, second: int) -> bool:
        shapes = self._a.tensor(first).shape, self._b.tensor(second).shape
        return first not in self._taken and shapes[0] == shapes[1]

    def _claim(self, first: int, second: int) -> None:
        if second not in self.pairs and self._fits(first, second):
            self.pairs[second] = first
            self._taken.add(first)


def _fused(op: Op) -> str:
    return (op.options.fused_activation if op.options else None) or _NONE


def _order(op: str, inputs: list[int]) -> list[int]:
    return sorted(inputs) if op in _COMMUTES else inputs


def _unique_names(graph: Graph) -> dict[str, int]:
    """Computed tensors by name, but for names that several carry."""
    named = [(_plain(graph.tensor(index).name), index) for index in graph.maker]
    often = Counter(name for name, _ in named)
    return {name: index for name, index in named if name and often[name] == 1}


def _plain(name: str) -> str:
    """A name without what converters add: `serving_default_x:0` and `x_int8` are both `x`."""
    head = name.removeprefix("serving_default_").removesuffix("_int8")
    return head.removesuffix(":0")
