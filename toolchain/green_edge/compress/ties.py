"""Keeps zeros zero and equal weights equal while a model is trained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from green_edge.compress.graph.values import Graph, Tie
from green_edge.compress.kernels import Kernel, kernels_of
from green_edge_wire.errors import ModelError


@dataclass(frozen=True, slots=True, eq=False)
class _Zeros:
    """Where a variable is not zero."""

    mask: Any

    def gradient(self, given: Any) -> Any:
        # Not a product: nothing times infinity is not nothing.
        return tf.where(self.mask, given, tf.zeros_like(given))

    def value(self, given: Any) -> Any:
        return tf.where(self.mask, given, tf.zeros_like(given))


@dataclass(frozen=True, slots=True, eq=False)
class _Values:
    """Which weights of a variable share a value.

    Attributes:
        cluster: of each weight, flattened.
        first: place of the first weight of each cluster.
        count: of clusters.
    """

    cluster: Any
    first: Any
    count: int

    def gradient(self, given: Any) -> Any:
        flat = tf.reshape(given, [-1])
        means = tf.math.unsorted_segment_mean(flat, self.cluster, self.count)
        return tf.reshape(tf.gather(means, self.cluster), tf.shape(given))

    def value(self, given: Any) -> Any:
        values = tf.gather(tf.reshape(given, [-1]), self.first)
        return tf.reshape(tf.gather(values, self.cluster), tf.shape(given))


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """Ties of variables as operations of a training step.

    Call it on the gradients before the optimizer, and `settle` after it.
    """

    _variables: tuple[Any, ...]
    _rules: Mapping[int, tuple[_Zeros | _Values, ...]]

    def __call__(self, gradients: Sequence[Any]) -> list[Any]:
        """Gradients under which tied weights move together: each the mean of its cluster's.

        Args:
            gradients: one for each of the variables, in their order; None where there is none.
        """
        return [
            given if given is None else self._held(place, given)
            for place, given in enumerate(gradients)
        ]

    def settle(self) -> None:
        """Make what is tied equal to the last bit, whatever the optimizer's kernels rounded."""
        for place, rules in self._rules.items():
            value = tf.convert_to_tensor(self._variables[place])
            for rule in rules:
                value = rule.value(value)
            self._variables[place].assign(value)

    def _held(self, place: int, given: Any) -> Any:
        rules = self._rules.get(place, ())
        # Sparse gradients, as those of an embedding, become dense.
        held = tf.convert_to_tensor(given) if rules else given
        for rule in rules:
            held = rule.gradient(held)
        return held


def prepare(graph: Graph, variables: Sequence[Any]) -> Held:
    """Read the ties of a graph off the weights that its model has now.

    Prepare before a checkpoint is loaded: two clusters may meet by chance in training.

    Args:
        graph: of the model that is trained.
        variables: those that are trained, as `keras.Variable` of the graph's model.

    Raises:
        ModelError: a tie of a variable that the model does not have.
    """
    places = {id(variable): place for place, variable in enumerate(variables)}
    kernels = {(each.layer, each.variable): each for each in kernels_of(graph.model)[0]}
    rules: dict[int, list[_Zeros | _Values]] = {}
    for tie in sorted(graph.ties, key=lambda tie: tie.kept == "zeros"):
        kernel = kernels.get((tie.layer, tie.variable))
        if kernel is None:
            hint = "known: " + ", ".join(f"{layer}: {name}" for layer, name in kernels)
            message = f"layer {tie.layer} has no kernel {tie.variable} to keep its {tie.kept}"
            raise ModelError(message, hint=hint)
        if id(kernel.handle) in places:
            rules.setdefault(places[id(kernel.handle)], []).append(_rule(kernel, tie))
    return Held(tuple(variables), {place: tuple(each) for place, each in rules.items()})


def _rule(kernel: Kernel, tie: Tie) -> _Zeros | _Values:
    weights = kernel.values()
    if tie.kept == "zeros":
        return _Zeros(tf.constant(weights != 0))
    _, cluster = np.unique(weights.ravel(), return_inverse=True)
    if tie.kept == "channel-values":
        cluster = kernel.channels().ravel() * (cluster.max() + 1) + cluster
    _, first, cluster = np.unique(cluster, return_index=True, return_inverse=True)
    return _Values(
        tf.constant(cluster, tf.int32), tf.constant(first, tf.int32), int(cluster.max()) + 1
    )
