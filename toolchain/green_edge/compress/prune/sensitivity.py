"""How much the loss rises when a group keeps fewer of its units, measured one group at a time."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf

from green_edge.compress.graph.values import ChannelGroup, Graph
from green_edge.compress.prune.aims import aims_of, batches, compiled, outputs_of
from green_edge.compress.prune.criteria import variable_of
from green_edge.compress.prune.widths import Curve
from green_edge.compress.scene import Array, Samples
from green_edge_wire.errors import ModelError

_BATCH = 128
# Counts of a group at which the loss is measured; between them it is taken along a line.
_POINTS = 10


class Sensitivity:
    """The loss of a model on samples, with units of its groups left out."""

    def __init__(self, graph: Graph, samples: Samples, teacher: Any) -> None:
        """Measure the whole model.

        Args:
            graph: a copy of its own: weights are set to zero and back.
            samples: held back from training.
            teacher: says what is wanted where there are no labels.

        Raises:
            ModelError: the loss is no finite number.
        """
        self._graph = graph
        self._aims = aims_of(samples, teacher)
        self._batches = [
            (
                samples.take(rows).n,
                [tf.constant(each[rows]) for each in samples.x],
                [tf.constant(each[rows]) for each in self._aims.wanted],
            )
            for rows in batches(samples.n, _BATCH)
        ]
        self._run = compiled(
            lambda inputs, wanted: self._aims.loss(outputs_of(graph.model, inputs), wanted)
        )
        self.whole = self._loss()
        if not np.isfinite(self.whole):
            raise ModelError(
                "the loss of the model on samples is not a finite number",
                hint="look for NaN in the samples and in the weights of the model",
            )

    def curve(
        self, group: ChannelGroup, order: Array, counts: Sequence[int], guard: float
    ) -> Curve:
        """Rise of the loss by the number of units left.

        Args:
            group: whose units go.
            order: its units, those that count most first.
            counts: units that may be left, rising, the last all of them.
            guard: counts that raise the loss by more than this share of what losing every unit
                does are left out; 1 keeps all of them.
        """
        chosen = counts if len(counts) <= _POINTS else [counts[i] for i in _spread(len(counts))]
        measured = [self._rise(group, order[count:]) for count in chosen]
        # Fewer units cannot be better: what falls is chance.
        rises = np.maximum.accumulate(np.maximum(measured, 0.0)[::-1])[::-1]
        along = np.interp(counts, chosen, rises)
        if guard < 1:
            most = guard * self._rise(group, order)
            kept = [i for i, rise in enumerate(along) if rise <= most or i + 1 == len(counts)]
        else:
            kept = list(range(len(counts)))
        return Curve(tuple(counts[i] for i in kept), tuple(float(along[i]) for i in kept))

    def _rise(self, group: ChannelGroup, units: Array) -> float:
        if not len(units):
            return 0.0
        with _without(self._graph, group, units):
            return self._loss() - self.whole

    def _loss(self) -> float:
        total = sum(n * float(self._run(inputs, wanted)) for n, inputs, wanted in self._batches)
        return total / sum(n for n, _, _ in self._batches)


@contextmanager
def _without(graph: Graph, group: ChannelGroup, units: Array) -> Iterator[None]:
    """Units of a group set to zero in all of their slices, and back."""
    before = []
    for each in group.slices:
        variable = variable_of(graph, each.layer, each.variable)
        whole = variable.numpy()
        before.append((variable, whole))
        places = [place for unit in units for place in each.indices[unit]]
        rest = whole.copy()
        rest[(slice(None),) * each.axis + (places,)] = 0
        variable.assign(rest)
    try:
        yield
    finally:
        for variable, whole in reversed(before):
            variable.assign(whole)


def _spread(n: int) -> list[int]:
    return [round(i * (n - 1) / (_POINTS - 1)) for i in range(_POINTS)]
