"""Which operations of a model a runtime may compute together with their neighbours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from green_edge.tflite.model import Op, TfliteModel

# XNNPACK makes one table of int8 functions of these; RELU, ABS and HARD_SWISH break the chain.
_OF_ELEMENTS = {"ADD", "SUB", "MUL", "LOGISTIC", "TANH", "ELU", "LEAKY_RELU"}


@dataclass(frozen=True, slots=True)
class Neighbours:
    """What the operations around one are to it.

    Attributes:
        into: the operation that alone takes its output; empty where several do.
        after: the operation whose output it alone takes; empty where others do as well.
        chain: its place in a function of one tensor, element by element: `part`, or `end` where
            the value leaves the chain; empty outside of one.
    """

    into: str
    after: str
    chain: str


def neighbours_of(model: TfliteModel) -> tuple[Neighbours, ...]:
    """Neighbours of each operation, in the order of the model."""
    takers: dict[int, list[Op]] = {}
    for op in model.ops:
        for tensor in op.inputs:
            takers.setdefault(tensor, []).append(op)
    makers = {tensor: op.op for op in model.ops for tensor in op.outputs}
    roots = _roots(model)
    return tuple(
        Neighbours(
            into=_alone(op, takers, model.output_indices),
            after=_before(op, makers, takers, model.output_indices),
            chain=_place(op, roots, takers, model.output_indices),
        )
        for op in model.ops
    )


def _alone(op: Op, takers: Mapping[int, Sequence[Op]], kept: Sequence[int]) -> str:
    taking = takers.get(op.outputs[0], ()) if op.outputs else ()
    return taking[0].op if len(taking) == 1 and op.outputs[0] not in kept else ""


def _before(
    op: Op, makers: Mapping[int, str], takers: Mapping[int, Sequence[Op]], kept: Sequence[int]
) -> str:
    data = op.inputs[0] if op.inputs else -1
    shared = len(takers.get(data, ())) > 1 or data in kept
    return "" if shared else makers.get(data, "")


def _roots(model: TfliteModel) -> dict[int, int]:
    """The one tensor that others are functions of, element by element, by those others."""
    roots: dict[int, int] = {}
    for op in model.ops:
        if op.op not in _OF_ELEMENTS:
            continue
        given = [model.tensors[t] for t in op.inputs if t >= 0 and model.tensors[t].constant]
        data = {roots.get(t, t) for t in op.inputs if t >= 0 and not model.tensors[t].constant}
        if len(data) == 1 and all(prod(tensor.shape) == 1 for tensor in given):
            roots[op.outputs[0]] = data.pop()
    return roots


def _place(
    op: Op, roots: Mapping[int, int], takers: Mapping[int, Sequence[Op]], kept: Sequence[int]
) -> str:
    out = op.outputs[0] if op.outputs else -1
    if out not in roots:
        return ""
    taking = takers.get(out, ())
    if taking and out not in kept and all(roots.get(t.outputs[0]) == roots[out] for t in taking):
        return "part"
    # Alone it is no chain, unless it takes its tensor twice.
    return "end" if any(t in roots for t in op.inputs) or op.inputs.count(roots[out]) > 1 else ""
