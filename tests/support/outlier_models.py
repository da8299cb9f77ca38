"""Classifiers that plain int8 spoils, written without TensorFlow, and data for them.

Images of seeded class patterns under noise; two random convolutions and a head fitted by ridge
regression on what they give. One fault is planted that leaves the float model's function as it is:

    none      nothing
    channel   a channel of the first convolution a thousand times the others, taken back by the next
    spread    every channel of the depthwise convolution at another size, over six powers of two
    spikes    now and then a calibration sample holds a value far beyond the others
    residual  as `channel`, in a network that adds the first activation to the next one's output, so
              that no two layers can be equalised; the layer after the sum takes the channel back
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from support.tiny_models import _File

Fault = Literal["none", "channel", "spread", "spikes", "residual"]
Array = NDArray[np.float32]

SIZE, CHANNELS, CLASSES = 8, 16, 6
CHANNEL, FACTOR = 3, 1000.0
FIRST, SECOND, SUM, THIRD = "first/Relu", "second/Relu", "sum/add", "third/Relu"
_SAME, _RELU = schema.Padding.SAME, schema.ActivationFunctionType.RELU


@dataclass(frozen=True, slots=True)
class Planted:
    """A float model, 100 samples for its calibration and labelled ones for the verdict."""

    model: bytes
    calibration: Array
    x: Array
    y: NDArray[np.int64]


def planted(fault: Fault, *, seed: int = 0, samples: int = 600, factor: float = FACTOR) -> Planted:
    """Draw data, fit the model and plant the fault; the same for the same arguments.

    `factor` is by how much the channel of `channel` and `residual` is larger than the others.
    """
    rng = np.random.default_rng(seed)
    patterns = rng.normal(0, 1, (CLASSES, SIZE, SIZE, 1))

    def draw(n: int) -> tuple[Array, NDArray[np.int64]]:
        y = rng.integers(0, CLASSES, n)
        x = patterns[y] + rng.normal(0, 1.5, (n, SIZE, SIZE, 1))
        return x.astype(np.float32), y

    weights = _drawn(rng)
    x, y = draw(1200)
    residual = fault == "residual"
    features = outputs(_written(weights, residual=residual, head=False), x)
    weights["head"], weights["head_bias"] = _fitted(features, y)
    calibration, _ = draw(100)
    judged, labels = draw(samples)
    if fault == "spikes":
        calibration[::25, 0, 0, 0] = 400.0
    _plant(weights, fault, factor)
    return Planted(_written(weights, residual=residual), calibration, judged, labels)


def outputs(tflite: bytes, x: Array) -> Array:
    """Real values of a model's first output on each sample, by the runtime's default kernels."""
    interpreter = Interpreter(model_content=tflite, num_threads=1)
    interpreter.allocate_tensors()
    taken, given = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    results = []
    for sample in x:
        interpreter.set_tensor(taken["index"], _stored(taken, sample[None]))
        interpreter.invoke()
        scale, zero = given["quantization"]
        value = interpreter.get_tensor(given["index"])[0]
        results.append((value.astype(np.float32) - zero) * scale if scale else value)
    return np.array(results, np.float32)


def accuracy(tflite: bytes, planted: Planted) -> float:
    """Share of right answers, 0..1."""
    return float(np.mean(outputs(tflite, planted.x).argmax(axis=1) == planted.y))


def _stored(detail: Any, value: Array) -> NDArray[Any]:
    scale, zero = detail["quantization"]
    if not scale:
        return value
    stored: NDArray[Any] = np.clip(np.round(value / scale) + zero, -128, 127).astype(np.int8)
    return stored


def _drawn(rng: np.random.Generator) -> dict[str, Array]:
    shapes = {
        "first": (CHANNELS, 3, 3, 1),
        "second": (1, 3, 3, CHANNELS),
        "third": (CHANNELS, 1, 1, CHANNELS),
    }
    weights = {name: rng.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}
    for name in shapes:
        weights[f"{name}_bias"] = rng.normal(0, 0.3, CHANNELS).astype(np.float32)
    return weights


def _fitted(features: Array, y: NDArray[np.int64]) -> tuple[Array, Array]:
    """Weights (classes, features) and bias of the ridge regression on one-hot targets."""
    wide = np.hstack([features, np.ones((len(features), 1), np.float32)]).astype(np.float64)
    targets = np.eye(CLASSES)[y]
    ridge = np.eye(wide.shape[1]) * 10.0
    fitted = np.linalg.solve(wide.T @ wide + ridge, wide.T @ targets).T
    return fitted[:, :-1].astype(np.float32), fitted[:, -1].astype(np.float32)


def _plant(weights: dict[str, Array], fault: Fault, factor: float) -> None:
    size = np.ones(CHANNELS, np.float32)
    if fault in {"channel", "residual"}:
        size[CHANNEL] = factor
        weights["first"] *= size[:, None, None, None]
        weights["first_bias"] *= size
    if fault == "channel":
        weights["second"] /= size
    if fault == "residual":
        weights["second_bias"] *= size
        weights["third"] /= size
    if fault == "spread":
        size = np.float32(2.0) ** np.linspace(-3, 3, CHANNELS, dtype=np.float32)
        weights["second"] *= size
        weights["second_bias"] *= size
        weights["third"] /= size


def _written(weights: dict[str, Array], *, residual: bool, head: bool = True) -> bytes:
    """Convolution, depthwise and 1x1 convolution, flatten, dense; without `head` the features."""
    file = _File()
    x = file.tensor("image", (1, SIZE, SIZE, 1), "float32")
    first = _conv(file, weights, "first", x, FIRST)
    second = _conv(file, weights, "second", first, SECOND)
    if residual:
        second = _sum(file, first, second)
    third = _conv(file, weights, "third", second, THIRD)
    flat = file.tensor("flat", (1, SIZE * SIZE * CHANNELS), "float32")
    shape = file.tensor("shape", (2,), "int32", data=np.array([1, -1], np.int32))
    reshape = (schema.BuiltinOptions.ReshapeOptions, schema.ReshapeOptionsT())
    file.operator(schema.BuiltinOperator.RESHAPE, [third, shape], [flat], reshape)
    if not head:
        return file.pack([x], [flat])
    scores = file.tensor("scores", (1, CLASSES), "float32")
    w = file.tensor("head", weights["head"].shape, "float32", data=weights["head"])
    b = file.tensor("head_bias", (CLASSES,), "float32", data=weights["head_bias"])
    dense = (schema.BuiltinOptions.FullyConnectedOptions, schema.FullyConnectedOptionsT())
    file.operator(schema.BuiltinOperator.FULLY_CONNECTED, [flat, w, b], [scores], dense)
    return file.pack([x], [scores])


def _sum(file: _File, a: int, b: int) -> int:
    total = file.tensor(SUM, (1, SIZE, SIZE, CHANNELS), "float32")
    options = (schema.BuiltinOptions.AddOptions, schema.AddOptionsT())
    file.operator(schema.BuiltinOperator.ADD, [a, b], [total], options)
    return total


def _conv(file: _File, weights: dict[str, Array], name: str, x: int, output: str) -> int:
    kernel = file.tensor(name, weights[name].shape, "float32", data=weights[name])
    own = weights[f"{name}_bias"]
    bias = file.tensor(f"{name}_bias", own.shape, "float32", data=own)
    y = file.tensor(output, (1, SIZE, SIZE, CHANNELS), "float32")
    depthwise = weights[name].shape[0] == 1
    options: Any = schema.DepthwiseConv2DOptionsT() if depthwise else schema.Conv2DOptionsT()
    options.padding, options.fusedActivationFunction = _SAME, _RELU
    options.strideH = options.strideW = 1
    options.dilationHFactor = options.dilationWFactor = 1
    kinds, ops = schema.BuiltinOptions, schema.BuiltinOperator
    kind = kinds.DepthwiseConv2DOptions if depthwise else kinds.Conv2DOptions
    if depthwise:
        options.depthMultiplier = 1
    op = ops.DEPTHWISE_CONV_2D if depthwise else ops.CONV_2D
    file.operator(op, [x, kernel, bias], [y], (kind, options))
    return y
