"""The step `batch-norm`: mean and variance of the normalisations anew, as the inputs now are.

Each normalisation takes the statistics of the whole batch, so that those after it see what they
will see once all are set; everything else runs as it does on the device, without dropout. What is
kept is the mean over the batches and the variance around it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from green_edge.compress.graph.rebuild import copy
from green_edge.compress.graph.values import Graph
from green_edge.compress.scene import Samples, Scene
from green_edge.convert.keras_graph import walk
from green_edge.core.report import Skip
from green_edge.core.steps import BatchNorm
from green_edge_wire.errors import ModelError

Array = NDArray[Any]

_BATCH = 256
_KIND = "BatchNormalization"


@dataclass(frozen=True, slots=True)
class BatchNormPlan:
    """Which normalisations are set.

    Attributes:
        layers: their names.
        samples: that are looked at.
        skipped: empty; models without normalisations have nothing to skip.
    """

    layers: tuple[str, ...]
    samples: int
    skipped: tuple[Skip, ...] = ()

    def lines(self) -> tuple[str, ...]:
        """What will be done, for people."""
        if not self.layers:
            return ("the model has no batch normalisation: nothing to do",)
        return (f"statistics of {len(self.layers)} normalisations from {self.samples} samples",)


def plan(graph: Graph, step: BatchNorm, scene: Scene) -> BatchNormPlan:
    """Find the normalisations."""
    names = dict.fromkeys(node.layer for node in graph.nodes if node.kind == _KIND)
    return BatchNormPlan(tuple(names), min(step.samples, scene.train.n))


def apply(graph: Graph, plan: BatchNormPlan, scene: Scene) -> Graph:
    """Set the statistics in a copy of the graph.

    Raises:
        ModelError: a statistic came out as no number.
    """
    changed = copy(graph)
    scene.tell("batch-norm")
    refresh(changed.model, scene.train, plan.samples, scene.seed)
    return changed


def refresh(model: Any, samples: Samples, most: int, seed: int) -> None:
    """Set the statistics of a flat functional model in place, from at most so many samples.

    Raises:
        ModelError: a statistic came out as no number.
    """
    norms = (x for x in model.layers if isinstance(x, keras.layers.BatchNormalization))
    statistics = {layer.name: _Statistics(layer) for layer in norms}
    if not statistics:
        return
    chosen = samples.take(np.random.default_rng(seed).permutation(samples.n)[:most])
    for first in range(0, chosen.n, _BATCH):
        batch = [
            tf.cast(tf.convert_to_tensor(x[first : first + _BATCH]), tensor.dtype)
            for x, tensor in zip(chosen.x, model.inputs, strict=True)
        ]
        _look(model, batch, statistics)
    for each in statistics.values():
        each.set()


class _Statistics:
    """What a normalisation took in: sums over all values of each channel."""

    def __init__(self, layer: Any) -> None:
        self._layer = layer
        self._count = 0.0
        self._sum: Array = np.zeros(())
        self._squares: Array = np.zeros(())

    def normalised(self, x: Any) -> Any:
        """Take a batch note; returns what the layer gives by the batch's own statistics."""
        layer = self._layer
        axis = layer.axis if isinstance(layer.axis, int) else layer.axis[0]
        axis %= x.shape.rank
        others = [i for i in range(x.shape.rank) if i != axis]
        values = tf.cast(x, tf.float32)
        mean, variance = tf.nn.moments(values, others)
        self._add(float(tf.size(values)) / x.shape[axis], np.asarray(mean), np.asarray(variance))
        shape = [x.shape[i] if i == axis else 1 for i in range(x.shape.rank)]
        given = tf.nn.batch_normalization(
            values,
            tf.reshape(mean, shape),
            tf.reshape(variance, shape),
            tf.reshape(layer.beta.value, shape) if layer.center else None,
            tf.reshape(layer.gamma.value, shape) if layer.scale else None,
            layer.epsilon,
        )
        return tf.cast(given, layer.compute_dtype)

    def _add(self, count: float, mean: Array, variance: Array) -> None:
        mean, variance = mean.astype(np.float64), variance.astype(np.float64)
        self._count += count
        self._sum = self._sum + count * mean
        self._squares = self._squares + count * (variance + mean**2)

    def set(self) -> None:
        """Give the layer the statistics of all that it took in."""
        mean = self._sum / self._count
        variance = np.maximum(self._squares / self._count - mean**2, 0.0)
        if not (np.isfinite(mean).all() and np.isfinite(variance).all()):
            raise ModelError(
                f"the inputs of {self._layer.name} are not all numbers",
                hint="look for NaN in the training samples and the model's weights",
            )
        self._layer.moving_mean.assign(mean.astype(np.float32))
        self._layer.moving_variance.assign(variance.astype(np.float32))


def _look(model: Any, batch: Sequence[Any], statistics: dict[str, _Statistics]) -> None:
    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(layer, keras.layers.BatchNormalization):
            return statistics[layer.name].normalised(args[0])
        return layer(*args, **kwargs)

    walk(model, batch, call)
