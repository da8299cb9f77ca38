"""A price for tests of what shrinks a graph: the number of weights that are left."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from green_edge.compress.graph.values import Graph
from green_edge.core.steps import Measure


@dataclass(frozen=True)
class SizePrices:
    """Weights left, as a share of those of the original model.

    Attributes:
        original: weights of the model that came in.
        liked: multiple of channels that is told.
        floor: share that is left whatever goes.
    """

    original: int
    liked: int = 1
    floor: float = 0.0

    def share(self, graph: Graph, kept: Sequence[int], measure: Measure) -> float:
        from green_edge.compress.graph.trace import variables  # noqa: PLC0415 - imports keras

        del measure
        left: dict[tuple[str, str], list[int]] = {
            (layer.name, name): list(variable.shape)
            for layer in graph.model.layers
            for name, variable in variables(layer).items()
        }
        for group, count in zip(graph.groups, kept, strict=True):
            for each in group.slices:
                gone = sum(len(places) for places in each.indices[count:])
                left[each.layer, each.variable][each.axis] -= gone
        weights = sum(prod(shape) for shape in left.values()) / self.original
        return self.floor + (1 - self.floor) * weights

    def multiple(self) -> int:
        return self.liked
