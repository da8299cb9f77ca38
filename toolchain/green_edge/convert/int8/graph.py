"""A .tflite opened for repair: its layers with weights, and its constants as arrays to write in.

Constants are exchanged where they stand, so every other byte of the file stays as it was. Where
layers may share a constant, `ready` gives each a copy of its own first.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

LayerOp = Literal["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"]

CODES: dict[int, LayerOp] = {
    schema.BuiltinOperator.CONV_2D: "CONV_2D",
    schema.BuiltinOperator.DEPTHWISE_CONV_2D: "DEPTHWISE_CONV_2D",
    schema.BuiltinOperator.FULLY_CONNECTED: "FULLY_CONNECTED",
}
_DTYPES: dict[int, np.dtype[Any]] = {
    schema.TensorType.FLOAT32: np.dtype(np.float32),
    schema.TensorType.INT8: np.dtype(np.int8),
    schema.TensorType.INT16: np.dtype(np.int16),
    schema.TensorType.INT32: np.dtype(np.int32),
    schema.TensorType.INT64: np.dtype(np.int64),
}
_ACTIVATIONS: dict[int, str] = {
    code: name for name, code in vars(schema.ActivationFunctionType).items() if name.isupper()
}
_NAMES: dict[int, str] = {
    code: name for name, code in vars(schema.BuiltinOperator).items() if name.isupper()
}
_WEIGHTS, _BIAS = 1, 2


@dataclass(frozen=True, slots=True)
class Window:
    """How a convolution moves over its input: (height, width) of stride and dilation.

    Attributes:
        same: pads with zeros so that the output has ceil(input / stride) positions.
    """

    stride: tuple[int, int]
    dilation: tuple[int, int]
    same: bool


@dataclass(frozen=True, slots=True)
class Layer:
    """An operation with constant weights; its tensors by index in the main graph.

    Attributes:
        name: of its output tensor.
        bias: None where it has none.
        activation: the fused one, by the schema's name, such as `RELU`.
        window: None for a fully connected layer.
    """

    op: LayerOp
    name: str
    x: int
    weights: int
    bias: int | None
    y: int
    activation: str
    window: Window | None


@dataclass(frozen=True, slots=True)
class Operator:
    """Any operation; its tensors by index in the main graph, -1 for an optional one left out.

    Attributes:
        name: the schema's builtin name.
        activation: the fused one, `NONE` where the operation has no such option.
        layer: whether it is one of `Graph.layers()`.
    """

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    activation: str
    layer: bool


class Graph:
    """The main graph of a model that `tflite.read` has accepted."""

    def __init__(self, tflite: bytes) -> None:
        self._content = bytearray(tflite)
        self._model = schema.Model.GetRootAs(self._content, 0)
        self._graph = self._model.Subgraphs(0)
        self.inputs: tuple[int, ...] = _indices(self._graph.InputsAsNumpy())
        self.outputs: tuple[int, ...] = _indices(self._graph.OutputsAsNumpy())

    def content(self) -> bytes:
        """The file as it is now."""
        return bytes(self._content)

    def name(self, tensor: int) -> str:
        """The tensor's name."""
        return (self._graph.Tensors(tensor).Name() or b"").decode("utf-8", "replace")

    def shape(self, tensor: int) -> tuple[int, ...]:
        """As stored: a dynamic axis is stored as 1."""
        return _indices(self._graph.Tensors(tensor).ShapeAsNumpy())

    def dtype(self, tensor: int) -> np.dtype[Any] | None:
        """None for a type that no repair handles."""
        return _DTYPES.get(self._graph.Tensors(tensor).Type())

    def constant(self, tensor: int) -> NDArray[Any] | None:
        """A view on the tensor's content in the file, to read or write; None for what is computed.

        Content outside the flatbuffer, as files over 2 GB have it, is taken for computed.
        """
        raw = self._graph.Tensors(tensor)
        buffer = self._model.Buffers(raw.Buffer())
        dtype = self.dtype(tensor)
        if not buffer.DataLength() or dtype is None:
            return None
        flat: NDArray[Any] = buffer.DataAsNumpy()
        return flat.view(dtype).reshape(self.shape(tensor))

    def scales(self, tensor: int) -> NDArray[np.float64]:
        """One scale, or one a channel; empty where the tensor is not quantized."""
        raw = self._graph.Tensors(tensor).Quantization()
        if raw is None or not raw.ScaleLength():
            return np.empty(0)
        scales: NDArray[np.float64] = raw.ScaleAsNumpy().astype(np.float64)
        return scales

    def zero_point(self, tensor: int) -> int:
        """Of the first scale; 0 where none is stored."""
        raw = self._graph.Tensors(tensor).Quantization()
        return int(raw.ZeroPoint(0)) if raw is not None and raw.ZeroPointLength() else 0

    def real(self, tensor: int, values: NDArray[Any]) -> NDArray[np.float32]:
        """Values of a tensor as the real numbers they stand for, one scale for all."""
        scales = self.scales(tensor)
        if not scales.size:
            return values.astype(np.float32)
        stored = values.astype(np.float32) - np.float32(self.zero_point(tensor))
        return stored * np.float32(scales[0])

    def operators(self) -> Iterator[Operator]:
        """The operations in the graph's order."""
        for i in range(self._graph.OperatorsLength()):
            raw = self._graph.Operators(i)
            inputs = _indices(raw.InputsAsNumpy())
            yield Operator(
                name=_NAMES[self._code(raw)],
                inputs=inputs,
                outputs=_indices(raw.OutputsAsNumpy()),
                activation=_activation(raw),
                layer=self._layer(raw) is not None,
            )

    def computed(self) -> tuple[int, ...]:
        """The model's inputs and what its operations give, in the graph's order."""
        given = (index for op in self.operators() for index in op.outputs)
        return (*self.inputs, *given)

    def layers(self) -> tuple[Layer, ...]:
        """Convolutions and fully connected layers with constant weights, in the graph's order."""
        found = (self._layer(self._graph.Operators(i))
                 for i in range(self._graph.OperatorsLength()))  # fmt: skip
        return tuple(layer for layer in found if layer is not None)

    def _layer(self, raw: Any) -> Layer | None:
        op = CODES.get(self._code(raw))
        inputs = _indices(raw.InputsAsNumpy())
        if op is None or self.constant(inputs[_WEIGHTS]) is None:
            return None
        has_bias = len(inputs) > _BIAS and inputs[_BIAS] >= 0
        return Layer(
            op=op,
            name=self.name(int(raw.Outputs(0))),
            x=inputs[0],
            weights=inputs[_WEIGHTS],
            bias=inputs[_BIAS] if has_bias and self.constant(inputs[_BIAS]) is not None else None,
            y=int(raw.Outputs(0)),
            activation=_activation(raw),
            window=None if op == "FULLY_CONNECTED" else _window(op, raw),
        )

    def _code(self, raw: Any) -> int:
        code = self._model.OperatorCodes(raw.OpcodeIndex())
        return max(int(code.BuiltinCode()), int(code.DeprecatedBuiltinCode()))


