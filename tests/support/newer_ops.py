"""Int8 models with operations newer than the Edge TPU compiler's, written by the schema.

Each has seeded weights and real scales, and runs on the CPU.
"""

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

OPS = schema.BuiltinOperator
ACTIVATIONS = schema.ActivationFunctionType
_IN_SCALE, _OUT_SCALE, _WEIGHT_SCALE = 1 / 32, 1 / 8, 1 / 200


class Model:
    """Collects a graph; data tensors are int8."""

    def __init__(self, seed: int = 0) -> None:
        self._draw = np.random.default_rng(seed)
        self._model, self._graph = schema.ModelT(), schema.SubGraphT()
        self._model.version, self._model.description = 3, b"green-edge test model"
        self._model.buffers, self._model.operatorCodes = [schema.BufferT()], []
        self._graph.tensors, self._graph.operators = [], []
        self._model.subgraphs = [self._graph]

    def data(self, shape: Sequence[int], *, scale: float = _IN_SCALE, zero: int = 3) -> int:
        return self._tensor(shape, schema.TensorType.INT8, [scale], zero)

    def weights(self, shape: Sequence[int], *, per_channel: bool = True) -> tuple[int, list[float]]:
        """Symmetric int8 weights, channel first; returns their index and scales."""
        values = self._draw.integers(-127, 128, shape).astype(np.int8)
        count = shape[0] if per_channel else 1
        scales = [_WEIGHT_SCALE * (1 + i / 7) for i in range(count)]
        return self._tensor(shape, schema.TensorType.INT8, scales, 0, values), scales

    def bias(self, scales: Sequence[float], channels: int, in_scale: float = _IN_SCALE) -> int:
        values = self._draw.integers(-900, 900, channels).astype(np.int32)
        products = [float(np.float32(in_scale) * np.float32(scale)) for scale in scales]
        return self._tensor((channels,), schema.TensorType.INT32, products, 0, values)

    def numbers(self, values: Sequence[int] | Sequence[Sequence[int]]) -> int:
        array = np.array(values, np.int32)
        return self._tensor(array.shape, schema.TensorType.INT32, [], 0, array)

    def whole(self, shape: Sequence[int]) -> int:
        """An int64 tensor, such as of shapes."""
        return self._tensor(shape, schema.TensorType.INT64, [], 0)

    def op(
        self, code: int, version: int, inputs: Sequence[int], output: int, options: Any = None
    ) -> None:
        operator = schema.OperatorT()
        operator.opcodeIndex = self._code(code, version)
        operator.inputs, operator.outputs = list(inputs), [output]
        if options is not None:
            table = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, table)
            operator.builtinOptions = options
        self._graph.operators.append(operator)

    def pack(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        self._graph.inputs, self._graph.outputs = list(inputs), list(outputs)
        builder = flatbuffers.Builder()
        builder.Finish(self._model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _code(self, builtin: int, version: int) -> int:
        for index, code in enumerate(self._model.operatorCodes):
            if (code.builtinCode, code.version) == (builtin, version):
                return index
        code = schema.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode = builtin, min(builtin, 127)
        code.version = version
        self._model.operatorCodes.append(code)
        return len(self._model.operatorCodes) - 1

    def _tensor(
        self,
        shape: Sequence[int],
        kind: int,
        scales: Sequence[float],
        zero: int,
        values: NDArray[Any] | None = None,
    ) -> int:
        tensor = schema.TensorT()
        tensor.name = f"t{len(self._graph.tensors)}".encode()
        tensor.shape, tensor.type, tensor.buffer = list(shape), kind, 0
        if scales:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = list(scales)
            tensor.quantization.zeroPoint = [zero] * len(scales)
        if values is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(values.tobytes(), np.uint8)
            self._model.buffers.append(buffer)
            tensor.buffer = len(self._model.buffers) - 1
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1


def dense_rows(
    shape: Sequence[int] = (1, 6, 8),
    *,
    outputs: int = 5,
    per_channel: bool = True,
    bias: bool = True,
    in_scale: float = _IN_SCALE,
    activation: int = ACTIVATIONS.RELU,
) -> bytes:
    """FULLY_CONNECTED that keeps the dimensions of its input."""
    model = Model()
    x = model.data(shape, scale=in_scale)
    w, scales = model.weights((outputs, shape[-1]), per_channel=per_channel)
    y = model.data((*shape[:-1], outputs), scale=_OUT_SCALE, zero=-9)
    inputs = (x, w, model.bias(scales, outputs, in_scale)) if bias else (x, w, -1)
    options = _dense_options(activation, keep=True)
    model.op(OPS.FULLY_CONNECTED, 5, inputs, y, options)
    return model.pack([x], [y])


def with_unknown_batch(model: bytes) -> bytes:
    """The same with a batch that is stored as 1 and said to be unknown, as Keras leaves it."""
    opened = schema.ModelT.InitFromPackedBuf(model, 0)
    for tensor in opened.subgraphs[0].tensors:
        if tensor.type == schema.TensorType.INT8 and tensor.shape[0] == 1:
            tensor.shapeSignature = [-1, *(int(n) for n in tensor.shape[1:])]
    builder = flatbuffers.Builder(1024)
    builder.Finish(opened.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def dense_of_two_inputs() -> bytes:
    """FULLY_CONNECTED that does not even list a bias: version 6."""
    model = Model()
    x, (w, _) = model.data((1, 8)), model.weights((5, 8))
    y = model.data((1, 5), scale=_OUT_SCALE)
    model.op(OPS.FULLY_CONNECTED, 6, (x, w), y, _dense_options(ACTIVATIONS.NONE, keep=False))
    return model.pack([x], [y])


def grouped_conv(
    groups: int = 4,
    *,
    window: int = 3,
    activation: int = ACTIVATIONS.RELU,
    per_channel: bool = True,
) -> bytes:
    """CONV_2D in groups: version 6."""
    model = Model()
    x = model.data((1, 7, 7, 8))
    w, scales = model.weights((8, window, window, 8 // groups), per_channel=per_channel)
    y = model.data((1, 7, 7, 8), scale=_OUT_SCALE, zero=-5)
    options = schema.Conv2DOptionsT()
    options.padding, options.strideH, options.strideW = schema.Padding.SAME, 1, 1
    options.dilationHFactor = options.dilationWFactor = 1
    options.fusedActivationFunction = activation
    model.op(OPS.CONV_2D, 6, (x, w, model.bias(scales, 8)), y, options)
    return model.pack([x], [y])


def transpose_conv(activation: int, *, zero: int, out_scale: float = _OUT_SCALE) -> bytes:
    """TRANSPOSE_CONV with an activation: version 4. `zero` and `out_scale` are its output's."""
    model = Model()
    x, sizes = model.data((1, 4, 4, 3)), model.numbers((1, 9, 9, 5))
    w, _ = model.weights((5, 3, 3, 3))
    y = model.data((1, 9, 9, 5), scale=out_scale, zero=zero)
    options = schema.TransposeConvOptionsT()
    options.padding, options.strideH, options.strideW = schema.Padding.VALID, 2, 2
    options.fusedActivationFunction = activation
    model.op(OPS.TRANSPOSE_CONV, 4, (sizes, w, x), y, options)
    return model.pack([x], [y])


def lifted_add() -> bytes:
    """An ADD of int8 in a file whose ADD of int64 shapes lifted all its ADDs to version 4."""
    model = Model()
    x, y, n, m = model.data((1, 4)), model.data((1, 4)), model.whole((2,)), model.whole((2,))
    model.op(OPS.ADD, 4, (x, x), y, schema.AddOptionsT())
    model.op(OPS.ADD, 4, (n, n), m, schema.AddOptionsT())
    return model.pack([x, n], [y, m])


def chain(layers: int = 7) -> bytes:
    """Dense layers one behind the other, all of which the Edge TPU takes."""
    model = Model()
    first = last = model.data((1, 8))
    for _ in range(layers):
        (w, scales), y = model.weights((8, 8)), model.data((1, 8))
        options = _dense_options(ACTIVATIONS.RELU, keep=False)
        model.op(OPS.FULLY_CONNECTED, 4, (last, w, model.bias(scales, 8)), y, options)
        last = y
    return model.pack([first], [last])


def add_of_pad_and_resize() -> bytes:
    """The graph at which the Edge TPU compiler crashes without a word, and two layers behind it."""
    model = Model()
    small, large = model.data((1, 4, 4, 8)), model.data((1, 7, 7, 8))
    resized, padded, added = (model.data((1, 8, 8, 8)) for _ in range(3))
    resize = schema.ResizeNearestNeighborOptionsT()
    inputs = (small, model.numbers((8, 8)))
    model.op(OPS.RESIZE_NEAREST_NEIGHBOR, 2, inputs, resized, resize)
    sides = model.numbers(((0, 0), (0, 1), (0, 1), (0, 0)))
    model.op(OPS.PAD, 2, (large, sides), padded, schema.PadOptionsT())
    model.op(OPS.ADD, 2, (padded, resized), added, schema.AddOptionsT())
    last = added
    for _ in range(2):
        after = model.data((1, 8, 8, 8), scale=1 / 256, zero=-128)
        model.op(OPS.LOGISTIC, 2, (last,), after)
        last = after
    return model.pack([small, large], [last])


def _dense_options(activation: int, *, keep: bool) -> Any:
    options = schema.FullyConnectedOptionsT()
    options.fusedActivationFunction, options.keepNumDims = activation, keep
    return options
