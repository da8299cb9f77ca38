"""Follows the channels of a flat functional model through all of its calls."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from green_edge.compress.graph.rules import follow
from green_edge.compress.graph.units import Axes, Call, Ids, Ledger, Place, fixed_axes
from green_edge.compress.graph.values import ChannelGroup, Node, Slice, Width
from green_edge.core.report import Skip


@dataclass(frozen=True, slots=True, eq=False)
class Traced:
    """What is known of a flat model.

    Attributes:
        nodes, outputs, groups, fixed: as a `Graph` has them.
        ledger: where units sit, and which numbers of configurations count them.
        channels: by layer, the units of the last axis of its first output; not of layers that give
            channels along another axis.
        members: by name of a group, the root of each of its units.
    """

    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]
    groups: tuple[ChannelGroup, ...]
    fixed: tuple[Skip, ...]
    ledger: Ledger
    channels: Mapping[str, Ids]
    members: Mapping[str, Ids]


def trace(model: Any) -> Traced:
    """Follow the channels of a functional model without nested models.

    What reaches an output, or a call without a rule, is pinned.
    """
    ledger = Ledger()
    known: dict[int, Axes] = {}
    source: dict[int, int] = {}
    for k, tensor in enumerate(model.inputs):
        known[id(tensor)] = fixed_axes(ledger.units, tensor.shape, "they are the model's input")
        source[id(tensor)] = -1 - k
    made = list(calls(model))
    for k, node in enumerate(made):
        given = follow(_call(ledger, node, known))
        source.update((id(tensor), k) for tensor in node.outputs)
        for tensor, axes in zip(node.outputs, given, strict=True):
            known[id(tensor)] = _whole(ledger, axes, tensor.shape)
    for tensor in model.outputs:
        for ids in known[id(tensor)]:
            if ids is not None:
                ledger.units.pin(ids, "they reach the output", anew=True)
    ends = [known[id(node.outputs[0])][-1] for node in made]
    groups, members = _groups(ledger, ends)
    nodes = [
        _node(ledger, node, source, ids, members) for node, ids in zip(made, ends, strict=True)
    ]
    channels: dict[str, Ids] = {}
    for node in made:
        *others, ids = known[id(node.outputs[0])]
        if ids is not None and all(ledger.units.all_pinned(each) for each in others):
            channels.setdefault(node.operation.name, ids)
    outputs = tuple(source[id(tensor)] for tensor in model.outputs)
    fixed = _fixed(ledger)
    return Traced(tuple(nodes), outputs, groups, fixed, ledger, channels, members)


def variables(layer: Any) -> dict[str, Any]:
    """Variables of a layer by their names in it, such as `kernel` or `lstm_cell/bias`."""
    found: dict[str, Any] = {}
    for variable in getattr(layer, "weights", ()):
        parts = variable.path.split("/")
        own = parts.index(layer.name) + 1 if layer.name in parts[:-1] else len(parts) - 1
        name = "/".join(parts[own:])
        found[name if name not in found else f"{name}#{len(found)}"] = variable
    return found


def calls(model: Any) -> Iterator[Any]:
    """Nodes of Keras in the order in which it executes them."""
    by_depth = model._nodes_by_depth  # noqa: SLF001 - there is no public order of execution
    for depth in sorted(by_depth, reverse=True):
        yield from (node for node in by_depth[depth] if node.operation and not node.is_input)


def _call(ledger: Ledger, node: Any, known: Mapping[int, Axes]) -> Call:
    layer = node.operation
    tensors = node.input_tensors
    return Call(
        ledger,
        layer,
        layer.name,
        {id(variable): name for name, variable in variables(layer).items()},
        (),
        tuple(known[id(tensor)] for tensor in tensors),
        tuple(tuple(tensor.shape) for tensor in tensors),
        tuple(tuple(tensor.shape) for tensor in node.outputs),
        node.arguments.args,
        node.arguments.kwargs,
        known,
    )


def _whole(ledger: Ledger, axes: Axes, shape: Sequence[int | None]) -> Axes:
    """The last axis always has units, so that its width is known."""
    if len(shape) < 2 or axes[-1] is not None:
        return axes
    return (*axes[:-1], ledger.units.new(shape[-1] or 1, "they are places, not channels"))


def _node(
    ledger: Ledger,
    node: Any,
    source: Mapping[int, int],
    ids: Ids | None,
    members: Mapping[str, Ids],
) -> Node:
    layer, tensor = node.operation, node.outputs[0]
    return Node(
        layer.name,
        kind(layer),
        layer.get_config() if isinstance(layer, keras.Layer) else {},
        tuple(source[id(each)] for each in node.input_tensors),
        tuple(tensor.shape[1:]),
        _width(ledger, ids, members),
    )


def kind(layer: Any) -> str:
    """Name of the class; of one that is not of Keras with its module."""
    owner = type(layer)
    own = owner.__module__.startswith("keras.")
    return owner.__name__ if own else f"{owner.__module__}.{owner.__name__}"


def _width(ledger: Ledger, ids: Ids | None, members: Mapping[str, Ids]) -> Width:
    if ids is None:
        return Width(1)
    counts = Counter(ledger.units.roots(ids).tolist())
    parts = tuple(
        (index, counts[int(roots[0])])
        for index, roots in enumerate(members.values())
        if int(roots[0]) in counts
    )
    moving = sum(
        len(roots) * counts[int(roots[0])] for roots in members.values() if int(roots[0]) in counts
    )
    return Width(len(ids) - moving, parts)


def _groups(
    ledger: Ledger, ends: Sequence[Ids | None]
) -> tuple[tuple[ChannelGroup, ...], dict[str, Ids]]:
    """Units that sit in the same variables, tensors and settings equally often, group by group."""
    places = list(ledger.places.values())
    where = _where(ledger, ends)
    alike: dict[tuple[tuple[int, int], ...], list[int]] = defaultdict(list)
    for root, found in where.items():
        alike[tuple((index, len(at)) for index, at in found.items())].append(root)
    groups: dict[str, ChannelGroup] = {}
    members: dict[str, Ids] = {}
    for signature, roots in alike.items():
        own = [index for index, _ in signature if index < len(places)]
        main = next((index for index in own if places[index].role == "makes"), None)
        if main is None:
            continue
        units = _in_order(roots, where, main)
        name = _free_name(places[main], groups)
        slices = tuple(
            _slice(places[index], [where[root][index] for root in units]) for index in own
        )
        groups[name] = ChannelGroup(name, len(units), slices)
        members[name] = np.array(units)
    return tuple(groups.values()), members


def _where(ledger: Ledger, ends: Sequence[Ids | None]) -> dict[int, dict[int, Ids]]:
    """By root that is not pinned: its places in each array of units; variables come first."""
    arrays = [place.ids for place in ledger.places.values()]
    arrays += [setting.ids for setting in ledger.settings.values()]
    arrays += [ids for ids in ends if ids is not None]
    where: dict[int, dict[int, Ids]] = defaultdict(dict)
    for index, ids in enumerate(arrays):
        roots = ledger.units.roots(ids)
        order = np.argsort(roots, kind="stable")
        found, first = np.unique(roots[order], return_index=True)
        for root, at in zip(found.tolist(), np.split(order, first[1:]), strict=True):
            if ledger.units.pinned(root) is None:
                where[root][index] = at
    return where


def _in_order(roots: Sequence[int], where: Mapping[int, Mapping[int, Ids]], main: int) -> list[int]:
    """Roots as they come in the variable that makes them."""
    return sorted(roots, key=lambda root: int(where[root][main][0]))


def _slice(place: Place, found: Sequence[Ids]) -> Slice:
    indices = tuple(tuple(at.tolist()) for at in found)
    return Slice(place.layer, place.variable, place.axis, place.role, indices)


def _free_name(place: Place, taken: Mapping[str, Any]) -> str:
    name = f"{place.layer} {place.part}" if place.part else place.layer
    same = sum(each == name or each.startswith(f"{name}#") for each in taken)
    return f"{name}#{same + 1}" if same else name


def _fixed(ledger: Ledger) -> tuple[Skip, ...]:
    """Layers with kernels that give channels which cannot go, each with the first reason."""
    reasons: dict[str, str] = dict(ledger.unknown)
    for place in ledger.places.values():
        kernel = place.role == "makes" or (place.role == "scales" and "kernel" in place.variable)
        if not kernel or place.layer in reasons:
            continue
        pins = [
            reason
            for root in ledger.units.roots(place.ids).tolist()
            if (reason := ledger.units.pinned(root)) is not None
        ]
        if pins:
            share = "" if len(pins) == len(place.ids) else f"{len(pins)} of {len(place.ids)}: "
            reasons[place.layer] = f"{share}{pins[0]}"
    return tuple(Skip(layer, reason) for layer, reason in reasons.items())
