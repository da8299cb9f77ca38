"""Cross-layer equalisation of a float .tflite (Nagel et al. 2019, section 4.1).

Scaling a channel's weights and bias down and the next layer's weights for that channel up leaves
the model's function as it is wherever what stands between them commutes with positive factors.
Int8 gains: one scale serves a whole activation, and a channel that is far larger than the others
takes their precision.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from green_edge.convert.int8.graph import Graph, Layer, Operator
from green_edge.convert.int8.ready import unshared
from green_edge.core.report import Skip

# f(a x) = a f(x) for a > 0. RELU6 and RELU_N1_TO_1 clip at a fixed value, so they are not.
_HOMOGENEOUS = {"NONE", "RELU"}
_PASSING = {"RELU", "LEAKY_RELU", "MAX_POOL_2D", "AVERAGE_POOL_2D", "MEAN", "PAD", "RESHAPE"}
# Sweeps over all pairs, because a layer in the middle of a chain belongs to two.
_SWEEPS = 20
_SETTLED_RATIO = 1.01
# A channel this much smaller than the layer's largest is dead: scaling it up gains nothing.
_DEAD_RATIO = 1e-8


@dataclass(frozen=True, slots=True)
class Equalisation:
    """A float model after equalisation.

    Attributes:
        done: `first -> second`, by the names of the layers' outputs.
        skipped: the other layers.
    """

    content: bytes
    done: tuple[str, ...]
    skipped: tuple[Skip, ...]


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two layers by their place; each channel of the first feeds inputs i, i + channels, ..."""

    first: int
    second: int


def equalise(model: Path) -> Equalisation:
    """Even out the weight ranges of adjacent layers, channel by channel.

    Takes convolutions, depthwise convolutions and fully connected layers with a ReLU or nothing
    after them, also across pooling, spatial means, zero padding and flattening, where the first's
    output goes to the second alone.
    """
    graph = Graph(unshared(model.read_bytes()))
    layers = graph.layers()
    pairs, skipped = _pairs(graph, layers)
    weights = [_read(graph, layer.weights) for layer in layers]
    biases = [None if layer.bias is None else _read(graph, layer.bias) for layer in layers]
    for _ in range(_SWEEPS):
        changes = [_even_out(layers, pair, weights, biases) for pair in pairs]
        if max(changes, default=1.0) < _SETTLED_RATIO:
            break
    for layer, own, bias in zip(layers, weights, biases, strict=True):
        _write(graph, layer.weights, own)
        if layer.bias is not None and bias is not None:
            _write(graph, layer.bias, bias)
    done = tuple(f"{layers[pair.first].name} -> {layers[pair.second].name}" for pair in pairs)
    return Equalisation(graph.content(), done, tuple(skipped))


