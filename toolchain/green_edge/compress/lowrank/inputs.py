"""What the samples say of the layers to be split: moments of their inputs and outputs."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from green_edge.compress.graph.values import Graph
from green_edge.compress.lowrank.factors import Moments
from green_edge.compress.scene import Samples
from green_edge.convert.keras_graph import walk
from green_edge_wire.errors import ModelError

Array = NDArray[Any]

# Samples looked at, and windows of each; a window more of the same image tells little.
_SAMPLES = 512
_WINDOWS = 64
_BATCH = 32
_VALUES_AT_ONCE = 2**24
# A window of more values (3 x 3 x 910) has a covariance of over half a gigabyte.
MOST_VALUES = 8192


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What one layer saw.

    Attributes:
        moments: of the windows that a convolution of more than one place took, in the order
            (height, width, channels); of the outputs without the bias for other layers.
        input_variance: mean of an input.
    """

    moments: Moments
    input_variance: float


def observe(graph: Graph, layers: Collection[str], samples: Samples, seed: int) -> dict[str, Seen]:
    """Run samples through the model and note what the layers named see.

    Raises:
        ModelError: what a layer sees are no finite numbers.
    """
    draws = np.random.default_rng(seed)
    rows = draws.permutation(samples.n)[:_SAMPLES]
    sums: dict[str, _Sums] = {}

    def visit(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if getattr(layer, "name", None) in layers:
            taken = tf.cast(args[0], tf.float32)
            rows_of = _rows(layer, taken, draws)
            sums.setdefault(layer.name, _Sums(rows_of.shape[-1])).add(rows_of, taken)
        return layer(*args, **kwargs)

    for batch in batches(samples.take(np.sort(rows))):
        walk(graph.model, batch, visit)
    seen = {name: each.seen() for name, each in sums.items()}
    for name, each in seen.items():
        if not np.isfinite(each.moments.covariance).all():
            raise ModelError(
                f"what the samples make of layer {name!r} are no finite numbers",
                hint="look for NaN and very large numbers in the training samples",
            )
    return seen


def batches(samples: Samples) -> Iterator[list[Any]]:
    """Tensors of the model's inputs, a batch at a time."""
    for start in range(0, samples.n, _BATCH):
        yield [tf.convert_to_tensor(x[start : start + _BATCH]) for x in samples.x]


class _Sums:
    """Running sums about the first batch's mean, in float64."""

    def __init__(self, size: int) -> None:
        self._n = 0
        self._mean = np.zeros(size)
        self._products = np.zeros((size, size))
        self._variances: list[float] = []

    def add(self, rows: Any, taken: Any) -> None:
        """Take note of vectors (n, size) and of the layer's whole input."""
        self._variances.append(float(tf.reduce_mean(tf.math.reduce_variance(_flat(taken), 0))))
        mean = rows.numpy().mean(axis=0, dtype=np.float64)
        centred = rows - tf.cast(mean, tf.float32)
        n, apart = len(rows), mean - self._mean
        whole = self._n + n
        self._products += tf.matmul(centred, centred, transpose_a=True).numpy()
        # Chan et al. 1983: sums of squares of two sets from those about each one's mean.
        self._products += np.outer(apart, apart) * (self._n * n / whole)
        self._mean += apart * (n / whole)
        self._n = whole

    def seen(self) -> Seen:
        """Moments of all that was added."""
        return Seen(Moments(self._mean, self._products / self._n), float(np.mean(self._variances)))


def _rows(layer: Any, taken: Any, draws: np.random.Generator) -> Any:
    """The vectors (n, size) that a layer is judged by."""
    if isinstance(layer, keras.layers.Dense):
        return _flat(taken) @ tf.cast(layer.kernel, tf.float32)
    # A few samples at a time: all windows of a large image are many times its size.
    at_once = max(1, _VALUES_AT_ONCE // int(np.prod(taken.shape[1:]) * np.prod(layer.kernel_size)))
    parts = [taken[i : i + at_once] for i in range(0, len(taken), at_once)]
    rows = tf.concat([_some(_windows(layer, part), draws) for part in parts], 0)
    if hasattr(layer, "pointwise_kernel"):
        return rows @ _matrix(layer.pointwise_kernel)
    return rows @ _matrix(layer.kernel) if np.prod(layer.kernel_size) == 1 else rows


def _matrix(kernel: Any) -> Any:
    return tf.cast(tf.reshape(kernel, kernel.shape[-2:]), tf.float32)


def _windows(layer: Any, taken: Any) -> Any:
    """(n, height, width, values) that a convolution multiplies; one of the axes may be 1."""
    if hasattr(layer, "depthwise_kernel"):
        kernel = tf.cast(layer.depthwise_kernel, tf.float32)
        return keras.ops.depthwise_conv(
            taken, kernel, layer.strides, layer.padding, None, layer.dilation_rate
        )
    size, strides, rates = layer.kernel_size, layer.strides, layer.dilation_rate
    padding = layer.padding
    if padding == "causal":
        taken = tf.pad(taken, [[0, 0], [rates[0] * (size[0] - 1), 0], [0, 0]])
        padding = "valid"
    if len(size) == 1:
        taken = taken[:, :, None, :]
    rest = (1,) * (3 - len(size))
    return tf.image.extract_patches(
        taken, (1, *size, *rest), (1, *strides, *rest), (1, *rates, *rest), padding.upper()
    )


def _some(windows: Any, draws: np.random.Generator) -> Any:
    """(n, values) of some of the places of samples."""
    flat = _flat(windows)
    return tf.gather(flat, np.sort(draws.permutation(len(flat))[: _WINDOWS * len(windows)]))


def _flat(tensor: Any) -> Any:
    return tf.reshape(tensor, (-1, tensor.shape[-1]))
