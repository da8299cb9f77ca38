"""Stores the zeros of float 1 x 1 convolutions away, where the runtime's kernels skip them.

XNNPACK, the runtime's float kernels, multiplies by what is not zero alone, in the parts of a
network that `sparse_ready` tells, where more than two thirds of the 1 x 1 kernels are zeros and the
file stores them sparsely. Int8 kernels multiply by zeros too.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from green_edge.tflite.edit import Editor
from green_edge.tflite.read import read
from green_edge.tflite.sparse_ready import ready

_DENSIFY = schema.BuiltinOperator.DENSIFY
# Share of zeros of a part of the network that XNNPACK wants more than.
_LEAST_PART = 2 / 3
# Share from which a kernel is shorter without them, a place to each value.
_LEAST_KERNEL = 1 / 2
# Longest axis whose places are stored in a byte.
_BYTE, _SHORT = 256, 65_536


@dataclass(frozen=True, slots=True)
class Sparse:
    """A model that runs faster by its zeros.

    Attributes:
        content: the file; the one given where no kernel is stored sparsely.
        kernels: how many are.
        reasons: why others are not, in words.
    """

    content: bytes
    kernels: int
    reasons: tuple[str, ...]


def with_sparse_weights(tflite: bytes) -> Sparse:
    """Store kernels of float 1 x 1 convolutions row by row without their zeros.

    A DENSIFY before each gives them back, so that every runtime computes the same outputs.

    Raises:
        ModelError: it is no .tflite, or broken.
    """
    found = ready(read(tflite, static=False, zipped=False))
    editor = Editor(tflite)
    operators = list(editor.graph.operators or [])
    reasons = list(found.obstacles)
    chosen: dict[int, NDArray[np.float32]] = {}
    for part in found.parts:
        indices = {int(operators[place].inputs[1]) for place in part}
        kernels = {index: _weights(editor, index) for index in sorted(indices)}
        weights = sum(each.size for each in kernels.values())
        share = sum(int((each == 0).sum()) for each in kernels.values()) / max(1, weights)
        if share > _LEAST_PART:
            chosen |= {i: each for i, each in kernels.items() if _zeros(each) >= _LEAST_KERNEL}
        elif weights:
            reasons.append(f"{share:.0%} of the weights of 1 x 1 convolutions are zero, not 67 %")
    if not chosen:
        return Sparse(tflite, 0, tuple(reasons))
    editor.graph.operators = _with_densify(editor, operators, chosen)
    return Sparse(editor.content(), len(chosen), tuple(reasons))


def _with_densify(
    editor: Editor, operators: list[Any], chosen: dict[int, NDArray[np.float32]]
) -> list[Any]:
    """Operations, and before the first that takes a chosen kernel the one that gives it back."""
    done: set[int] = set()
    made: list[Any] = []
    for operator in operators:
        for index in (int(i) for i in operator.inputs):
            if index in chosen and index not in done:
                made.append(_densify(editor, index, chosen[index]))
                done.add(index)
        made.append(operator)
    return made


def _zeros(weights: NDArray[np.float32]) -> float:
    return float(np.mean(weights == 0)) if weights.size else 0.0


def _weights(editor: Editor, index: int) -> NDArray[np.float32]:
    """A kernel, a row for each output; empty where it is not a constant, or sparse already."""
    tensor, data = editor.graph.tensors[index], editor.data(index)
    if data is None or tensor.sparsity is not None:
        return np.zeros((0, 0), np.float32)
    return data.view(np.float32).reshape(int(tensor.shape[0]), -1)


def _densify(editor: Editor, kernel: int, weights: NDArray[np.float32]) -> Any:
    """The operation that computes a kernel, which was a constant, from its sparse form."""
    sparse = editor.constant_like(kernel, "sparse", weights[weights != 0])
    editor.graph.tensors[sparse].sparsity = _rows(weights, editor.graph.tensors[kernel].shape)
    editor.computed(kernel)
    operator = schema.OperatorT()
    operator.opcodeIndex = editor.code(_DENSIFY, 1)
    operator.inputs, operator.outputs = [sparse], [kernel]
    operator.builtinOptionsType = schema.BuiltinOptions.DensifyOptions
    operator.builtinOptions = schema.DensifyOptionsT()
    return operator


def _rows(weights: NDArray[np.float32], shape: Any) -> Any:
    """Where the values stand: dense axes but the last, which is a compressed sparse row."""
    *outer, inputs = (int(n) for n in shape)
    found = schema.SparsityParametersT()
    # tflite-runtime 2.14 crashes where the list of blocks is absent instead of empty.
    found.traversalOrder, found.blockMap = list(range(len(outer) + 1)), []
    found.dimMetadata = [_dense(n) for n in outer]
    last = schema.DimensionMetadataT()
    last.format = schema.DimensionType.SPARSE_CSR
    ends = np.cumsum(np.count_nonzero(weights, axis=1))
    last.arraySegmentsType, last.arraySegments = _indices(np.concatenate(([0], ends)))
    last.arrayIndicesType, last.arrayIndices = _indices(np.nonzero(weights)[1], inputs)
    found.dimMetadata.append(last)
    return found


def _dense(size: int) -> Any:
    found = schema.DimensionMetadataT()
    found.format, found.denseSize = schema.DimensionType.DENSE, size
    return found


def _indices(values: NDArray[Any], size: int | None = None) -> tuple[int, Any]:
    """The schema's shortest vector for indices below a size; by default just above the last."""
    top = int(values.max(initial=0)) + 1 if size is None else size
    if top <= _BYTE:
        vector, number = schema.Uint8VectorT(), schema.SparseIndexVector.Uint8Vector
        vector.values = values.astype(np.uint8)
    elif top <= _SHORT:
        vector, number = schema.Uint16VectorT(), schema.SparseIndexVector.Uint16Vector
        vector.values = values.astype(np.uint16)
    else:
        vector, number = schema.Int32VectorT(), schema.SparseIndexVector.Int32Vector
        vector.values = values.astype(np.int32)
    return number, vector
