"""Changes to a graph, each on a copy: channels out, channels masked, layers replaced."""

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from green_edge.compress.graph.read import of_flat
from green_edge.compress.graph.rebuild_model import rebuilt
from green_edge.compress.graph.trace import trace, variables
from green_edge.compress.graph.values import Graph
from green_edge_wire.errors import ModelError

Array = NDArray[Any]
Kept = Mapping[str, Sequence[int]]


def remove(graph: Graph, kept: Kept) -> Graph:
    """Take units out of their groups; ties and origin follow.

    Args:
        graph: stays as it is.
        kept: by name of a group, the units that stay, in any order; other groups stay whole.

    Raises:
        ModelError: there is no such group or unit, or none would stay.
    """
    found = trace(graph.model)
    roots = [found.members[name][units] for name, units in _gone(graph, kept).items()]
    gone = np.concatenate([*roots, np.empty(0, np.int64)])

    def stay(ids: Array) -> Array:
        return np.flatnonzero(~np.isin(found.ledger.units.roots(ids), gone))

    settings: dict[str, dict[tuple[str | int, ...], int]] = {}
    for setting in found.ledger.settings.values():
        own = settings.setdefault(setting.layer, {})
        own[setting.path] = len(stay(setting.ids))
    places: dict[str, list[tuple[str, int, Array]]] = {}
    for place in found.ledger.places.values():
        rows = (place.variable, place.axis, stay(place.ids))
        places.setdefault(place.layer, []).append(rows)

    def cut(layer: Any, weights: list[Array]) -> list[Array]:
        by_name = dict(zip(variables(layer), weights, strict=True))
        for variable, axis, rows in places.get(layer.name, ()):
            by_name[variable] = np.take(by_name[variable], rows, axis=axis)
        _keep_scale(layer, settings.get(layer.name, {}), by_name)
        return list(by_name.values())

    origin = {
        name: tuple(graph.origin[name][k] for k in stay(ids).tolist())
        for name, ids in found.channels.items()
        if name in graph.origin
    }
    return of_flat(rebuilt(graph.model, settings, cut), origin, graph.ties)


def masked(graph: Graph, kept: Kept) -> Graph:
    """Set what `remove` would take out to zero, so that all shapes stay.

    Raises:
        ModelError: there is no such group or unit, or none would stay.
    """
    changed: dict[tuple[str, str], Array] = {}
    gone = _gone(graph, kept)
    for group in graph.groups:
        for each in group.slices:
            key = (each.layer, each.variable)
            if key not in changed:
                changed[key] = weights(graph, *key)
            rows = [place for unit in gone.get(group.name, ()) for place in each.indices[unit]]
            view = np.moveaxis(changed[key], each.axis, 0)
            view[rows] = 0
    return with_weights(graph, changed)


def replaced(graph: Graph, layers: Mapping[str, Sequence[Any]]) -> Graph:
    """Put built layers, called one after the other, in the place of some.

    The last should have the name of the one that it replaces, so that `origin` holds.

    Raises:
        ModelError: there is no layer of that name.
    """
    for name in layers:
        _layer(graph, name)
    ties = tuple(tie for tie in graph.ties if tie.layer not in layers)
    return of_flat(rebuilt(graph.model, instead=layers), graph.origin, ties)


def copy(graph: Graph) -> Graph:
    """The same graph with its own weights."""
    return with_weights(graph, {})


def weights(graph: Graph, layer: str, variable: str) -> Array:
    """Values of a variable, copied.

    Raises:
        ModelError: there is no such layer or variable.
    """
    known = variables(_layer(graph, layer))
    if variable not in known:
        raise ModelError(
            f"layer {layer!r} has no variable {variable!r}", hint=f"it has {', '.join(known)}"
        )
    return np.array(known[variable].numpy())


def with_weights(graph: Graph, changed: Mapping[tuple[str, str], Array]) -> Graph:
    """A copy with other values of some variables, by layer and variable."""
    model = rebuilt(graph.model)
    for (layer, variable), value in changed.items():
        variables(model.get_layer(layer))[variable].assign(value)
    return Graph(
        model,
        graph.nodes,
        graph.inputs,
        graph.outputs,
        graph.groups,
        graph.fixed,
        graph.origin,
        graph.ties,
    )


def _layer(graph: Graph, name: str) -> Any:
    try:
        return graph.model.get_layer(name)
    except ValueError:
        raise ModelError(
            f"there is no layer {name!r}", hint="layers are named as in `Graph.nodes`"
        ) from None


def _gone(graph: Graph, kept: Kept) -> dict[str, list[int]]:
    """By name of each group that is told of, the units that do not stay."""
    groups = {group.name: group for group in graph.groups}
    gone: dict[str, list[int]] = {}
    for name, units in kept.items():
        if name not in groups:
            known = ", ".join(groups)
            raise ModelError(f"there is no group of channels {name!r}", hint=f"there are {known}")
        stay, every = {int(unit) for unit in units}, range(groups[name].size)
        if not stay or not stay <= set(every):
            raise ModelError(
                f"group {name!r}: units to keep are some of 0 to {every[-1]}, at least one",
                hint="a layer without channels gives nothing",
            )
        gone[name] = [unit for unit in every if unit not in stay]
    return gone


def _keep_scale(
    layer: Any, settings: Mapping[tuple[str | int, ...], int], by_name: dict[str, Array]
) -> None:
    """Attention divides by the root of the size of its keys, which is another one now."""
    size = settings.get(("key_dim",))
    if size is None or size == layer.key_dim:
        return
    for variable in ("query/kernel", "query/bias"):
        if variable in by_name:
            by_name[variable] = by_name[variable] * sqrt(size / layer.key_dim)