def _activation(raw: Any) -> str:
    options = _OPTIONS.get(raw.BuiltinOptionsType())
    if options is None or raw.BuiltinOptions() is None:
        return "NONE"
    return _ACTIVATIONS.get(int(_opened(raw, options).FusedActivationFunction()), "NONE")


def _window(op: LayerOp, raw: Any) -> Window:
    kind = schema.Conv2DOptions if op == "CONV_2D" else schema.DepthwiseConv2DOptions
    options = _opened(raw, kind)
    return Window(
        stride=(int(options.StrideH()), int(options.StrideW())),
        dilation=(int(options.DilationHFactor()), int(options.DilationWFactor())),
        same=options.Padding() == schema.Padding.SAME,
    )


def _opened(raw: Any, kind: Any) -> Any:
    table, options = raw.BuiltinOptions(), kind()
    options.Init(table.Bytes, table.Pos)
    return options


_OPTIONS: dict[int, Any] = {
    schema.BuiltinOptions.Conv2DOptions: schema.Conv2DOptions,
    schema.BuiltinOptions.DepthwiseConv2DOptions: schema.DepthwiseConv2DOptions,
    schema.BuiltinOptions.FullyConnectedOptions: schema.FullyConnectedOptions,
    schema.BuiltinOptions.Pool2DOptions: schema.Pool2DOptions,
    schema.BuiltinOptions.AddOptions: schema.AddOptions,
    schema.BuiltinOptions.SubOptions: schema.SubOptions,
    schema.BuiltinOptions.MulOptions: schema.MulOptions,
    schema.BuiltinOptions.ConcatenationOptions: schema.ConcatenationOptions,
}


def _indices(array: Any) -> tuple[int, ...]:
    # An absent vector reads as the number 0.
    return tuple(int(n) for n in array) if isinstance(array, (np.ndarray, Sequence)) else ()
