"""Builds the .tflite files that the cost model is fitted on and judged by.

Counts depend on types and shapes alone, so weights are zeros and every scale is the same. Only
hybrid kernels look: they skip data of zeros, so weights are ones there.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

Kind = Literal["int8", "float32", "hybrid"]
Shape = tuple[int, ...]
_BYTES = {"int8": 1, "int32": 4, "float32": 4}
_SCALE, _WEIGHT_SCALE = 0.05, 0.01
# The schema wants the scale and zero point of these outputs.
_FIXED_SCALES = {"SOFTMAX": (1 / 256, -128), "LOGISTIC": (1 / 256, -128), "TANH": (1 / 128, 0)}
_VERSIONS = {"float32": 1, "int8": 2}


@dataclass
class Graph:
    """A graph that grows by one operation a call; calls take and return places of tensors.

    `hybrid` has activations of float32 and weights of int8, as the converter's dynamic range does.
    With `unknown_batch` shapes are computed from the input's, as in models of Keras.
    """

    kind: Kind
    unknown_batch: bool = False
    shapes: list[Shape] = field(default_factory=list)
    dtypes: list[str] = field(default_factory=list)
    _tensors: list[Any] = field(default_factory=list)
    _buffers: list[Any] = field(default_factory=lambda: [schema.BufferT()])
    _operators: list[Any] = field(default_factory=list)
    _codes: list[tuple[int, int]] = field(default_factory=list)
    _inputs: list[int] = field(default_factory=list)

    @property
    def dtype(self) -> str:
        """Type of the activations."""
        return "int8" if self.kind == "int8" else "float32"

    @property
    def _fill(self) -> int:
        return int(self.kind == "hybrid")

    @property
    def reshapes(self) -> bool:
        """Whether there is a RESHAPE in it."""
        return any(code == schema.BuiltinOperator.RESHAPE for code, _ in self._codes)

    def feed(self, *shape: int, dtype: str = "") -> int:
        """An input of the model."""
        self._inputs.append(self._tensor(shape, dtype or self.dtype))
        return self._inputs[-1]

    def conv(  # noqa: PLR0913 - a convolution has that many settings
        self, data: int, out: int, window: Shape = (1, 1), stride: int = 1, *,
        dilation: int = 1, same: bool = True, act: int = 1, groups: int = 1,
    ) -> int:  # fmt: skip
        """CONV_2D."""
        _, height, width, depth = self.shapes[data]
        size = [_out(s, w, stride, dilation, same=same)
                for s, w in zip((height, width), window, strict=True)]  # fmt: skip
        options = _window(stride, dilation, same=same, act=act)
        weights = self.weights((out, *window, depth // groups), out)
        version = 1 if self.kind == "float32" else 3
        return self.op("CONV_2D", [data, weights, self.bias(out)], (1, *size, out),
                       ("Conv2DOptions", options), version=version)  # fmt: skip

    def depthwise(self, data: int, window: Shape = (3, 3), stride: int = 1, *,
                  multiplier: int = 1, dilation: int = 1, same: bool = True) -> int:  # fmt: skip
        """DEPTHWISE_CONV_2D."""
        _, height, width, depth = self.shapes[data]
        out = depth * multiplier
        size = [_out(s, w, stride, dilation, same=same)
                for s, w in zip((height, width), window, strict=True)]  # fmt: skip
        options = _window(stride, dilation, same=same, act=1) | {"depthMultiplier": multiplier}
        weights = self.weights((1, *window, out), out, axis=3)
        return self.op("DEPTHWISE_CONV_2D", [data, weights, self.bias(out)], (1, *size, out),
                       ("DepthwiseConv2DOptions", options), version=3)  # fmt: skip

    def transpose_conv(self, data: int, out: int, window: int, stride: int) -> int:
        """TRANSPOSE_CONV that multiplies height and width by `stride`."""
        _, height, width, depth = self.shapes[data]
        shape = (1, height * stride, width * stride, out)
        weights = self.weights((out, window, window, depth), out)
        options = {"strideH": stride, "strideW": stride, "padding": schema.Padding.SAME}
        return self.op("TRANSPOSE_CONV", [self.whole(shape), weights, data, self.bias(out)], shape,
                       ("TransposeConvOptions", options), version=3)  # fmt: skip

    def dense(self, data: int, out: int, *, act: int = 0) -> int:
        """FULLY_CONNECTED on the last axis."""
        *rows, depth = self.shapes[data]
        weights = self.weights((out, depth), 1)
        options = {"fusedActivationFunction": act, "keepNumDims": len(rows) > 1}
        return self.op("FULLY_CONNECTED", [data, weights, self.bias(out, 1)], (*rows, out),
                       ("FullyConnectedOptions", options), version=5)  # fmt: skip

    def pool(self, name: str, data: int, window: int, stride: int, *, same: bool = False) -> int:
        """AVERAGE_POOL_2D or MAX_POOL_2D; a window of 0 is the whole image."""
        _, height, width, depth = self.shapes[data]
        high, wide = (window, window) if window else (height, width)
        size = (_out(height, high, stride, 1, same=same), _out(width, wide, stride, 1, same=same))
        options = {"strideH": stride, "strideW": stride, "filterHeight": high, "filterWidth": wide,
                   "padding": int(not same), "fusedActivationFunction": 0}  # fmt: skip
        return self.op(name, [data], (1, *size, depth), ("Pool2DOptions", options), version=2)

    def reshape(self, data: int, *shape: int) -> int:
        """RESHAPE."""
        if self.unknown_batch:
            return self.op("RESHAPE", [data, self._computed(data, shape)], shape, version=1)
        return self.op("RESHAPE", [data, self.whole(shape)], shape, version=1)

    def simple(self, name: str, *inputs: int, shape: Shape = (), dtype: str = "") -> int:
        """An operation without options whose output is like its first input."""
        shape = shape or self.shapes[inputs[0]]
        return self.op(name, inputs, shape, dtype=dtype)

    def op(  # noqa: PLR0913 - as conv
        self, name: str, inputs: Sequence[int], shape: Shape,
        options: tuple[str, dict[str, Any]] | None = None, *,
        version: int | None = None, dtype: str = "", outputs: int = 1,
    ) -> int:  # fmt: skip
        """Any operation; returns its first output, the others follow."""
        made: Any = schema.OperatorT()
        code = (getattr(schema.BuiltinOperator, name),
                _VERSIONS[self.dtype] if version is None else version)  # fmt: skip
        if code not in self._codes:
            self._codes.append(code)
        made.opcodeIndex, made.inputs = self._codes.index(code), list(inputs)
        scale = _FIXED_SCALES.get(name)
        made.outputs = [
            self._tensor(shape, dtype or self.dtype, scale=scale) for _ in range(outputs)
        ]
        if options is not None:
            table, fields = options
            made.builtinOptionsType = getattr(schema.BuiltinOptions, table)
            made.builtinOptions = getattr(schema, f"{table}T")()
            for key, value in fields.items():
                setattr(made.builtinOptions, key, value)
        self._operators.append(made)
        return int(made.outputs[0])

    def weights(self, shape: Shape, channels: int, *, axis: int = 0) -> int:
        """Filters; int8 ones have a scale a channel, or one where `channels` is 1."""
        dtype = "float32" if self.kind == "float32" else "int8"
        return self._constant(np.full(shape, self._fill, dtype), channels, axis, _WEIGHT_SCALE)

    def bias(self, out: int, channels: int | None = None) -> int:
        """A bias."""
        dtype = "int32" if self.kind == "int8" else "float32"
        scales = channels or out
        return self._constant(np.full(out, self._fill, dtype), scales, 0, _SCALE * _WEIGHT_SCALE)

    def constant(self, *shape: int) -> int:
        """A constant of the activations' type."""
        return self._constant(np.zeros(shape, self.dtype), 1, 0, _SCALE)

    def whole(self, values: Sequence[int] | Sequence[Sequence[int]]) -> int:
        """Shapes, axes and paddings."""
        return self._constant(np.array(values, "int32"), 0, 0, 0.0)

    def model(self, *outputs: int) -> bytes:
        """The file; its output is the last tensor unless told otherwise."""
        graph: Any = schema.SubGraphT()
        graph.name, graph.tensors, graph.operators = b"main", self._tensors, self._operators
        graph.inputs, graph.outputs = self._inputs, list(outputs) or [len(self._tensors) - 1]
        model: Any = schema.ModelT()
        model.version, model.subgraphs, model.buffers = 3, [graph], self._buffers
        model.operatorCodes = [_code(*code) for code in self._codes]
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _computed(self, data: int, shape: Shape) -> int:
        """A shape whose first axis is that of the data."""
        as_whole: dict[str, Any] = {"version": 1, "dtype": "int32"}
        kept, scalar = {"outType": schema.TensorType.INT32}, {"shrinkAxisMask": 1}
        axes = (len(self.shapes[data]),)
        of_data = self.op("SHAPE", [data], axes, ("ShapeOptions", kept), **as_whole)
        ends = [of_data, *(self.whole((end,)) for end in (0, 1, 1))]
        batch = self.op("STRIDED_SLICE", ends, (), ("StridedSliceOptions", scalar), **as_whole)
        rest = [self._constant(np.array(axis, "int32"), 0, 0, 0.0) for axis in shape[1:]]
        packed = ("PackOptions", {"valuesCount": len(shape)})
        return self.op("PACK", [batch, *rest], (len(shape),), packed, **as_whole)

    def _constant(self, content: Any, channels: int, axis: int, scale: float) -> int:
        buffer: Any = schema.BufferT()
        buffer.data = content.reshape(-1).view(np.uint8)
        self._buffers.append(buffer)
        place = self._tensor(content.shape, content.dtype.name, scale=None)
        tensor = self._tensors[place]
        tensor.buffer = len(self._buffers) - 1
        if scale and content.dtype != np.float32:
            tensor.quantization = _quantization(scale, 0, channels, axis)
        return place

    def _tensor(self, shape: Shape, dtype: str, scale: tuple[float, int] | None = None) -> int:
        made: Any = schema.TensorT()
        made.name, made.shape, made.buffer = f"t{len(self._tensors)}".encode(), list(shape), 0
        made.type = getattr(schema.TensorType, dtype.upper())
        if dtype == "int8":
            made.quantization = _quantization(*(scale or (_SCALE, 0)), 1, 0)
        self._tensors.append(made)
        self.shapes.append(tuple(shape))
        self.dtypes.append(dtype)
        return len(self._tensors) - 1


def _quantization(scale: float, zero_point: int, channels: int, axis: int) -> Any:
    made: Any = schema.QuantizationParametersT()
    made.scale, made.zeroPoint = [scale] * channels, [zero_point] * channels
    made.quantizedDimension = axis
    return made


def _code(builtin: int, version: int) -> Any:
    made: Any = schema.OperatorCodeT()
    made.builtinCode, made.deprecatedBuiltinCode = builtin, min(builtin, 127)
    made.version = version
    return made


def _window(stride: int, dilation: int, *, same: bool, act: int) -> dict[str, int]:
    return {"strideH": stride, "strideW": stride, "dilationHFactor": dilation,
            "dilationWFactor": dilation, "padding": int(not same),
            "fusedActivationFunction": act}  # fmt: skip


def _out(size: int, window: int, stride: int, dilation: int, *, same: bool) -> int:
    reach = 1 if same else (window - 1) * dilation + 1
    return -(-(size - reach + 1) // stride)
