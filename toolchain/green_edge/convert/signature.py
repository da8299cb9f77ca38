"""The names that a .tflite's inputs and outputs go by."""

from dataclasses import dataclass
from typing import Any

from ai_edge_litert import schema_py_generated as schema


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
    signature = next(
        (
            model.SignatureDefs(i)
            for i in range(model.SignatureDefsLength())
            if model.SignatureDefs(i).SubgraphIndex() == 0
        ),
        None,
    )
    chosen: dict[str, dict[int, str]] = {"inputs": {}, "outputs": {}}
    if signature is not None:
        chosen["inputs"] = _entries(signature.Inputs, signature.InputsLength())
        chosen["outputs"] = _entries(signature.Outputs, signature.OutputsLength())
    return Names(
        inputs=_named(graph, graph.Inputs, graph.InputsLength(), chosen["inputs"]),
        outputs=_named(graph, graph.Outputs, graph.OutputsLength(), chosen["outputs"]),
    )


def _entries(at: Any, length: int) -> dict[int, str]:
    return {int(at(i).TensorIndex()): _text(at(i).Name()) for i in range(length)}


def _named(graph: Any, at: Any, length: int, chosen: dict[int, str]) -> tuple[str, ...]:
    indices = [int(at(i)) for i in range(length)]
    return tuple(chosen.get(i) or _text(graph.Tensors(i).Name()) for i in indices)


def _text(name: bytes | None) -> str:
    return (name or b"").decode("utf-8", "replace")
