"""Which channels go: decided by measured loss and the target's price, then done on a copy."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap

import numpy as np

from green_edge.compress.graph.rebuild import copy, remove
from green_edge.compress.graph.values import Graph
from green_edge.compress.prune.criteria import scores_of
from green_edge.compress.prune.sensitivity import Sensitivity
from green_edge.compress.prune.widths import Counts, Curve, Widths, balanced, candidates
from green_edge.compress.scene import Array, Samples, Scene
from green_edge.core.report import Skip
from green_edge.core.steps import Criterion, Measure, Prune

_MOST_HELD = 1_024
# Fewer held samples than this tell too little, and some that are learned from help out.
_LEAST_HELD = 128
_COLUMNS = 80
_NAME = 40
# Of the original's cost: what takes off less is not worth what it loses.
_LEAST_WORTH = 0.02


@dataclass(frozen=True, slots=True)
class GroupPlan:
    """What becomes of a group.

    Attributes:
        name: of the group.
        before: its units.
        kept: indices of those that stay, rising.
        rise: of the loss on held samples when this group alone is changed.
        saves: share of the original's cost that this group's change alone saves.
    """

    name: str
    before: int
    kept: tuple[int, ...]
    rise: float
    saves: float


@dataclass(frozen=True, slots=True)
class PrunePlan:
    """Channels that go.

    Attributes:
        criterion: that ranked the units of each group.
        measure: what the shares are of.
        wanted: share of the original's cost that may be left.
        before: share that the graph costs now.
        reached: share that is left.
        groups: all of them.
        skipped: layers whose channels stay, and why.
        notes: a sentence each.
    """

    criterion: Criterion
    measure: Measure
    wanted: float
    before: float
    reached: float
    groups: tuple[GroupPlan, ...]
    skipped: tuple[Skip, ...]
    notes: tuple[str, ...] = ()

    @property
    def kept(self) -> Mapping[str, tuple[int, ...]]:
        """Units that stay, of the groups that lose some."""
        return {each.name: each.kept for each in self.groups if len(each.kept) < each.before}

    def lines(self) -> tuple[str, ...]:
        """A table of the groups that change, for 80 columns."""
        changed = [each for each in self.groups if len(each.kept) < each.before]
        head = f"{'channels of':<{_NAME}} {'before':>6} {'after':>6} {'loss':>9} {'saves':>7}"
        rows = [
            f"{_short(each.name):<{_NAME}} {each.before:>6} {len(each.kept):>6} "
            f"{each.rise:>+9.4f} {each.saves:>7.1%}"
            for each in changed
        ]
        reached = (
            f"{self.measure}: {self.before:.1%} -> {self.reached:.1%} of the original"
            f" ({self.wanted:.1%} wanted), by {self.criterion}"
        )
        same = len(self.groups) - len(changed)
        kept = [f"{same} groups stay as they are"] if same and changed else []
        table = [head, *rows] if changed else ["no channels are removed"]
        notes = [line for note in self.notes for line in wrap(note, _COLUMNS)]
        return (*table, *kept, reached, *notes)


def plan(graph: Graph, step: Prune, scene: Scene) -> PrunePlan:
    """Decide which channels go.

    The criterion ranks the units of each group; the loss is measured with each group cut to several
    counts; then those counts are taken that raise the loss least at the price.

    Raises:
        ModelError: the model's loss or gradients are no finite numbers.
    """
    before = scene.prices.share(graph, graph.sizes, step.measure)
    if before <= step.keep:
        return _nothing(graph, step, before, "it costs no more than that already")
    if not graph.groups:
        why = "the model has no channels that can go: see the skipped layers"
        return _nothing(graph, step, before, why)
    scene.tell("ranking channels")
    scores = scores_of(graph, step.criterion, scene)
    orders = {name: np.argsort(-values, kind="stable") for name, values in scores.of.items()}
    curves = _curves(graph, step, scene, orders)
    scene.tell("choosing widths")
    widths = balanced(curves, lambda kept: scene.prices.share(graph, kept, step.measure), step.keep)
    if widths.share > max(step.keep, before - _LEAST_WORTH):
        why = (
            f"{step.keep:.1%} cannot be reached: channels cost next to nothing here, without most "
            f"of them {widths.share:.1%} would be left; so none is taken out"
        )
        return _nothing(graph, step, before, why)
    groups = tuple(
        GroupPlan(
            name=group.name,
            before=group.size,
            kept=tuple(sorted(int(unit) for unit in orders[group.name][:count])),
            rise=curve.rises[curve.counts.index(count)],
            saves=before - scene.prices.share(graph, _alone(graph, place, count), step.measure),
        )
        for place, (group, curve, count) in enumerate(
            zip(graph.groups, curves, widths.counts, strict=True)
        )
    )
    notes = (*scores.notes, *_missed(step, widths))
    return PrunePlan(
        step.criterion, step.measure, step.keep, before, widths.share, groups, graph.fixed, notes
    )


def apply(graph: Graph, plan: PrunePlan, scene: Scene) -> Graph:
    """A graph without the channels that the plan takes out."""
    scene.tell("removing channels")
    return remove(graph, plan.kept)


def _curves(
    graph: Graph,
    step: Prune,
    scene: Scene,
    orders: Mapping[str, Array],
) -> list[Curve]:
    measured = Sensitivity(copy(graph), _held(scene), scene.teacher)
    curves = []
    for place, group in enumerate(graph.groups):
        scene.tell(f"measuring {group.name}", place / len(graph.groups))
        counts = _counts(graph, place, step, scene)
        curves.append(measured.curve(group, orders[group.name], counts, step.guard))
    return curves


def _counts(graph: Graph, place: int, step: Prune, scene: Scene) -> Counts:
    """Counts that a group may be cut to."""
    group = graph.groups[place]
    least = min(group.size, max(1, math.ceil(step.least * group.size)))
    channels = _channels_of_a_unit(graph, place)
    if step.multiple is not None:
        return candidates(group.size, least, _units(step.multiple, channels), None)

    def price(count: int) -> float:
        return scene.prices.share(graph, _alone(graph, place, count), step.measure)

    return candidates(group.size, least, _units(scene.prices.multiple(), channels), price)


def _units(multiple: int, channels: int) -> int:
    """Units that make a multiple of channels."""
    return multiple // math.gcd(multiple, channels)


def _channels_of_a_unit(graph: Graph, place: int) -> int:
    """Channels that each unit is in the output of the first layer that makes it."""
    layer = graph.groups[place].makers()[0].layer
    widths = [node.width for node in graph.nodes if node.layer == layer]
    times = [times for width in widths for group, times in width.parts if group == place]
    return times[0] if times else 1


def _alone(graph: Graph, place: int, count: int) -> Counts:
    return (*graph.sizes[:place], count, *graph.sizes[place + 1 :])


def _held(scene: Scene) -> Samples:
    """Samples that tell the loss, without those that were learned from where there are enough."""
    if scene.held.n >= _LEAST_HELD:
        return scene.held.take(slice(0, _MOST_HELD))
    return _joined(scene.held, scene.train.take(slice(0, _LEAST_HELD)))


def _joined(one: Samples, other: Samples) -> Samples:
    labels = None
    if one.y is not None and other.y is not None:
        labels = np.concatenate([one.y, other.y])
    pairs = zip(one.x, other.x, strict=True)
    return Samples(tuple(np.concatenate(pair) for pair in pairs), labels)


def _missed(step: Prune, widths: Widths) -> Sequence[str]:
    if widths.share <= step.keep:
        return ()
    why = f"every group keeps {step.least:.0%} of its channels"
    if step.guard < 1:
        why += f" and loses none that raise the loss beyond the guard of {step.guard:g}"
    rest = "layers whose channels cannot go cost the rest"
    return (f"{step.keep:.1%} cannot be reached: {why}, and {rest}",)


def _nothing(graph: Graph, step: Prune, before: float, why: str) -> PrunePlan:
    groups = tuple(
        GroupPlan(group.name, group.size, tuple(range(group.size)), 0.0, 0.0)
        for group in graph.groups
    )
    return PrunePlan(
        step.criterion, step.measure, step.keep, before, before, groups, graph.fixed, (why,)
    )


def _short(name: str) -> str:
    return name if len(name) <= _NAME else "..." + name[3 - _NAME :]
