"""Each layer's weights by least squares on the model's own inputs (after He et al. 2017).

What a layer gave in the original model, before its activation, is wanted of it again, from what
the layers before it give now: so errors do not add up. A layer keeps its weights where new ones
come no nearer on held samples, and so does the whole model.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from green_edge.compress.graph.read import read
from green_edge.compress.graph.rebuild import copy
from green_edge.compress.graph.values import Graph
from green_edge.compress.reconstruct.columns import (
    as_matrices,
    columns,
    from_matrices,
    groups_of,
    kernel_of,
)
from green_edge.compress.reconstruct.leastsquares import Change, Sums
from green_edge.compress.reconstruct.plan import Plan, Refit
from green_edge.compress.scene import Samples, Scene

Array = NDArray[np.float32]

_BATCH = 64
# Neighbouring places of an image say much the same: more of them cost time and tell nothing.
_MOST_POSITIONS = 256


def apply(graph: Graph, plan: Plan, scene: Scene) -> Graph:
    """Refit the planned layers of a copy, in order."""
    made = copy(graph)
    draw = np.random.default_rng(scene.seed)
    chosen = np.sort(draw.permutation(scene.train.n)[: plan.samples])
    pair = _Pair(made.model, read(scene.teacher).model)
    learned = scene.train.take(chosen)
    held = scene.held if scene.held.n else learned
    before, at_first = pair.distance_of_outputs(held), made.model.get_weights()
    nearer = 0
    for done, refit in enumerate(plan.refits):
        scene.tell(f"least squares of {refit.layer}", done / len(plan.refits))
        nearer += _improved(pair, refit, learned, held, plan.ridge, draw)
    if not pair.distance_of_outputs(held) < before:
        made.model.set_weights(at_first)
        nearer = 0
    scene.tell(f"{nearer} of {len(plan.refits)} layers brought nearer to the original", 1.0)
    return made


class _Pair:
    """The model that is mended and the original, cut at the same places.

    Args:
        model: that is mended.
        original: unchanged.
    """

    def __init__(self, model: Any, original: Any) -> None:
        self.model, self.original = model, original

    def distance_of_outputs(self, samples: Samples) -> float:
        """Mean squared error of the outputs, each over the mean square of the original's."""
        cut = (_cut(self.model, self.model.outputs), _cut(self.original, self.original.outputs))
        total = 0.0
        for batch in _batches(samples):
            for given, wanted in zip(*(run(batch) for run in cut), strict=True):
                total += _distance(given, wanted) * len(given)
        return total / samples.n

    def distance(self, refit: Refit, samples: Samples) -> float:
        """The same of what a layer gives, after its normalisation or activation."""
        name, channels = refit.layer, refit.channels
        if refit.norm is not None:
            name, channels = refit.norm, refit.norm_channels
        cut = [_cut(each, [each.get_layer(name).output]) for each in (self.model, self.original)]
        total = 0.0
        for batch in _batches(samples):
            (given,), (wanted,) = (run(batch) for run in cut)
            total += _distance(given, wanted[..., list(channels)]) * len(given)
        return total / samples.n


def _improved(
    pair: _Pair, refit: Refit, learned: Samples, held: Samples, ridge: float, draw: Any
) -> bool:
    """Refit a layer; take it back, and say no, when held samples are no better for it."""
    layers = [pair.model.get_layer(refit.layer)]
    if refit.norm is not None:
        layers.append(pair.model.get_layer(refit.norm))
    before, at_first = pair.distance(refit, held), [each.get_weights() for each in layers]
    has_offset = refit.norm is not None or layers[0].use_bias
    sums = _sums(pair, refit, learned, draw)
    if refit.norm is not None:
        _take_norm(layers[1], pair.original.get_layer(refit.norm), refit.norm_channels)
    _add(layers, sums.solved(ridge, bias=has_offset))
    if pair.distance(refit, held) < before:
        return True
    for layer, weights in zip(layers, at_first, strict=True):
        layer.set_weights(weights)
    return False


def _sums(pair: _Pair, refit: Refit, samples: Samples, draw: np.random.Generator) -> Sums:
    mine, theirs = (each.get_layer(refit.layer) for each in (pair.model, pair.original))
    run_mine, run_theirs = _cut(pair.model, [mine.input]), _cut(pair.original, [theirs.input])
    give, want = _without_activation(mine), _without_activation(theirs)
    matrices = as_matrices(mine)
    sums = Sums(*matrices.shape)
    for batch in _batches(samples):
        (x,), (original_x,) = run_mine(batch), run_theirs(batch)
        wanted = np.asarray(want(original_x))[..., list(refit.channels)]
        rest = _grouped(wanted - np.asarray(give(x)), groups_of(mine))
        seen = columns(mine, x)
        if seen.shape[2] > _MOST_POSITIONS:
            some = draw.choice(seen.shape[2], _MOST_POSITIONS, replace=False)
            seen, rest = seen[:, :, some], rest[:, :, some]
        sums.add(_rows(seen), _rows(rest))
    return sums


def _add(layers: Sequence[Any], change: Change) -> None:
    """Change a layer; without a bias of its own, the mean of its normalisation takes the offset."""
    layer, kernel = layers[0], kernel_of(layers[0])
    kernel.assign(from_matrices(layer, as_matrices(layer) + change.weights))
    offset = change.bias.reshape(-1)
    if layer.use_bias:
        layer.bias.assign_add(offset.astype(np.float32))
    elif len(layers) > 1:
        layers[1].moving_mean.assign_sub(offset.astype(np.float32))


def _take_norm(norm: Any, original: Any, channels: Sequence[int]) -> None:
    norm.set_weights([weights[list(channels)] for weights in original.get_weights()])


def _without_activation(layer: Any) -> Any:
    """A layer of the same weights that gives its sums."""
    config = layer.get_config()
    if config.get("activation") in {None, "linear"}:
        return layer
    bare = type(layer).from_config(config | {"activation": "linear"})
    bare.build(layer.input.shape)
    bare.set_weights(layer.get_weights())
    return bare


def _cut(model: Any, tensors: Sequence[Any]) -> Any:
    """The model up to some tensors, as a function from a batch to a list of arrays."""
    part = keras.Model(model.inputs, list(tensors))

    def run(batch: Samples) -> list[Any]:
        inputs = [tf.constant(each) for each in batch.x]
        # Through the graph by itself: the inputs of a part are a list even when it is one.
        found: list[Any] = keras.tree.flatten(
            part(inputs if len(inputs) > 1 else inputs[0], training=False)
        )
        return [np.asarray(each) for each in found]

    return run


def _batches(samples: Samples) -> Iterator[Samples]:
    for first in range(0, samples.n, _BATCH):
        yield samples.take(slice(first, first + _BATCH))


def _distance(given: Array, wanted: Array) -> float:
    scale = float(np.mean(np.square(wanted, dtype=np.float64))) or 1.0
    return float(np.mean(np.square(given - wanted, dtype=np.float64))) / scale


def _grouped(outputs: Array, groups: int) -> Array:
    """(samples, ..., channels) as (groups, samples, positions, channels of a group)."""
    split = outputs.reshape(len(outputs), -1, groups, outputs.shape[-1] // groups)
    return split.transpose(2, 0, 1, 3)


def _rows(values: Array) -> Array:
    return values.reshape(len(values), -1, values.shape[-1])
