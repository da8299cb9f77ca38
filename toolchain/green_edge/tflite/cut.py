"""Cuts part of a .tflite out as a model of its own, to run one layer or a range of layers alone.

Kept are the operations that lead from the chosen inputs to the chosen outputs, in their order, with
their constants, variables, options and versions. Signatures and metadata are not.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from green_edge_wire.errors import ModelError

_IDENTIFIER = b"TFL3"


def cut(tflite: bytes, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
    """Make a model that computes some tensors of the main graph from others.

    A constant among `inputs` is fed instead. Tensors keep their names, types, shapes and
    quantization, so what one model gives fits the cut of the other.

    Args:
        tflite: a model that `tflite.read` has accepted.
        inputs: indices of tensors, in the order of the new model's inputs.
        outputs: likewise of its outputs.

    Raises:
        ModelError: an output depends on something that is neither fed, computed nor constant.
    """
    model = schema.ModelT.InitFromPackedBuf(tflite, 0)
    main = model.subgraphs[0]
    fed = {int(index) for index in inputs}
    _inline_buffers(model, tflite)
    for index in fed:
        main.tensors[index].buffer = 0
    main.operators = _needed(model, fed, outputs)
    numbers = _renumber_tensors(main, [*inputs, *outputs])
    main.inputs = [numbers[int(index)] for index in inputs]
    main.outputs = [numbers[int(index)] for index in outputs]
    _renumber_codes(model)
    _renumber_buffers(model)
    model.signatureDefs = model.metadata = model.metadataBuffer = None
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())


def _inline_buffers(model: Any, tflite: bytes) -> None:
    """Take constants that stand behind the flatbuffer, in files over 2 GB, into it."""
    for buffer in model.buffers:
        if buffer.offset > 1:
            buffer.data = np.frombuffer(tflite, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0


def _needed(model: Any, fed: set[int], outputs: Iterable[int]) -> list[Any]:
    """Operations that the outputs depend on, walking back as far as what is fed."""
    graph = model.subgraphs[0]
    wanted = {int(index) for index in outputs} - fed
    kept = []
    for operator in reversed(graph.operators or []):
        made = _indices(operator.outputs)
        if not wanted.intersection(made):
            continue
        kept.append(operator)
        wanted.difference_update(made)
        wanted.update(i for i in _indices(operator.inputs) if i >= 0 and i not in fed)
    missing = sorted(i for i in wanted if not _is_given(model, graph.tensors[i]))
    if missing:
        names = ", ".join(repr(_text(graph.tensors[i].name)) for i in missing)
        raise ModelError(f"cannot cut the model there: it also depends on {names}")
    return kept[::-1]


def _is_given(model: Any, tensor: Any) -> bool:
    """Whether a tensor that no operation computes has a value: a constant's or a variable's."""
    buffer = model.buffers[tensor.buffer]
    constant = buffer.data is not None and len(buffer.data) > 0
    return constant or bool(tensor.isVariable) or tensor.externalBuffer > 0


def _renumber_tensors(graph: Any, ends: Iterable[int]) -> dict[int, int]:
    """Keep the tensors in use; returns their new indices by the old ones."""
    used = {int(index) for index in ends}
    for operator in graph.operators:
        used.update(i for indices in _lists(operator) for i in _indices(indices) if i >= 0)
    numbers = {old: new for new, old in enumerate(sorted(used))}
    graph.tensors = [graph.tensors[old] for old in numbers]
    for operator in graph.operators:
        for field in _FIELDS:
            old = getattr(operator, field)
            if old is not None:
                setattr(operator, field, [numbers.get(i, -1) for i in _indices(old)])
    return numbers


def _renumber_codes(model: Any) -> None:
    operators = [op for graph in model.subgraphs for op in graph.operators or []]
    used = sorted({operator.opcodeIndex for operator in operators})
    model.operatorCodes = [model.operatorCodes[index] for index in used]
    for operator in operators:
        operator.opcodeIndex = used.index(operator.opcodeIndex)


def _renumber_buffers(model: Any) -> None:
    tensors = [tensor for graph in model.subgraphs for tensor in graph.tensors or []]
    # Buffer 0 is empty by the format's rule: it stands for "no constant data".
    used = sorted({0, *(tensor.buffer for tensor in tensors)})
    numbers = {old: new for new, old in enumerate(used)}
    model.buffers = [model.buffers[index] for index in used]
    for tensor in tensors:
        tensor.buffer = numbers[tensor.buffer]


_FIELDS = ("inputs", "outputs", "intermediates")


def _lists(operator: Any) -> Iterator[Any]:
    return (getattr(operator, field) for field in _FIELDS)


def _indices(array: Any) -> list[int]:
    # An absent vector reads as the number 0.
    return [] if array is None or isinstance(array, int) else [int(index) for index in array]


def _text(name: Any) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name or "")
