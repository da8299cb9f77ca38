"""Reads a Keras model as a graph with coupled channels."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from green_edge.compress.graph.rebuild_model import rebuilt
from green_edge.compress.graph.trace import trace, variables
from green_edge.compress.graph.values import Graph, Tie
from green_edge_wire.errors import ModelError


def read(
    model: Any,
    *,
    origin: Mapping[str, Sequence[int]] | None = None,
    ties: Sequence[Tie] = (),
) -> Graph:
    """Read a functional or sequential model; nested ones are taken apart.

    The graph has its own copy of the weights. Names of layers that clash get a number.

    Args:
        model: the Keras model, which stays as it is.
        origin: of its channels, as of `Graph`; by default each is its own.
        ties: of its weights.

    Raises:
        ModelError: a subclassed model, whose layers are code, or weights that are no numbers.
    """
    made = rebuilt(model)
    _check_finite(made)
    return of_flat(made, origin, ties)


def of_flat(
    model: Any, origin: Mapping[str, Sequence[int]] | None, ties: Sequence[Tie] = ()
) -> Graph:
    """The graph of a model that is flat already and that it may own."""
    found = trace(model)
    if origin is None:
        origin = {name: range(len(ids)) for name, ids in found.channels.items()}
    return Graph(
        model,
        found.nodes,
        tuple(tuple(tensor.shape[1:]) for tensor in model.inputs),
        found.outputs,
        found.groups,
        found.fixed,
        {name: tuple(origin[name]) for name in found.channels if name in origin},
        tuple(ties),
    )


def _check_finite(model: Any) -> None:
    for layer in model.layers:
        for name, variable in variables(layer).items():
            if not np.isfinite(np.asarray(variable.numpy(), np.float64)).all():
                raise ModelError(
                    f"layer {layer.name!r}: {name} has weights that are no finite numbers",
                    hint="train it anew with a lower rate; look for NaN in its training samples",
                )
