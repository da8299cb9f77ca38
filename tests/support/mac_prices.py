"""Prices of graphs by their multiplications alone, for passes that only ask."""

import math
from collections.abc import Sequence

from green_edge.compress.graph.values import Graph, Node
from green_edge.core.steps import Measure


def macs(graph: Graph, kept: Sequence[int] | None = None) -> int:
    """Multiplications of the dense layers and plain convolutions."""
    return sum(_of_call(graph, node, graph.sizes if kept is None else kept) for node in graph.nodes)


class MacPrices:
    """Shares of the multiplications of a graph."""

    def __init__(self, original: Graph, *, multiple: int = 1) -> None:
        self._whole = macs(original)
        self._multiple = multiple

    def share(self, graph: Graph, kept: Sequence[int], measure: Measure) -> float:
        del measure
        return macs(graph, kept) / self._whole

    def multiple(self) -> int:
        return self._multiple


def _of_call(graph: Graph, node: Node, kept: Sequence[int]) -> int:
    if "units" not in node.config and "filters" not in node.config:
        return 0
    source = node.sources[0]
    inputs = (
        graph.nodes[source].width.size(kept) if source >= 0 else graph.inputs[-1 - source][-1] or 0
    )
    places = math.prod(size or 1 for size in node.shape[:-1])
    window: int = math.prod(node.config.get("kernel_size", (1,)))
    if node.kind.startswith("SeparableConv"):
        return places * inputs * (window + node.width.size(kept))
    return places * window * inputs * node.width.size(kept)
