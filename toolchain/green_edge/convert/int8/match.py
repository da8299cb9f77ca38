"""Which layer of an int8 file is which of the float one.

Converters keep the order of layers with weights and change names; so layers are paired in order,
and only where their weights agree once the integers are scaled back.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from green_edge.convert.int8.graph import Graph, Layer
from green_edge.core.report import Skip

# Rounding to int8 changes weights by a hundredth of their size; other weights differ by all of it.
_ALIKE_RATIO = 0.5


@dataclass(frozen=True, slots=True)
class Pair:
    """A layer in both files."""

    float_layer: Layer
    int8_layer: Layer


@dataclass(frozen=True, slots=True)
class Matches:
    """Pairs in the graph's order.

    Attributes:
        skipped: the other layers.
    """

    pairs: tuple[Pair, ...]
    skipped: tuple[Skip, ...]


def match(float_graph: Graph, int8_graph: Graph) -> Matches:
    """Pair the layers of two files of one model.

    A layer of the float file without a partner, and layers that stayed float, are skipped.
    """
    pairs, skipped = [], []
    left = list(int8_graph.layers())
    for layer in float_graph.layers():
        place = next((i for i, other in enumerate(left)
                      if _alike(float_graph, layer, int8_graph, other)), None)  # fmt: skip
        if place is None:
            skipped.append(Skip(layer.name, "the int8 file has no layer with these weights"))
            continue
        partner = left[place]
        del left[: place + 1]
        reason = _unfit(int8_graph, partner)
        if reason is None:
            pairs.append(Pair(layer, partner))
        else:
            skipped.append(Skip(layer.name, reason))
    return Matches(tuple(pairs), tuple(skipped))


def real_weights(graph: Graph, layer: Layer) -> NDArray[np.float32]:
    """A layer's weights as real numbers; quantized ones have a scale or one an output channel."""
    stored = graph.constant(layer.weights)
    if stored is None:
        return np.empty(0, np.float32)
    scales = graph.scales(layer.weights)
    if not scales.size:
        return stored.astype(np.float32)
    last = layer.op == "DEPTHWISE_CONV_2D"
    factors = scales if last else scales.reshape(-1, *[1] * (stored.ndim - 1))
    return (stored * factors).astype(np.float32)


def _unfit(graph: Graph, layer: Layer) -> str | None:
    if graph.dtype(layer.weights) != np.int8:
        return "its weights are not int8"
    if not graph.scales(layer.x).size or not graph.scales(layer.y).size:
        return "its input or output is not quantized"
    if layer.bias is None or graph.dtype(layer.bias) not in (np.int32, np.int64):
        return "it has no integer bias"
    return None


def _alike(float_graph: Graph, layer: Layer, int8_graph: Graph, other: Layer) -> bool:
    if layer.op != other.op or float_graph.shape(layer.weights) != int8_graph.shape(other.weights):
        return False
    real, scaled = real_weights(float_graph, layer), real_weights(int8_graph, other)
    return bool(np.linalg.norm(real - scaled) <= _ALIKE_RATIO * np.linalg.norm(real))
