"""How much each unit of a group counts, by several criteria: greater is to be kept.

Scores are compared within a group alone; how many units a group keeps is told by the measured loss.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from green_edge.compress.graph.trace import variables
from green_edge.compress.graph.values import ChannelGroup, Graph, Slice
from green_edge.compress.prune.aims import Aims, aims_of, batches, compiled, drawn, outputs_of
from green_edge.compress.prune.inputs import moments
from green_edge.compress.scene import Array, Samples, Scene
from green_edge.core.steps import Criterion
from green_edge_wire.errors import ModelError

# Gradients are squared by the batch, so that small batches tell more of as many samples.
_BATCH = 16
_MOST_SAMPLES = 2_048


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What a criterion says.

    Attributes:
        of: by name of each group the score of each of its units.
        notes: where it was not this criterion that decided, a sentence each.
    """

    of: Mapping[str, Array]
    notes: tuple[str, ...] = ()


def scores_of(graph: Graph, criterion: Criterion, scene: Scene) -> Scores:
    """Score every unit of every group.

    Raises:
        ModelError: the gradients are not finite.
    """
    match criterion:
        case "taylor":
            return Scores(_taylor(graph, scene))
        case "activation":
            return _activation(graph, scene)
        case "bn-scale":
            return _scales(graph)
        case "l1" | "l2":
            order = 1 if criterion == "l1" else 2
            return Scores({group.name: _norms(graph, group, order) for group in graph.groups})


def variable_of(graph: Graph, layer: str, variable: str) -> Any:
    """The variable itself, of the graph's model."""
    return variables(graph.model.get_layer(layer))[variable]


def _norms(graph: Graph, group: ChannelGroup, order: int) -> Array:
    """Sum of the norms of the weights that make a unit, each layer's by its mean over the units."""
    total = np.zeros(group.size)
    for each in group.makers():
        weights = np.abs(np.asarray(variable_of(graph, each.layer, each.variable))) ** order
        axes = tuple(axis for axis in range(weights.ndim) if axis != each.axis)
        found = _by_unit(each, weights.sum(axis=axes)) ** (1 / order)
        total += found / (found.mean() or 1.0)
    return total


def _scales(graph: Graph) -> Scores:
    found: dict[str, Array] = {}
    notes = []
    for group in graph.groups:
        gammas = [e for e in group.slices if e.role == "scales" and e.variable == "gamma"]
        if not gammas:
            notes.append(f"{group.name} has no normalisation: its channels are ranked by l2")
            found[group.name] = _norms(graph, group, 2)
            continue
        found[group.name] = np.sum(
            [
                _by_unit(each, np.abs(np.asarray(variable_of(graph, each.layer, each.variable))))
                for each in gammas
            ],
            axis=0,
        )
    return Scores(found, tuple(notes))


def _activation(graph: Graph, scene: Scene) -> Scores:
    """Mean square of what the next layers are given; l2 for what no layer takes as it is."""
    energies = moments(graph, _some(scene)).squares
    found: dict[str, Array] = {}
    notes = []
    for group in graph.groups:
        taken = [e for e in group.slices if e.role == "takes" and _is_input(e, energies)]
        if not taken:
            notes.append(f"no layer takes the channels of {group.name} as they are: ranked by l2")
            found[group.name] = _norms(graph, group, 2)
            continue
        given = [_by_unit(each, energies[each.layer]) for each in taken]
        found[group.name] = np.sum(given, axis=0)
    return Scores(found, tuple(notes))


def _is_input(each: Slice, energies: Mapping[str, Array]) -> bool:
    most = max(place for places in each.indices for place in places)
    return "recurrent" not in each.variable and most < len(energies.get(each.layer, ()))


def _taylor(graph: Graph, scene: Scene) -> dict[str, Array]:
    """First-order change of the loss when a unit goes, squared and averaged over batches.

    The loss is towards outcomes drawn from what the original model says. Molchanov et al. 2019,
    with the gate on what the next layers take: gradient times weight, over all weights by which
    they multiply the unit, is the derivative by such a gate.
    """
    samples = Samples(_some(scene).x)
    # Towards its labels a fitted model has next to no gradient, and what is left ranks badly.
    aims = drawn(aims_of(samples, scene.teacher), scene.seed)
    watched = {group.name: _gated(group) for group in graph.groups}
    flat = [each for slices in watched.values() for each in slices]
    sums: dict[str, Array] = {group.name: np.zeros(group.size) for group in graph.groups}
    for products in _products(graph, flat, samples, aims):
        left = iter(products)
        for name, slices in watched.items():
            change = sum(_by_unit(each, next(left)) for each in slices)
            sums[name] += np.square(change)
    if not all(np.isfinite(each).all() for each in sums.values()):
        raise ModelError(
            "the gradients of the model are not finite numbers, so no channel can be ranked",
            hint="look for NaN in the training samples and the weights, or take criterion l2",
        )
    return sums


def _gated(group: ChannelGroup) -> tuple[Slice, ...]:
    """Slices whose weights carry the gate of a unit: what takes it, else what makes it."""
    takes = tuple(each for each in group.slices if each.role == "takes")
    return takes or group.makers()


def _products(graph: Graph, slices: Sequence[Slice], samples: Samples, aims: Aims) -> Any:
    """For each batch: gradient times weight of each slice, summed up to its axis."""
    weights = [variable_of(graph, each.layer, each.variable).value for each in slices]

    @compiled
    def run(inputs: Sequence[Any], wanted: Sequence[Any]) -> list[Any]:
        with tf.GradientTape() as tape:
            tape.watch(weights)
            loss = aims.loss(outputs_of(graph.model, inputs), wanted)
        gradients = tape.gradient(loss, weights, unconnected_gradients="zero")
        return [
            tf.reduce_sum(
                tf.cast(tf.convert_to_tensor(gradient) * weight, tf.float32),
                [axis for axis in range(weight.shape.rank) if axis != each.axis],
            )
            for gradient, weight, each in zip(gradients, weights, slices, strict=True)
        ]

    for rows in batches(samples.n, _BATCH):
        inputs = [tf.constant(each[rows]) for each in samples.x]
        wanted = [tf.constant(each[rows]) for each in aims.wanted]
        yield [np.asarray(each, np.float64) for each in run(inputs, wanted)]


def _by_unit(each: Slice, values: Array) -> Array:
    """Sum over the places of each unit along the axis; all units have as many."""
    total: Array = values[np.array(each.indices)].sum(axis=1)
    return total


def _some(scene: Scene) -> Samples:
    rows = np.random.default_rng(scene.seed).permutation(scene.train.n)[:_MOST_SAMPLES]
    return scene.train.take(np.sort(rows))
