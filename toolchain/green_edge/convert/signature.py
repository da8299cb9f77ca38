"""The names that a .tflite's inputs and outputs go by, and the order that its author gave them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ai_edge_litert import schema_py_generated as schema

# What Keras and TensorFlow call the outputs of a model that returns a list.
_NUMBERED = re.compile(r"output_(\d+)")


@dataclass(frozen=True, slots=True)
class Names:
    """Names as the model's author chose them, in the graph's order.

    They stand in the model's signature; the tensors carry decorated ones such as
    `serving_default_image:0`. A model without a signature has only those.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def names(tflite: bytes) -> Names:
    """Read the names of a model that `tflite.read` has accepted."""
    model = schema.Model.GetRootAs(tflite, 0)
    graph = model.Subgraphs(0)
    inputs, outputs = _signature(model)
    return Names(
        inputs=_named(graph, graph.Inputs, graph.InputsLength(), inputs),
        outputs=_named(graph, graph.Outputs, graph.OutputsLength(), outputs),
    )


def in_authors_order(tflite: bytes) -> bytes:
    """Put the outputs of a model that `tflite.read` has accepted in their numbers' order.

    The TF converter permutes them, and all that judges or runs a model takes the first one for the
    main one. Only outputs that are called `output_0`, `output_1` and so on are moved.
    """
    _, outputs = _signature(schema.Model.GetRootAs(tflite, 0))
    if not all(_NUMBERED.fullmatch(name) for name, _ in outputs):
        return tflite
    return _reordered(tflite, (), _by_name(outputs))


def as_converted(tflite: bytes, inputs: Sequence[str] = (), outputs: Sequence[str] = ()) -> bytes:
    """Undo what the TF converter did to the order of inputs and outputs.

    Numbered outputs follow their numbers; named ones, of a model that returns a dict, follow their
    names, as in Keras and TensorFlow.

    Args:
        tflite: as the converter made it.
        inputs: their names in the author's order; nothing is moved where they are not the file's.
        outputs: likewise, of an author who named them.
    """
    taken, given = _signature(schema.Model.GetRootAs(tflite, 0))
    chosen = _chosen(given, outputs) if outputs else _by_name(given)
    return _reordered(tflite, _chosen(taken, inputs), chosen)


def _chosen(entries: Sequence[tuple[str, int]], order: Sequence[str]) -> list[int]:
    """Tensors of signature entries in the order of `order`."""
    wanted = dict(entries)
    return [wanted[name] for name in order if name in wanted]


def _by_name(entries: Sequence[tuple[str, int]]) -> list[int]:
    """Tensors of signature entries, by number where all are numbered, else by name."""
    numbered = [
        (int(number[1]), index)
        for name, index in entries
        if (number := _NUMBERED.fullmatch(name)) is not None
    ]
    if len(numbered) == len(entries):
        return [index for _, index in sorted(numbered)]
    return [index for _, index in sorted(entries)]


def _reordered(tflite: bytes, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
    """Permute the graph's lists of inputs and outputs; a list of other tensors changes nothing.

    The numbers are exchanged where they stand, so every other byte, and with them the alignment of
    the weights, stays; the signature goes by tensors and stays true.
    """
    content = bytearray(tflite)
    graph = schema.Model.GetRootAs(content, 0).Subgraphs(0)
    for indices, order in ((graph.InputsAsNumpy(), inputs), (graph.OutputsAsNumpy(), outputs)):
        if order and sorted(order) == sorted(indices.tolist()):
            indices[:] = order
    return bytes(content)


def _signature(model: Any) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """Names and tensors of the first graph's inputs and outputs; empty without a signature."""
    for i in range(model.SignatureDefsLength()):
        signature = model.SignatureDefs(i)
        if signature.SubgraphIndex() == 0:
            return (
                _entries(signature.Inputs, signature.InputsLength()),
                _entries(signature.Outputs, signature.OutputsLength()),
            )
    return [], []


def _entries(at: Any, length: int) -> list[tuple[str, int]]:
    return [(_text(at(i).Name()), int(at(i).TensorIndex())) for i in range(length)]


def _named(graph: Any, at: Any, length: int, entries: Sequence[tuple[str, int]]) -> tuple[str, ...]:
    chosen = {index: name for name, index in entries}
    indices = [int(at(i)) for i in range(length)]
    return tuple(chosen.get(i) or _text(graph.Tensors(i).Name()) for i in indices)


def _text(name: bytes | None) -> str:
    return (name or b"").decode("utf-8", "replace")
