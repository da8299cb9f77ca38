"""A float `.tflite` whose 1 x 1 convolutions have zeros, written without TensorFlow."""

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from support.tiny_models import _File

_OPS = schema.BuiltinOperator
SIDE, WIDE = 16, 32


def with_zeros(
    share: float,
    *,
    wide: int = WIDE,
    shared: bool = False,
    pad: tuple[int, int] = (1, 1),
    stride: int = 2,
    between: str = "",
    seed: int = 0,
) -> bytes:
    """PAD, 3 x 3 convolution of stride 2 over 3 channels, two 1 x 1, mean over the image.

    Args:
        share: of zeros in the kernels of the 1 x 1 convolutions.
        wide: their channels.
        shared: both have the same kernel.
        pad: before and after, on both axes.
        stride: of the first convolution.
        between: an operation between the 1 x 1 convolutions, an ADD of the first one's input and
            output; or `constant`: an ADD of a constant; or `taken`: the first one's input is taken
            elsewhere too.
        seed: of the weights.
    """
    draw = np.random.default_rng(seed)
    file = _File()
    image = file.tensor("image", (1, SIDE, SIDE, 3), "float32")
    sides = np.array([[0, 0], pad, pad, [0, 0]], np.int32)
    pads = file.tensor("pads", (4, 2), "int32", data=sides)
    side = SIDE + sum(pad)
    padded = file.tensor("padded", (1, side, side, 3), "float32")
    padding = schema.BuiltinOptions.PadOptions, schema.PadOptionsT()
    file.operator(_OPS.PAD, [image, pads], [padded], padding)
    first = _conv(file, padded, draw.normal(0, 0.3, (wide, 3, 3, 3)), stride=stride)
    kernel = draw.normal(0, 0.3, (wide, 1, 1, wide))
    kernel[np.abs(kernel) < np.quantile(np.abs(kernel), share)] = 0
    x = _conv(file, first, kernel)
    weights = file.operators[-1].inputs[1] if shared else None
    outputs = []
    if between == "taken":
        outputs.append(_between(file, "SIN", [first]))
    elif between == "constant":
        x = _between(file, "ADD", [x, file.tensor("one", (1,), "float32", data=np.ones(1, "f4"))])
    elif between:
        x = _between(file, between, [first, x] if between == "ADD" else [x])
    x = _conv(file, x, kernel, weights=weights)
    axes = file.tensor("axes", (2,), "int32", data=np.array([1, 2], np.int32))
    means = file.tensor("means", (1, 1, 1, wide), "float32")
    options = schema.ReducerOptionsT()
    options.keepDims = True
    mean = schema.BuiltinOptions.ReducerOptions, options
    file.operator(_OPS.MEAN, [x, axes], [means], mean)
    return file.pack([image], [means, *outputs])


def _between(file: _File, op: str, inputs: list[int]) -> int:
    output = file.tensor("between", file.tensors[inputs[0]].shape, "float32")
    none = schema.BuiltinOptions.NONE, None
    options = (schema.BuiltinOptions.AddOptions, schema.AddOptionsT()) if op == "ADD" else none
    file.operator(getattr(_OPS, op), inputs, [output], options)
    return output


def _conv(
    file: _File, x: int, kernel: NDArray[Any], *, stride: int = 1, weights: int | None = None
) -> int:
    name = f"conv{len(file.operators)}"
    data = kernel.astype(np.float32)
    if weights is None:
        weights = file.tensor(name, kernel.shape, "float32", data=data)
    bias = file.tensor(f"{name}_bias", (len(kernel),), "float32", data=data[:, 0, 0, 0] + 0.1)
    side = (file.tensors[x].shape[1] - kernel.shape[1]) // stride + 1
    output = file.tensor(f"{name}_out", (1, side, side, len(kernel)), "float32")
    options = schema.Conv2DOptionsT()
    options.padding = schema.Padding.VALID
    options.strideH = options.strideW = stride
    options.dilationHFactor = options.dilationWFactor = 1
    options.fusedActivationFunction = schema.ActivationFunctionType.RELU
    conv = schema.BuiltinOptions.Conv2DOptions, options
    file.operator(_OPS.CONV_2D, [x, weights, bias], [output], conv)
    return output
