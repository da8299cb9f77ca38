"""A small float network and its int8 form, with faults planted in one layer on request.

    image (1, 8, 8, 3) -> conv1 3x3 RELU -> depth 3x3 RELU -> conv2 1x1 -> add (with conv1) RELU
                       -> mean -> scores (1, 5)

Everything is computed here in the open: ranges from a run of the float model over some samples,
weights per channel, biases at the product of the scales, as the converters do it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from green_edge.data.dataset import Dataset
from green_edge.evaluate.predict import predict
from green_edge.tflite.cut import cut
from green_edge.tflite.read import read
from support.tiny_models import _File

Fault = Literal["outlier", "clipped", "weights", "bias"]
LAYERS = ("conv1", "depth", "conv2", "scores")
CHANNELS = 8
# The faults concern this channel of a layer's output.
CHANNEL = 2
_SIZE = 8
_CLASSES = 5
_OUTLIER = 60.0
_CLIPPED = 0.2

Floats = NDArray[np.float32]
_Ops = schema.BuiltinOperator
_Act = schema.ActivationFunctionType


@dataclass(frozen=True)
class Net:
    """Weights and biases by layer, as TFLite lays them out; `relu_apart` does not fuse RELU."""

    weights: Mapping[str, Floats]
    biases: Mapping[str, Floats]
    prefix: str = "net/"
    relu_apart: bool = False
    swapped_add: bool = False


@dataclass
class _Int8:
    """How to quantize while a file is written."""

    ranges: Mapping[str, tuple[float, float]]
    fault: Fault | None = None
    layer: str = ""
    scales: dict[int, float] = field(default_factory=dict)


def samples(n: int = 64, seed: int = 5) -> Dataset:
    """Smooth random images."""
    draw = np.random.default_rng(seed)
    coarse = draw.normal(size=(n, 4, 4, 3)).astype(np.float32)
    return Dataset({"image": np.repeat(np.repeat(coarse, 2, axis=1), 2, axis=2)})


def net(seed: int = 0) -> Net:
    """A network of seeded normal weights, each layer's output of about unit size."""
    draw = np.random.default_rng(seed)
    shapes = {
        "conv1": (CHANNELS, 3, 3, 3),
        "depth": (1, 3, 3, CHANNELS),
        "conv2": (CHANNELS, 1, 1, CHANNELS),
        "scores": (_CLASSES, CHANNELS),
    }
    weights = {}
    for name, shape in shapes.items():
        terms = 9 if name == "depth" else int(np.prod(shape[1:]))
        weights[name] = (draw.normal(size=shape) * np.sqrt(2 / terms)).astype(np.float32)
    sizes = {name: shape[3] if name == "depth" else shape[0] for name, shape in shapes.items()}
    biases = {name: draw.normal(0, 0.3, n).astype(np.float32) for name, n in sizes.items()}
    return Net(weights, biases)


def with_outlier(before: Net, layer: str) -> Net:
    """The same function, but one output channel of a layer is 60 times as large as before.

    What takes it divides by as much. `conv1` also feeds the addition: it is no such layer.
    """
    follower = {"depth": "conv2", "conv2": None, "scores": None}[layer]
    weights = {name: array.copy() for name, array in before.weights.items()}
    biases = {name: array.copy() for name, array in before.biases.items()}
    if layer == "depth":
        weights[layer][..., CHANNEL] *= _OUTLIER
    else:
        weights[layer][CHANNEL] *= _OUTLIER
    biases[layer][CHANNEL] *= _OUTLIER
    if follower is not None:
        weights[follower][..., CHANNEL] /= _OUTLIER
    return replace(before, weights=weights, biases=biases)


def float_file(of: Net) -> bytes:
    """The float .tflite."""
    return _write(of, None)


def int8_file(of: Net, *, fault: Fault | None = None, layer: str = "") -> bytes:
    """The int8 .tflite, calibrated on `samples()`."""
    return _write(of, _Int8(_ranges(of), fault, layer))


def _ranges(of: Net) -> dict[str, tuple[float, float]]:
    content = _write(replace(of, prefix="", relu_apart=False), None)
    facts = read(content)
    computed = [i for op in facts.ops for i in op.outputs]
    dataset = samples()
    values = predict(cut(content, facts.input_indices, computed), dataset)
    found = {facts.tensors[i].name: v for i, v in zip(computed, values, strict=True)}
    found["image"] = np.asarray(dataset.inputs["image"], np.float32)
    return {name: (min(float(v.min()), 0.0), max(float(v.max()), 0.0)) for name, v in found.items()}


