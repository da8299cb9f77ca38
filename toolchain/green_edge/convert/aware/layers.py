"""Fake quantization as Keras layers: of activations with learned range, and of weights."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from green_edge_wire.errors import ModelError

_BITS = 8
_STEPS = 127  # of a symmetric int8 weight
_LEAST_SPAN = 1e-6


class FakeQuantize(keras.layers.Layer):  # type: ignore[misc]
    """Rounds its input to 256 steps of a learned range that always holds zero.

    The range is `low * exp(shift)` to `high * exp(shift)`, each end with a shift of its own, so
    that one learning rate serves ranges of any size.
    """

    def __init__(self) -> None:
        super().__init__()
        self.low = self.high = self.bulk = 0.0
        self.watching = True

    def build(self, shape: Any) -> None:
        """Make the two learned shifts."""
        del shape
        self.shift_low = self.add_weight(shape=(), initializer="zeros", name="shift_low")
        self.shift_high = self.add_weight(shape=(), initializer="zeros", name="shift_high")

    def start(self, low: float, high: float, bulk: float) -> None:
        """Set the range that learning starts from and begin to quantize.

        Args:
            low: lower end.
            high: upper end.
            bulk: size that most of the values stay below; tells a range that outliers have spread.
        """
        self.bulk = bulk
        self.low, self.high = min(low, 0.0), max(high, 0.0)
        if self.high - self.low < _LEAST_SPAN:
            self.high = self.low + _LEAST_SPAN
        self.watching = False

    @property
    def shift(self) -> float:
        """Logarithm of what both ends are of those they started from."""
        return float(self.shift_high.numpy())

    @shift.setter
    def shift(self, value: float) -> None:
        self.shift_low.assign(value)
        self.shift_high.assign(value)

    def call(self, inputs: Any) -> Any:
        """Quantize; hand on while the range is not known yet."""
        if self.watching:
            return inputs
        low = self.low * tf.exp(tf.convert_to_tensor(self.shift_low))
        high = self.high * tf.exp(tf.convert_to_tensor(self.shift_high))
        return tf.quantization.fake_quant_with_min_max_vars(inputs, low, high, num_bits=_BITS)


class WithRoundedWeights(keras.layers.Wrapper):  # type: ignore[misc]
    """A layer whose kernel is rounded to int8 per output channel whenever it is called."""

    def __init__(self, layer: Any) -> None:
        super().__init__(layer)
        self.rounding = True

    def call(self, inputs: Any) -> Any:
        """Call the layer with rounded weights; gradients pass the rounding unchanged."""
        if not self.rounding:
            return self.layer(inputs)
        kernel = self.layer.kernel
        rounded = _rounded(tf.convert_to_tensor(kernel), channel_axes(self.layer))
        with keras.StatelessScope(state_mapping=[(kernel, rounded)]):
            return self.layer(inputs)

    def bake(self) -> None:
        """Put the rounded weights in the place of the trained ones, for the converter."""
        kernel = self.layer.kernel
        kernel.assign(_rounded(tf.convert_to_tensor(kernel), channel_axes(self.layer)))
        self.rounding = False


class Times(keras.layers.Layer):  # type: ignore[misc]
    """Multiplies by a constant, one a channel (the last axis)."""

    def __init__(self, factor: NDArray[np.float32]) -> None:
        super().__init__()
        self.factor = factor

    def call(self, inputs: Any) -> Any:
        """Multiply."""
        return inputs * self.factor


class Plus(keras.layers.Layer):  # type: ignore[misc]
    """Adds a constant, one a channel (the last axis)."""

    def __init__(self, offset: NDArray[np.float32]) -> None:
        super().__init__()
        self.offset = offset

    def call(self, inputs: Any) -> Any:
        """Add."""
        return inputs + self.offset


def channel_axes(layer: Any) -> tuple[int, ...]:
    """Axes of a layer's kernel that count its output channels.

    Kernels are (.., in, out); (h, w, in, multiplier) of depthwise, (h, w, out, in) of transposed
    convolutions.
    """
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return (2, 3)
    return (2,) if isinstance(layer, keras.layers.Conv2DTranspose) else (-1,)


def _rounded(kernel: Any, axes: tuple[int, ...]) -> Any:
    rank = kernel.shape.rank
    kept = {axis % rank for axis in axes}
    reduced = [axis for axis in range(rank) if axis not in kept]
    largest = tf.reduce_max(tf.abs(kernel), axis=reduced, keepdims=True)
    scale = tf.stop_gradient(tf.maximum(largest / _STEPS, np.finfo(np.float32).tiny))
    rounded = tf.round(kernel / scale) * scale
    return kernel + tf.stop_gradient(rounded - kernel)


def fold(layer: Any, norm: Any) -> None:
    """Take a normalisation over the last axis into a layer's kernel and bias.

    Args:
        layer: built, with a bias that is still zero where the original has none.
        norm: the trained `BatchNormalization`.

    Raises:
        ModelError: the result is not finite, as with a variance of zero and no epsilon.
    """
    factor, offset = affine(norm)
    offset = offset + _array(layer.bias) * factor
    kernel = _array(layer.kernel)
    kernel = kernel * _along(factor, kernel.shape, channel_axes(layer))
    if not (np.isfinite(kernel).all() and np.isfinite(offset).all()):
        raise ModelError(f"the normalisation {norm.name!r} gives numbers that are not finite")
    layer.kernel.assign(kernel)
    layer.bias.assign(offset)


def affine(norm: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Factor and offset of a trained normalisation when the model runs, one a channel each."""
    mean, variance = _array(norm.moving_mean), _array(norm.moving_variance)
    factor = 1.0 / np.sqrt(variance + np.float32(norm.epsilon))
    if norm.scale:
        factor = factor * _array(norm.gamma)
    offset = -mean * factor
    if norm.center:
        offset = offset + _array(norm.beta)
    return factor, offset


def _along(
    factor: NDArray[np.float32], shape: tuple[int, ...], axes: tuple[int, ...]
) -> NDArray[np.float32]:
    kept = {axis % len(shape) for axis in axes}
    return factor.reshape([size if axis in kept else 1 for axis, size in enumerate(shape)])


def _array(variable: Any) -> NDArray[np.float32]:
    return np.asarray(keras.ops.convert_to_numpy(variable), np.float32)
