"""The Keras layers of a split, with their weights, and what the outputs suffer from them."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from green_edge.compress.graph.values import Graph, Node
from green_edge.compress.lowrank.factors import Factors
from green_edge.compress.lowrank.inputs import batches
from green_edge.compress.lowrank.layers import Choice, as_kernels, pieces, shape_of
from green_edge.compress.scene import Samples
from green_edge.convert.keras_graph import walk


def built(graph: Graph, node: Node, choice: Choice, factors: Factors) -> list[Any]:
    """Layers to be called one after the other in a layer's place."""
    layer = graph.model.get_layer(node.layer)
    takes = shape_of(graph, graph.nodes, node.sources[0])
    parts = pieces(node, choice, takes, {each.layer for each in graph.nodes})
    made = []
    for part, kernel in zip(parts, as_kernels(factors, node, choice.form), strict=True):
        piece = getattr(keras.layers, part.kind).from_config(dict(part.config))
        piece.build((None, *takes))
        takes = part.shape
        whole = [kernel]
        if part.kind.startswith("SeparableConv"):
            whole = [layer.depthwise_kernel, kernel]
        if part is parts[-1]:
            bias = 0.0 if layer.bias is None else np.asarray(layer.bias, np.float64)
            whole.append(bias + factors.shift)
        piece.set_weights(whole)
        piece.trainable = layer.trainable
        made.append(piece)
    return made


def sensitivities(
    graph: Graph, trials: Mapping[str, tuple[Sequence[Any], float]], samples: Samples
) -> dict[str, float]:
    """What the outputs suffer for each share of variance that a layer loses.

    The change of the outputs is a small share of their variance; it goes with the square of the
    disturbance, so that one trial a layer tells its slope.

    Args:
        graph: the model; its outputs are the reference.
        trials: by layer, the layers that stand in its place and the share of variance they lose.
        samples: few, not those that the ranks come from.
    """
    reference = _outputs(graph, samples, {})
    slopes = {}
    for layer, (standing, lost) in trials.items():
        changed = _outputs(graph, samples, {layer: standing})
        harm = [
            float(np.square(new - old).mean() / max(old.var(), np.finfo(np.float32).tiny))
            for new, old in zip(changed, reference, strict=True)
        ]
        slopes[layer] = sum(harm) / lost
    return slopes


def _outputs(
    graph: Graph, samples: Samples, standing: Mapping[str, Sequence[Any]]
) -> list[NDArray[Any]]:
    """Each of the model's outputs, with other layers in the place of those named."""

    def visit(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if layer.name not in standing:
            return layer(*args, **kwargs)
        tensor = args[0]
        for each in standing[layer.name]:
            tensor = each(tensor)
        return tensor

    given = [keras.tree.flatten(walk(graph.model, batch, visit)) for batch in batches(samples)]
    return [
        np.concatenate([np.asarray(part) for part in parts]) for parts in zip(*given, strict=True)
    ]
