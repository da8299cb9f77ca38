"""Which layers get their weights anew, and which cannot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from green_edge.compress.graph.read import read
from green_edge.compress.graph.values import Graph, Node
from green_edge.compress.reconstruct.columns import CONVOLUTIONS, DENSE, SEPARABLE
from green_edge.compress.scene import Scene
from green_edge.core.report import Skip
from green_edge.core.steps import Reconstruct

_KINDS = CONVOLUTIONS | SEPARABLE | {DENSE}
_NORM = "BatchNormalization"
# These scale, or are what was measured: nothing to fit.
_NORMS = frozenset({_NORM, "LayerNormalization", "GroupNormalization", "Normalization", "PReLU"})
_RECURRENT = frozenset({"LSTM", "GRU", "SimpleRNN", "Bidirectional", "RNN", "ConvLSTM2D"})
_ATTENTION = frozenset({"MultiHeadAttention", "GroupQueryAttention", "Attention"})
_REASONS = {
    **dict.fromkeys(_RECURRENT, "its weights act on its own earlier outputs"),
    **dict.fromkeys(_ATTENTION, "its weights meet in a product, not in a sum"),
}


@dataclass(frozen=True, slots=True)
class Refit:
    """A layer that gets its weights anew.

    Attributes:
        layer: its name.
        channels: which of the original's output channels it gives.
        norm: batch normalisation that alone takes its output; it gets the original's parameters
            back, for the layer will give what the original's gave.
        norm_channels: which of the original's that normalisation has.
    """

    layer: str
    channels: tuple[int, ...]
    norm: str | None = None
    norm_channels: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """Layers in the order they are done: each sees what those before it now give."""

    refits: tuple[Refit, ...]
    skipped: tuple[Skip, ...]
    samples: int
    ridge: float

    def lines(self) -> tuple[str, ...]:
        """What will be done, for printing."""
        head = f"{len(self.refits)} layers anew from {self.samples} samples, ridge {self.ridge:g}"
        rows = tuple(
            f"  {each.layer:<30} {len(each.channels):>5} channels"
            + (f", with {each.norm}" if each.norm else "")
            for each in self.refits
        )
        return (head, *rows)


def plan(graph: Graph, step: Reconstruct, scene: Scene) -> Plan:
    """Choose the layers that have a counterpart in the original model and a closed form."""
    original = read(scene.teacher)
    calls = _calls(graph)
    tied = {tie.layer: tie.kept for tie in graph.ties}
    refits: list[Refit] = []
    skipped: list[Skip] = []
    for index, node in enumerate(graph.nodes):
        if calls[node.layer][0] != index or not _has_kernel(graph.model, node):
            continue
        reason = _refused(node, len(calls[node.layer]), tied.get(node.layer))
        found = None if reason else _refit(graph, original, index)
        if found is not None:
            refits.append(found)
        else:
            skipped.append(Skip(node.layer, reason or "no counterpart in the original model"))
    return Plan(tuple(refits), tuple(skipped), min(step.samples, scene.train.n), step.ridge)


def _calls(graph: Graph) -> Mapping[str, Sequence[int]]:
    calls: dict[str, list[int]] = {}
    for index, node in enumerate(graph.nodes):
        calls.setdefault(node.layer, []).append(index)
    return calls


def _has_kernel(model: Any, node: Node) -> bool:
    if node.kind in _NORMS or not node.config:
        return False
    return bool(model.get_layer(node.layer).weights)


def _refused(node: Node, calls: int, tied: str | None) -> str | None:
    """Why a layer has no closed form here; None when it has one."""
    if node.kind not in _KINDS:
        return _REASONS.get(node.kind, f"no least squares for {node.kind}")
    if node.config.get("data_format") == "channels_first":
        return "its channels come first"
    if calls > 1:
        return f"it is called {calls} times: no one input to fit it on"
    if tied is not None:
        return f"its {'zeros' if tied == 'zeros' else 'shared weights'} would be lost"
    return None


def _refit(graph: Graph, original: Graph, index: int) -> Refit | None:
    channels = _channels(graph, original, index)
    if channels is None:
        return None
    layer = graph.nodes[index].layer
    after, before = _norm_after(graph, index), _norm_after(original, _index(original, layer))
    if after is None or before is None or graph.nodes[after].layer != original.nodes[before].layer:
        return Refit(layer, channels)
    kept = _channels(graph, original, after)
    return None if kept is None else Refit(layer, channels, graph.nodes[after].layer, kept)


def _channels(graph: Graph, original: Graph, index: int) -> tuple[int, ...] | None:
    """Of the original's output, those that a node gives; None where they cannot be told."""
    node = graph.nodes[index]
    there = _index(original, node.layer)
    if there < 0:
        return None
    shape, wanted = node.shape, original.nodes[there].shape
    width, full = shape[-1], wanted[-1]
    if width is None or full is None or shape[:-1] != wanted[:-1]:
        return None
    channels = graph.origin.get(node.layer, tuple(range(width)))
    known = len(channels) == width and all(0 <= each < full for each in channels)
    return channels if known else None


def _index(graph: Graph, layer: str) -> int:
    return next((i for i, node in enumerate(graph.nodes) if node.layer == layer), -1)


def _norm_after(graph: Graph, index: int) -> int | None:
    """Batch normalisation over the channels that alone takes the sums of a layer."""
    takers = [i for i, node in enumerate(graph.nodes) if index in node.sources]
    if len(takers) != 1 or index in graph.outputs:
        return None
    node, taker = graph.nodes[index], graph.nodes[takers[0]]
    calls = sum(each.layer == taker.layer for each in graph.nodes)
    if taker.kind != _NORM or calls > 1 or node.config.get("activation") not in {None, "linear"}:
        return None
    axis = taker.config.get("axis", -1)
    (axis,) = axis if isinstance(axis, list | tuple) else (axis,)
    return takers[0] if axis in {-1, len(taker.shape)} else None
