"""What a layer's outputs are weighted sums of: its inputs as columns, its kernel as a matrix.

A convolution with groups is a matrix a group; a depthwise one has as many groups as channels. Of a
separable one the depthwise part stays and the pointwise part is taken.
"""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

Array = NDArray[np.float32]

DENSE = "Dense"
CONVOLUTIONS = frozenset({"Conv1D", "Conv2D", "DepthwiseConv1D", "DepthwiseConv2D"})
SEPARABLE = frozenset({"SeparableConv1D", "SeparableConv2D"})


def kernel_of(layer: Any) -> Any:
    """The variable that is the matrix."""
    return layer.pointwise_kernel if type(layer).__name__ in SEPARABLE else layer.kernel


def groups_of(layer: Any) -> int:
    """How many matrices a layer has."""
    if type(layer).__name__ not in CONVOLUTIONS:
        return 1
    return int(layer.kernel.shape[-2]) if _is_depthwise(layer) else int(layer.groups)


def as_matrices(layer: Any) -> Array:
    """The kernel as (groups, columns, outputs of a group), a view or a copy."""
    kernel = np.asarray(kernel_of(layer), np.float32)
    groups = groups_of(layer)
    if _is_depthwise(layer):
        return kernel.reshape(-1, groups, kernel.shape[-1]).transpose(1, 0, 2)
    flat = kernel.reshape(-1, kernel.shape[-1])
    return flat.reshape(len(flat), groups, -1).transpose(1, 0, 2)


def from_matrices(layer: Any, matrices: NDArray[Any]) -> NDArray[Any]:
    """The inverse of `as_matrices`: an array of the kernel's shape."""
    return matrices.transpose(1, 0, 2).reshape(kernel_of(layer).shape)


def columns(layer: Any, x: Any) -> Array:
    """Inputs of a layer as (groups, samples, positions, columns).

    Args:
        layer: of a kind named above, channels last.
        x: its input, batch first.
    """
    kind, groups = type(layer).__name__, groups_of(layer)
    if kind in CONVOLUTIONS:
        patches = _patches(layer, x)
    elif kind in SEPARABLE:
        patches = np.asarray(_after_depthwise(layer, x))[..., None, :]
    else:
        patches = np.asarray(x)[..., None, :]
    samples, places, channels = len(patches), patches.shape[-2], patches.shape[-1] // groups
    split = patches.reshape(samples, -1, places, groups, channels).transpose(3, 0, 1, 2, 4)
    return split.reshape(groups, samples, -1, places * channels)


def _is_depthwise(layer: Any) -> bool:
    return type(layer).__name__.startswith("Depthwise")


def _patches(layer: Any, x: Any) -> Array:
    """(samples, ..., places of the kernel, channels)."""
    size, strides = tuple(layer.kernel_size), tuple(layer.strides)
    rates = tuple(layer.dilation_rate)
    padding = layer.padding
    if len(size) == 1:
        if padding == "causal":
            x, padding = tf.pad(x, [(0, 0), ((size[0] - 1) * rates[0], 0), (0, 0)]), "valid"
        x = tf.expand_dims(x, 1)
        size, strides, rates = (1, *size), (1, *strides), (1, *rates)
    sizes = ((1, *each, 1) for each in (size, strides, rates))
    found = np.asarray(tf.image.extract_patches(x, *sizes, padding.upper()))
    return found.reshape(*found.shape[:-1], -1, x.shape[-1])


def _after_depthwise(layer: Any, x: Any) -> Any:
    return keras.ops.depthwise_conv(
        x,
        layer.depthwise_kernel,
        strides=layer.strides,
        padding=layer.padding,
        data_format="channels_last",
        dilation_rate=layer.dilation_rate,
    )
