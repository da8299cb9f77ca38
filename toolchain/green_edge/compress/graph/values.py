"""A Keras model as a graph of layer calls, and which of its channels can go.

A channel is a *unit*: one index on an axis of one or several variables and tensors that can only
be removed together, as the additions, concatenations and per-channel layers of the model tie them.
Units that sit in the same places in the same way make a group; within it they are alike, so that
how many of them are left decides what the model costs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from green_edge.core.report import Skip

# `makes`: the variable's slice produces the channel; `scales`: it acts on the channel alone, as
# that of a normalisation does; `takes`: it is what the next layer multiplies the channel by.
Role = Literal["makes", "scales", "takes"]


@dataclass(frozen=True, slots=True)
class Width:
    """Length of an axis as channels are removed.

    Attributes:
        fixed: part that stays whatever is removed.
        parts: (index of a group, how often each of its units is counted), such as 49 times after
            the flattening of a 7 x 7 image.
    """

    fixed: int
    parts: tuple[tuple[int, int], ...] = ()

    def size(self, kept: Sequence[int]) -> int:
        """Length when so many units of each group are left."""
        return self.fixed + sum(times * kept[group] for group, times in self.parts)


@dataclass(frozen=True, slots=True)
class Node:
    """One call of a layer, in the order of execution.

    Attributes:
        layer: its name, unique in the flattened model; a shared layer has several calls.
        kind: name of the class of the layer or operation.
        config: of the layer, as Keras serialises it; empty for a bare operation.
        sources: nodes whose outputs it takes, in order; -1 - k for the k-th input of the model.
        shape: of its output, without the batch; None for an axis that is left open.
        width: of the output's last axis.
    """

    layer: str
    kind: str
    config: Mapping[str, Any]
    sources: tuple[int, ...]
    shape: tuple[int | None, ...]
    width: Width


@dataclass(frozen=True, slots=True)
class Slice:
    """Where the units of a group sit in a variable.

    Attributes:
        layer: that owns the variable.
        variable: its name in the layer, such as `kernel` or `gamma`.
        axis: along which the units count.
        indices: for each unit of the group its places along the axis.
    """

    layer: str
    variable: str
    axis: int
    role: Role
    indices: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class ChannelGroup:
    """Units that can be removed one by one, each from all of its slices at once.

    Attributes:
        name: of the first layer that makes them.
        size: how many units there are.
        slices: where they sit; that of unit k is `indices[k]` of each.
    """

    name: str
    size: int
    slices: tuple[Slice, ...]

    def makers(self) -> tuple[Slice, ...]:
        """Slices that produce the units."""
        return tuple(each for each in self.slices if each.role == "makes")


# `zeros`: weights that are zero stay zero; `values`: equal weights of the variable stay equal;
# `channel-values`: equal weights of an output channel do.
Kept = Literal["zeros", "values", "channel-values"]


@dataclass(frozen=True, slots=True)
class Tie:
    """What training must keep of a variable; it can be read off the weights themselves."""

    layer: str
    variable: str
    kept: Kept


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """A trainable model and what is known of it.

    Attributes:
        model: functional `keras.Model`; nested models are taken apart, so all layers are its own.
        nodes: calls in the order of execution.
        inputs: shape of each input of the model, without the batch.
        outputs: nodes that give the model's outputs; -1 - k for its k-th input.
        groups: what can be removed.
        fixed: layers whose channels cannot, each with the reason.
        origin: by name of each layer that was in the model that came in: where each of the
            channels that it gives stood among those it gave there. Layers that give channels
            along another axis than the last are left out.
        ties: what training must keep.
    """

    model: Any
    nodes: tuple[Node, ...]
    inputs: tuple[tuple[int | None, ...], ...]
    outputs: tuple[int, ...]
    groups: tuple[ChannelGroup, ...]
    fixed: tuple[Skip, ...]
    origin: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    ties: tuple[Tie, ...] = ()

    @property
    def sizes(self) -> tuple[int, ...]:
        """Units of each group."""
        return tuple(group.size for group in self.groups)
