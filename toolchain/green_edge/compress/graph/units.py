"""Channels as numbered units that are united as the model ties them, and where they sit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from green_edge.compress.graph.values import Role

Ids = NDArray[np.int64]
# For each axis of a tensor, the batch's first, the unit of each place; None for an axis that is no
# channel axis, such as height, or time.
Axes = tuple[Ids | None, ...]


class Units:
    """Disjoint sets of units; some are pinned, which means that they cannot be removed."""

    def __init__(self) -> None:
        self._parents: list[int] = []
        self._pins: dict[int, str] = {}

    def new(self, size: int, pinned: str = "") -> Ids:
        """Units that are tied to nothing yet; `pinned` is the reason if they cannot go."""
        first = len(self._parents)
        self._parents.extend(range(first, first + size))
        if pinned:
            self._pins.update(dict.fromkeys(range(first, first + size), pinned))
        return np.arange(first, first + size)

    def unite(self, one: Ids, other: Ids) -> None:
        """Tie units of the same place."""
        for a, b in zip(one.ravel().tolist(), other.ravel().tolist(), strict=True):
            first, second = sorted((self._root(a), self._root(b)))
            if first == second:
                continue
            self._parents[second] = first
            reason = self._pins.pop(second, None)
            if reason is not None:
                self._pins.setdefault(first, reason)

    def pin(self, ids: Ids, reason: str, *, anew: bool = False) -> None:
        """Keep units from being removed; the first reason counts unless it is told anew."""
        for root in np.unique(self.roots(ids)).tolist():
            if anew or root not in self._pins:
                self._pins[root] = reason

    def roots(self, ids: Ids) -> Ids:
        """The same number for all units that are tied together."""
        found = [self._root(each) for each in ids.ravel().tolist()]
        return np.array(found, np.int64).reshape(ids.shape)

    def pinned(self, root: int) -> str | None:
        """Why a unit cannot be removed."""
        return self._pins.get(root)

    def all_pinned(self, ids: Ids | None) -> bool:
        """Whether none of these can be removed."""
        return ids is None or all(root in self._pins for root in self.roots(ids).ravel().tolist())

    def _root(self, unit: int) -> int:
        parents = self._parents
        while parents[unit] != unit:
            parents[unit] = parents[parents[unit]]
            unit = parents[unit]
        return unit


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Units along an axis of a variable."""

    layer: str
    variable: str
    axis: int
    role: Role
    ids: Ids
    part: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Setting:
    """A number in the configuration of a layer that counts units.

    Attributes:
        path: to it, such as ("layer", "config", "units").
    """

    layer: str
    path: tuple[str | int, ...]
    ids: Ids


@dataclass(slots=True)
class Ledger:
    """What the rules have found so far."""

    units: Units = field(default_factory=Units)
    places: dict[tuple[str, str, int], Place] = field(default_factory=dict)
    settings: dict[tuple[str, tuple[str | int, ...]], Setting] = field(default_factory=dict)
    # Layers with weights that no rule covers, and the reason.
    unknown: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A call of a layer or operation, as a rule sees it.

    Attributes:
        layer: the layer; inside of a wrapper the wrapped one.
        owner: name of the outermost layer.
        names: of the owner's variables, by identity.
        path: to the layer's configuration in that of the owner.
        inputs: units of the tensors it takes, in order.
        shapes: of these tensors, batch first.
        results: shapes of its outputs, batch first.
        args, kwargs: as they were given, with tensors of Keras.
        known: units of all tensors so far, by identity.
    """

    ledger: Ledger
    layer: Any
    owner: str
    names: dict[int, str]
    path: tuple[str | int, ...]
    inputs: tuple[Axes, ...]
    shapes: tuple[tuple[int | None, ...], ...]
    results: tuple[tuple[int | None, ...], ...]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    known: Mapping[int, Axes]

    @property
    def units(self) -> Units:
        """All units there are."""
        return self.ledger.units

    def masks(self, axes: Axes) -> bool:
        """Whether these are of the tensor that tells which places count, not of any channels."""
        given = keras.tree.flatten(self.kwargs.get("mask"))
        return any(axes is self.known.get(id(mask)) for mask in given)

    def holds(self, variable: Any, axis: int, role: Role, ids: Ids, part: str = "") -> None:
        """Note that units sit along an axis of a variable; those of an earlier call are tied."""
        if variable is None:
            return
        key = (self.owner, self.names[id(variable)], axis)
        known = self.ledger.places.get(key)
        if known is None:
            self.ledger.places[key] = Place(*key, role, ids, part)
        else:
            self.units.unite(known.ids, ids)

    def counts(self, ids: Ids, *path: str | int) -> None:
        """Note that a number of the configuration is how many units there are."""
        key = (self.owner, (*self.path, *path))
        self.ledger.settings.setdefault(key, Setting(*key, ids))

    def stop(self, reason: str) -> tuple[Axes, ...]:
        """Pin all that comes in and goes out; the reason speaks of the channels as 'they'."""
        if self.names:
            self.ledger.unknown.setdefault(self.owner, reason)
        for axes in self.inputs:
            self.pin(axes, reason)
        return self.pinned(reason)

    def pin(self, axes: Sequence[Ids | None], reason: str) -> None:
        """Keep the units of a tensor from being removed."""
        for ids in axes:
            if ids is not None:
                self.units.pin(ids, reason)

    def pinned(self, reason: str) -> tuple[Axes, ...]:
        """Outputs whose channels cannot be removed."""
        return tuple(fixed_axes(self.units, shape, reason) for shape in self.results)


def fixed_axes(units: Units, shape: Sequence[int | None], reason: str) -> Axes:
    """Pinned units along the last axis of a tensor."""
    if len(shape) < 2:
        return (None,) * len(shape)
    return (*(None for _ in shape[1:]), units.new(shape[-1] or 1, reason))
