"""Makes a .tflite fit for repair in place: no shared constants, a bias for every int8 layer.

Converters store equal constants once, and leave a bias out that is zero.
"""

import copy
from collections import Counter
from collections.abc import Iterable

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from green_edge.convert.int8.graph import CODES

_INPUT, _WEIGHTS, _BIAS = 0, 1, 2


def unshared(tflite: bytes) -> bytes:
    """The same model with weights and biases of its layers in buffers that nothing else uses.

    The same bytes where that is so already.
    """
    desk = _Desk(tflite)
    return packed(desk.model) if desk.part() else tflite


def with_biases(tflite: bytes) -> bytes:
    """`unshared`, and int8 layers without a bias get one that is zero."""
    desk = _Desk(tflite)
    changes = [desk.add_biases(), desk.part()]
    return packed(desk.model) if any(changes) else tflite


def packed(model: schema.ModelT) -> bytes:
    """A model of the schema's object interface as a file."""
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


class _Desk:
    """A model taken apart."""

    def __init__(self, tflite: bytes) -> None:
        self.model = schema.ModelT.InitFromPackedBuf(tflite, 0)
        self._graph = self.model.subgraphs[0]

    def part(self) -> bool:
        """Give each layer constants of its own; whether anything had to be copied."""
        holders = Counter(tensor.buffer for graph in self.model.subgraphs
                          for tensor in graph.tensors or [])  # fmt: skip
        takers = Counter(index for operator in self._graph.operators or []
                         for index in _indices(operator.inputs))  # fmt: skip
        copied = False
        for operator in self._layers():
            inputs = _indices(operator.inputs)
            for place in range(_WEIGHTS, len(inputs)):
                index = inputs[place]
                if index < 0 or not len(self._data(index)):
                    continue
                if takers[index] > 1 or holders[self._graph.tensors[index].buffer] > 1:
                    inputs[place] = self._append(self._graph.tensors[index], self._data(index))
                    copied = True
            operator.inputs = inputs
        return copied

    def add_biases(self) -> bool:
        """Give int8 layers their missing biases; whether there were any."""
        added = False
        for operator in self._layers():
            inputs = _indices(operator.inputs)
            if len(inputs) > _BIAS and inputs[_BIAS] >= 0:
                continue
            x, weights = (self._graph.tensors[inputs[i]] for i in (_INPUT, _WEIGHTS))
            if x.type == weights.type == schema.TensorType.INT8:
                operator.inputs = [*inputs[:_BIAS], self._zero_bias(x, weights)]
                added = True
        return added

    def _zero_bias(self, x: schema.TensorT, weights: schema.TensorT) -> int:
        """Append a bias; its scales are those of the products."""
        scales = np.asarray(weights.quantization.scale, np.float32)
        bias = schema.TensorT()
        axis = weights.quantization.quantizedDimension
        bias.name, bias.type = f"{_text(weights.name)}_bias", schema.TensorType.INT32
        bias.shape = [int(weights.shape[axis])]
        bias.quantization = schema.QuantizationParametersT()
        bias.quantization.scale = scales * np.float32(x.quantization.scale[0])
        bias.quantization.zeroPoint = [0] * len(scales)
        return self._append(bias, np.zeros(4 * bias.shape[0], np.uint8))

    def _layers(self) -> Iterable[schema.OperatorT]:
        for operator in self._graph.operators or []:
            code = self.model.operatorCodes[operator.opcodeIndex]
            if max(code.builtinCode, code.deprecatedBuiltinCode) in CODES:
                yield operator

    def _data(self, index: int) -> NDArray[np.uint8]:
        data = self.model.buffers[self._graph.tensors[index].buffer].data
        return np.empty(0, np.uint8) if data is None else np.array(data, np.uint8)

    def _append(self, like: schema.TensorT, data: NDArray[np.uint8]) -> int:
        """Add a tensor with a buffer and a name of its own; returns its index."""
        buffer = schema.BufferT()
        buffer.data = data
        self.model.buffers.append(buffer)
        own = copy.copy(like)
        own.buffer = len(self.model.buffers) - 1
        own.name = f"{_text(like.name)}_{len(self._graph.tensors)}"
        self._graph.tensors.append(own)
        return len(self._graph.tensors) - 1


def _indices(array: Iterable[int] | None) -> list[int]:
    return [] if array is None else [int(index) for index in array]


def _text(name: bytes | str | None) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else name or ""