def factors(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """What to divide each channel of the first layer by, so that both ranges become equal.

    Args:
        first: greatest absolute weight of each output channel.
        second: of the next layer's weights on that channel.
    """
    alive = (first > first.max() * _DEAD_RATIO) & (second > second.max() * _DEAD_RATIO)
    ratio = np.divide(first, second, out=np.ones_like(first), where=alive)
    return np.sqrt(ratio)


def _even_out(
    layers: Sequence[Layer],
    pair: _Pair,
    weights: list[NDArray[np.float64]],
    biases: list[NDArray[np.float64] | None],
) -> float:
    """Scale one pair in place; returns the greatest factor, at least 1."""
    first, second = weights[pair.first], weights[pair.second]
    given = _outputs(layers[pair.first], first)
    taken = _inputs(layers[pair.second], second, len(given))
    scale = factors(np.abs(given).max(axis=1), np.abs(taken).max(axis=(0, 2)))
    given /= scale[:, None]
    taken *= scale[None, :, None]
    bias = biases[pair.first]
    if bias is not None:
        bias /= scale
    return float(np.maximum(scale, 1 / scale).max())


def _outputs(layer: Layer, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """A view on the weights as (output channels, all else)."""
    if layer.op == "DEPTHWISE_CONV_2D":
        return weights.reshape(-1, weights.shape[-1]).T
    return weights.reshape(len(weights), -1)


def _inputs(layer: Layer, weights: NDArray[np.float64], channels: int) -> NDArray[np.float64]:
    """A view on the weights as (anything, input channels, anything)."""
    if layer.op == "DEPTHWISE_CONV_2D":
        return weights.reshape(-1, channels, weights.shape[-1] // channels)
    return weights.reshape(-1, channels, 1)


def _pairs(graph: Graph, layers: Sequence[Layer]) -> tuple[list[_Pair], list[Skip]]:
    """Layers whose channels meet, and for each other layer why not."""
    walk = _Walk(graph)
    pairs, skipped = [], []
    for place, layer in enumerate(layers):
        end = walk.onward(layer)
        second = next((i for i, other in enumerate(layers) if other.x == end), None)
        if isinstance(end, int) and second is not None:
            reason = _mismatch(graph, layer, layers[second])
        else:
            reason = str(end)
        if reason is None and second is not None:
            pairs.append(_Pair(place, second))
        else:
            skipped.append(Skip(layer.name, str(reason)))
    return pairs, skipped


def _mismatch(graph: Graph, first: Layer, second: Layer) -> str | None:
    channels = graph.shape(first.y)[-1]
    depth = graph.shape(second.weights)[-1]
    if second.op == "CONV_2D" and depth != channels:
        return "the next convolution works in groups"
    if depth % channels:
        return "its channels do not fit the next layer's inputs"
    return None


class _Walk:
    """Follows an activation through what commutes with positive factors."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._takers: Mapping[int, list[Operator]] = _takers(graph)

    def onward(self, layer: Layer) -> int | str:
        """The tensor that the next layer takes, or the reason why there is none."""
        if layer.activation not in _HOMOGENEOUS:
            return f"its activation {layer.activation} clips at a fixed value"
        channels, tensor = self._graph.shape(layer.y)[-1], layer.y
        while True:
            takers = self._takers.get(tensor, [])
            if tensor in self._graph.outputs or not takers:
                return "its output is the model's"
            if len(takers) > 1:
                return "its output goes to several operations"
            [taker] = takers
            if taker.layer:
                return tensor if taker.inputs[0] == tensor else "its output is used as weights"
            if taker.name not in _PASSING or not self._passes(taker, channels):
                return f"{taker.name} follows, which does not keep channels apart"
            tensor = taker.outputs[0]

    def _passes(self, op: Operator, channels: int) -> bool:
        shape = self._graph.shape(op.outputs[0])
        if op.activation not in _HOMOGENEOUS:
            return False
        if op.name == "RESHAPE":
            # Channels are the fastest axis, so they recur in any longer last axis.
            return bool(shape) and shape[-1] % channels == 0
        if op.name == "MEAN":
            axes = self._graph.constant(op.inputs[1])
            rank = len(self._graph.shape(op.inputs[0]))
            return axes is not None and all(int(axis) % rank != rank - 1 for axis in axes.ravel())
        return bool(shape) and prod(shape) > 0 and shape[-1] == channels


def _takers(graph: Graph) -> Mapping[int, list[Operator]]:
    takers: dict[int, list[Operator]] = {}
    for op in graph.operators():
        for index in op.inputs:
            takers.setdefault(index, []).append(op)
    return takers


def _read(graph: Graph, tensor: int) -> NDArray[np.float64]:
    return _content(graph, tensor).astype(np.float64)


def _write(graph: Graph, tensor: int, values: NDArray[np.float64]) -> None:
    _content(graph, tensor)[...] = values


def _content(graph: Graph, tensor: int) -> NDArray[Any]:
    content = graph.constant(tensor)
    if content is None:
        raise TypeError("layers have constant weights")
    return content