class _Writer(_File):
    def __init__(self, of: Net, int8: _Int8 | None) -> None:
        super().__init__()
        self.of, self.int8 = of, int8

    def activation(self, name: str, shape: tuple[int, ...]) -> int:
        if self.int8 is None:
            return self.tensor(self.of.prefix + name, shape, "float32")
        index = self.tensor(self.of.prefix + name, shape, "int8")
        low, high = self.int8.ranges[name]
        if self.int8.fault == "clipped" and self.int8.layer == name:
            low, high = low * _CLIPPED, high * _CLIPPED
        scale = (high - low) / 255
        self.quantize(index, [scale], [round(-128 - low / scale)])
        self.int8.scales[index] = scale
        return index

    def quantize(
        self, index: int, scales: list[float], zero_points: list[int], axis: int = 0
    ) -> None:
        parameters = schema.QuantizationParametersT()
        parameters.scale, parameters.zeroPoint = scales, zero_points
        parameters.quantizedDimension = axis
        self.tensors[index].quantization = parameters

    def constants(self, layer: str, source: int) -> list[int]:
        """Weights and bias of a layer that takes the tensor `source`."""
        weights, bias = self.of.weights[layer], self.of.biases[layer]
        if self.int8 is None:
            return [
                self.tensor(f"{layer}/w", weights.shape, "float32", data=weights),
                self.tensor(f"{layer}/b", bias.shape, "float32", data=bias),
            ]
        axis = 3 if layer == "depth" else 0
        others = tuple(i for i in range(weights.ndim) if i != axis)
        scales = np.abs(weights).max(axis=others) / 127
        shape = [-1 if i == axis else 1 for i in range(weights.ndim)]
        stored = np.round(weights / scales.reshape(shape)).astype(np.int8)
        steps = np.round(bias / (scales * self.int8.scales[source])).astype(np.int32)
        if self.int8.layer == layer and self.int8.fault == "weights":
            chosen = [slice(None)] * weights.ndim
            chosen[axis] = slice(CHANNEL, CHANNEL + 1)
            stored[tuple(chosen)] *= -1
        if self.int8.layer == layer and self.int8.fault == "bias":
            steps[CHANNEL] += round(1.0 / float(scales[CHANNEL] * self.int8.scales[source]))
        w = self.tensor(f"{layer}/w", weights.shape, "int8", data=stored)
        self.quantize(w, scales.tolist(), [0] * len(scales), axis)
        b = self.tensor(f"{layer}/b", bias.shape, "int32", data=steps)
        self.quantize(b, (scales * self.int8.scales[source]).tolist(), [0] * len(scales))
        return [w, b]

    def operation(
        self, code: int, inputs: list[int], name: str, shape: tuple[int, ...], options: Any
    ) -> int:
        """An operation; its RELU, where it has one, apart if the net is to be so."""
        version = 1 if self.int8 is None else _VERSIONS.get(code, 1)
        kind = getattr(schema.BuiltinOptions, type(options).__name__[:-1])
        fused = getattr(options, "fusedActivationFunction", _Act.NONE)
        if fused == _Act.NONE or not self.of.relu_apart:
            out = self.activation(name, shape)
            self.operator(code, inputs, [out], (kind, options), version)
            return out
        options.fusedActivationFunction = _Act.NONE
        raw = self.tensor(f"{self.of.prefix}{name}/raw", shape, "float32")
        self.operator(code, inputs, [raw], (kind, options), version)
        out = self.activation(name, shape)
        self.operator(_Ops.RELU, [raw], [out], (schema.BuiltinOptions.NONE, None))
        return out


# First versions of the int8 kernels.
_VERSIONS = {
    _Ops.CONV_2D: 3,
    _Ops.DEPTHWISE_CONV_2D: 3,
    _Ops.ADD: 2,
    _Ops.MEAN: 2,
    _Ops.FULLY_CONNECTED: 4,
}


def _write(of: Net, int8: _Int8 | None) -> bytes:
    file = _Writer(of, int8)
    maps = (1, _SIZE, _SIZE, CHANNELS)
    image = file.activation("image", (1, _SIZE, _SIZE, 3))
    conv1 = file.operation(
        _Ops.CONV_2D, [image, *file.constants("conv1", image)], "conv1", maps, _conv(_Act.RELU)
    )
    depth = file.operation(
        _Ops.DEPTHWISE_CONV_2D,
        [conv1, *file.constants("depth", conv1)], "depth", maps, _depthwise(),
    )  # fmt: skip
    conv2 = file.operation(
        _Ops.CONV_2D, [depth, *file.constants("conv2", depth)], "conv2", maps, _conv(_Act.NONE)
    )
    joined = [conv2, conv1] if of.swapped_add else [conv1, conv2]
    added = file.operation(_Ops.ADD, joined, "add", maps, _add())
    axes = file.tensor("axes", (2,), "int32", data=np.array([1, 2], np.int32))
    mean = file.operation(_Ops.MEAN, [added, axes], "mean", (1, CHANNELS), schema.ReducerOptionsT())
    scores = file.operation(
        _Ops.FULLY_CONNECTED, [mean, *file.constants("scores", mean)], "scores", (1, _CLASSES),
        schema.FullyConnectedOptionsT(),
    )  # fmt: skip
    return file.pack([image], [scores], {image: "image"})


def _conv(activation: int) -> Any:
    options = schema.Conv2DOptionsT()
    options.padding = schema.Padding.SAME
    options.strideH = options.strideW = 1
    options.fusedActivationFunction = activation
    return options


def _depthwise() -> Any:
    options = schema.DepthwiseConv2DOptionsT()
    options.padding = schema.Padding.SAME
    options.strideH = options.strideW = options.depthMultiplier = 1
    options.fusedActivationFunction = _Act.RELU
    return options


def _add() -> Any:
    options = schema.AddOptionsT()
    options.fusedActivationFunction = _Act.RELU
    return options
