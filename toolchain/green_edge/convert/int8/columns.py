"""A layer as products of matrices: weights as rows, and what they meet of the input as columns.

Groups are sets of output channels that see the same input values: one for a fully connected layer
or a plain convolution, one per input channel for a depthwise convolution. Pure numpy.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from green_edge.convert.int8.graph import Layer, Window

Weights = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Shape:
    """How a layer's weights divide.

    Attributes:
        groups: sets of outputs that see the same inputs.
        rows: outputs of each.
        columns: inputs of each: kernel positions times channels, channels fastest.
    """

    groups: int
    rows: int
    columns: int


def shape_of(layer: Layer, weights: tuple[int, ...], channels: int) -> Shape:
    """Divide a layer with these weights, stored as the schema has them, on so many channels."""
    if layer.op == "FULLY_CONNECTED":
        return Shape(1, weights[0], weights[1])
    _, height, width, depth = weights
    if layer.op == "DEPTHWISE_CONV_2D":
        return Shape(channels, depth // channels, height * width)
    groups = channels // depth
    return Shape(groups, weights[0] // groups, height * width * depth)


def as_rows(layer: Layer, weights: NDArray[np.generic], shape: Shape) -> Weights:
    """Weights (groups, rows, columns) of the schema's layout."""
    if layer.op == "DEPTHWISE_CONV_2D":
        flat = weights.reshape(shape.columns, shape.groups, shape.rows)
        return flat.transpose(1, 2, 0).astype(np.float64)
    return weights.reshape(shape.groups, shape.rows, shape.columns).astype(np.float64)


def as_stored(
    layer: Layer, rows: NDArray[np.generic], stored: tuple[int, ...]
) -> NDArray[np.generic]:
    """The inverse of `as_rows`."""
    if layer.op == "DEPTHWISE_CONV_2D":
        return rows.transpose(2, 0, 1).reshape(stored)
    return rows.reshape(stored)


def columns(
    layer: Layer, x: NDArray[np.float32], kernel: tuple[int, ...], shape: Shape, limit: int
) -> NDArray[np.float32]:
    """What positions of the output see of one sample's input: (positions, groups, columns).

    Args:
        layer: tells the window.
        x: real values, (1, height, width, channels), or (..., features) for a dense layer.
        kernel: the weights' shape as stored.
        shape: of the layer.
        limit: where there are more positions, that many spread evenly over the map are taken.
    """
    if layer.window is None:
        return x.reshape(-1, 1, shape.columns)
    seen = _windows(x[0], (kernel[1], kernel[2]), layer.window)
    positions = seen.shape[0] * seen.shape[1]
    chosen = np.linspace(0, positions - 1, min(positions, limit)).astype(int)
    rows = seen[chosen // seen.shape[1], chosen % seen.shape[1]]
    # (positions, channels, kh, kw) -> positions, groups, kernel positions, channels of the group
    split: NDArray[np.float32] = rows.reshape(len(rows), shape.groups, -1, kernel[1], kernel[2])
    return split.transpose(0, 1, 3, 4, 2).reshape(len(rows), shape.groups, shape.columns)


def mean_column(
    layer: Layer, x: NDArray[np.float32], kernel: tuple[int, ...], shape: Shape
) -> NDArray[np.float64]:
    """The mean of `columns` over all positions, (groups, columns), without making them."""
    if layer.window is None:
        means: NDArray[np.float64] = x.reshape(-1, 1, shape.columns).mean(axis=0, dtype=np.float64)
        return means
    seen = _windows(x[0], (kernel[1], kernel[2]), layer.window)
    # Window by window of the kernel: the mean over a view of that many axes is slow.
    each = np.stack([seen[..., i, j].mean(axis=(0, 1), dtype=np.float64)
                      for i in range(kernel[1]) for j in range(kernel[2])])  # fmt: skip
    split: NDArray[np.float64] = each.reshape(len(each), shape.groups, -1)
    return split.transpose(1, 0, 2).reshape(shape.groups, shape.columns)


def _windows(
    image: NDArray[np.float32], kernel: tuple[int, int], window: Window
) -> NDArray[np.float32]:
    """Windows (oh, ow, channels, kh, kw) on an image (height, width, channels), a view."""
    reach = [(size - 1) * step + 1 for size, step in zip(kernel, window.dilation, strict=True)]
    if window.same:
        pads = [
            _same_padding(size, wide, stride)
            for size, wide, stride in zip(image.shape[:2], reach, window.stride, strict=True)
        ]
        image = np.pad(image, (*pads, (0, 0)))
    every = np.lib.stride_tricks.sliding_window_view(image, tuple(reach), axis=(0, 1))
    (down, right), (high, wide) = window.stride, window.dilation
    return every[::down, ::right, :, ::high, ::wide]


def _same_padding(size: int, reach: int, stride: int) -> tuple[int, int]:
    """Zeros before and after, as TensorFlow's SAME padding: the odd one goes after."""
    total = max((-(-size // stride) - 1) * stride + reach - size, 0)
    return total // 2, total - total // 2
