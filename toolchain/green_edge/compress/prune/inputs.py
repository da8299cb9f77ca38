"""What layers are given when the model runs: mean and mean square by place of the last axis."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from green_edge.compress.graph.values import Graph
from green_edge.compress.prune.aims import batches, compiled
from green_edge.compress.scene import Array, Samples
from green_edge.convert.keras_graph import walk

_BATCH = 128


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Of the first input of layers with weights, by the layer's name.

    Attributes:
        means: over samples and places, of each index of the last axis.
        squares: of the values, averaged likewise.
    """

    means: Mapping[str, Array]
    squares: Mapping[str, Array]


def moments(graph: Graph, samples: Samples) -> Moments:
    """Run the samples through and look on.

    Of a layer that is called several times the calls are added up.
    """
    run = compiled(lambda *inputs: _watched(graph, inputs))
    sums: dict[str, list[Array]] = {}
    for rows in batches(samples.n, _BATCH):
        part = samples.take(rows)
        for name, found in run(*map(tf.constant, part.x)).items():
            weighted = [np.asarray(each, np.float64) * part.n for each in found]
            known = sums.get(name)
            sums[name] = (
                weighted if known is None else [a + b for a, b in zip(known, weighted, strict=True)]
            )
    n = samples.n
    return Moments(
        {name: total[0] / n for name, total in sums.items()},
        {name: total[1] / n for name, total in sums.items()},
    )


def _watched(graph: Graph, inputs: tuple[Any, ...]) -> dict[str, tuple[Any, Any]]:
    found: dict[str, tuple[Any, Any]] = {}

    def visit(layer: Any, *args: Any, **kwargs: Any) -> Any:
        taken = keras.tree.flatten((args, kwargs))
        if (
            getattr(layer, "weights", None)
            and tf.is_tensor(taken[0])
            and taken[0].dtype.is_floating
        ):
            values = tf.cast(taken[0], tf.float32)
            axes = list(range(values.shape.rank - 1))
            both = (tf.reduce_mean(values, axes), tf.reduce_mean(tf.square(values), axes))
            known = found.get(layer.name)
            found[layer.name] = both if known is None else (known[0] + both[0], known[1] + both[1])
        return layer(*args, **kwargs)

    walk(graph.model, list(inputs), visit)
    return found
