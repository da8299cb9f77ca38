"""Where a shrunk model's inner tensors are held against the original's.

At the last layer of each set of channels that go on together: there what a block adds up is
complete. The graph knows where the channels that are left stood among the original's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from green_edge.compress.graph.values import Graph


@dataclass(frozen=True, slots=True)
class Point:
    """One place.

    Attributes:
        layer: name of the layer, in the shrunk model as in the original.
        channels: where each channel of the shrunk model's tensor stands in the original's.
    """

    layer: str
    channels: tuple[int, ...]


def points_of(graph: Graph) -> tuple[Point, ...]:
    """The last place of each set of channels that go on together; outputs are not among them."""
    calls: dict[str, int] = {}
    for node in graph.nodes:
        calls[node.layer] = calls.get(node.layer, 0) + 1
    last: dict[tuple[object, ...], Point] = {}
    for i, node in enumerate(graph.nodes):
        channels = graph.origin.get(node.layer)
        if channels is not None and calls[node.layer] == 1 and i not in graph.outputs:
            last[node.width.parts, node.width.fixed] = Point(node.layer, tuple(channels))
    return tuple(last.values())


def with_inner(model: Any, points: Sequence[Point]) -> Any:
    """A functional or sequential model as one that takes and gives plain lists.

    Its outputs are followed by the inner tensors at the points.
    """
    inner = [model.get_layer(point.layer).output for point in points]
    return keras.Model(list(model.inputs), [*model.outputs, *inner])
