"""The pass `low-rank`: layers split where it keeps the outputs and lowers the predicted cost."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from green_edge.compress.graph import rebuild
from green_edge.compress.graph.values import Graph, Node
from green_edge.compress.lowrank import choose
from green_edge.compress.lowrank.build import built, sensitivities
from green_edge.compress.lowrank.choose import Chosen, Ladders, Offer
from green_edge.compress.lowrank.factors import Factors, Ladder, Moments, dense_ladder, patch_ladder
from green_edge.compress.lowrank.inputs import MOST_VALUES, Seen, observe
from green_edge.compress.lowrank.layers import as_places, forms, place_order, refusal, window
from green_edge.compress.scene import Samples, Scene
from green_edge.core.report import Skip
from green_edge.core.steps import Form, LowRank
from green_edge_wire.errors import ConfigError

# Samples on which a budget's sensitivities are measured, and the share of variance that a trial
# keeps at most: less lost than a tenth drowns in the rounding of float32 in robust layers.
_TRIAL_SAMPLES = 256
_TRIAL_KEEPS = 0.9


@dataclass(frozen=True, slots=True)
class Split:
    """One layer that is split.

    Attributes:
        offer: in which form, to which ranks and what that gives.
        factors: the parts.
    """

    offer: Offer
    factors: Factors = field(repr=False)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is split.

    Attributes:
        splits: in the order of execution.
        skipped: layers with weights that are not, with the reason.
        measure: what the shares are of, of the original int8 model.
        before: share that the model had.
        reached: share that is left.
        budget: share that was asked for, where one was.
        notes: what else there is to know.
    """

    splits: tuple[Split, ...]
    skipped: tuple[Skip, ...]
    measure: str
    before: float
    reached: float
    budget: float | None = None
    notes: tuple[str, ...] = ()

    def lines(self) -> tuple[str, ...]:
        """The plan at 80 columns."""
        head = f"{'layer':<28} {'form':<10} {'rank':>8} {'variance':>9} {'gain':>8}"
        rows = [_row(split.offer) for split in self.splits]
        table = [head, *rows] if rows else ["no layer is split"]
        shares = f"predicted {self.measure}: {self.before:.1%} -> {self.reached:.1%} of plain int8"
        missed: tuple[str, ...] = ()
        if self.budget is not None and self.reached > self.budget:
            missed = (f"the budget of {self.budget:.1%} is out of reach of low rank alone",)
        return (*table, shares, *missed, *self.notes)


def plan(graph: Graph, step: LowRank, scene: Scene) -> Plan:
    """Decide which layers are split, how, and to which ranks.

    Raises:
        ConfigError: a layer named that the model does not have.
    """
    _check_names(graph, step)
    nodes, refused = _candidates(graph, step)
    scene.tell("looking at the inputs of the layers")
    seen, notes = _seen(graph, nodes, step, scene)
    ladders = {
        name: {form: _ladder(graph, node, form, seen.get(name)) for form in _allowed(node, step)}
        for name, node in nodes.items()
    }
    scene.tell("choosing ranks")
    chosen = _chosen(graph, nodes, ladders, step, scene)
    splits = tuple(Split(offer, _factors(ladders, offer)) for offer in chosen.offers)
    done = {offer.layer for offer in chosen.offers}
    skipped = [Skip(name, _dear(step, name in chosen.spared)) for name in nodes if name not in done]
    order = {node.layer: i for i, node in enumerate(graph.nodes)}
    return Plan(
        splits,
        tuple(sorted([*refused, *skipped], key=lambda skip: order[skip.layer])),
        step.measure,
        chosen.before,
        chosen.after,
        step.keep,
        notes,
    )


def apply(graph: Graph, plan: Plan, scene: Scene) -> Graph:
    """Put thinner layers in the place of those of the plan."""
    scene.tell("splitting layers")
    if not plan.splits:
        return rebuild.copy(graph)
    nodes = {node.layer: node for node in graph.nodes}
    return rebuild.replaced(
        graph,
        {
            split.offer.layer: built(
                graph, nodes[split.offer.layer], split.offer.choice, split.factors
            )
            for split in plan.splits
        },
    )


def _check_names(graph: Graph, step: LowRank) -> None:
    known = {node.layer for node in graph.nodes}
    for name in step.layers:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise ConfigError(
                f"the model has no layer {name!r}",
                place="low-rank.layers",
                hint=f"did you mean {near[0]!r}?"
                if near
                else "green-edge inspect lists the layers",
            )


def _candidates(graph: Graph, step: LowRank) -> tuple[dict[str, Node], list[Skip]]:
    """Layers that can be split by name, and those with weights that cannot, with the reason."""
    nodes: dict[str, Node] = {}
    refused = []
    tied = {tie.layer for tie in graph.ties}
    weighted = {layer.name: layer for layer in graph.model.layers if _has_matrix(layer)}
    for node in graph.nodes:
        layer = weighted.pop(node.layer, None)
        if layer is None or (step.layers and node.layer not in step.layers):
            continue
        reason = refusal(node)
        if reason is None and type(layer) is not getattr(keras.layers, node.kind):
            reason = f"a {node.kind} of another package"
        if reason is None and node.layer in tied:
            reason = "its zeros or shared values would be lost in the parts"
        if reason is None and not _allowed(node, step):
            reason = f"takes the form {' or '.join(forms(node))}, which the recipe leaves out"
        if reason is None:
            nodes[node.layer] = node
        else:
            refused.append(Skip(node.layer, reason))
    return nodes, refused


def _has_matrix(layer: Any) -> bool:
    return any(len(variable.shape) > 1 for variable in layer.weights)


def _allowed(node: Node, step: LowRank) -> tuple[Form, ...]:
    return tuple(form for form in forms(node) if form in step.forms)


def _seen(
    graph: Graph, nodes: Mapping[str, Node], step: LowRank, scene: Scene
) -> tuple[dict[str, Seen], tuple[str, ...]]:
    if not step.data_aware:
        return {}, ("errors are weighed alike for all inputs",)
    wide = [
        name
        for name in nodes
        if _kernel(graph, name)[..., 0].size > MOST_VALUES and np.prod(window(nodes[name])) > 1
    ]
    seen = observe(graph, nodes.keys() - set(wide), scene.train, scene.seed)
    return seen, tuple(
        f"{name[:28]}: too wide for a covariance, all inputs weigh alike" for name in wide
    )


def _kernel(graph: Graph, name: str) -> Any:
    layer = graph.model.get_layer(name)
    separable = hasattr(layer, "pointwise_kernel")
    return np.asarray(layer.pointwise_kernel if separable else layer.kernel)


def _ladder(graph: Graph, node: Node, form: Form, seen: Seen | None) -> Ladder:
    kernel = _kernel(graph, node.layer)
    if form in {"dense", "pointwise"}:
        flat = kernel.reshape(kernel.shape[-2:])
        if seen is None:
            return dense_ladder(flat, None, 0.0)
        return dense_ladder(flat, seen.moments, seen.input_variance)
    moments = None
    if seen is not None:
        order = place_order(node, form, kernel.shape[-2])
        whole = seen.moments
        moments = Moments(whole.mean[order], whole.covariance[np.ix_(order, order)])
    return patch_ladder(as_places(kernel, node, form), moments)


def _chosen(
    graph: Graph, nodes: Mapping[str, Node], ladders: Ladders, step: LowRank, scene: Scene
) -> Chosen:
    multiple = scene.prices.multiple()

    def price(priced: Graph) -> float:
        return scene.prices.share(priced, priced.sizes, step.measure)

    if step.keep is None:
        return choose.by_energy(graph, ladders, step.energy, multiple, price)
    offers = choose.offered(graph, ladders, multiple, price)
    trials = {}
    for layer in dict.fromkeys(offer.layer for offer in offers):
        mine = [offer for offer in offers if offer.layer == layer]
        offer = max(mine, key=lambda one: (one.kept <= _TRIAL_KEEPS, -abs(one.kept - _TRIAL_KEEPS)))
        layers = built(graph, nodes[layer], offer.choice, _factors(ladders, offer))
        trials[layer] = (layers, max(1 - offer.kept, float(np.finfo(np.float32).eps)))
    slopes = sensitivities(graph, trials, _few(scene))
    return choose.by_budget(graph, offers, slopes, step.keep, price)


def _factors(ladders: Ladders, offer: Offer) -> Factors:
    ladder = ladders[offer.layer][offer.choice.form]
    return ladder.factors(choose.ladder_ranks(ladder, offer.choice))


def _few(scene: Scene) -> Samples:
    """Samples for trials; of those held back where there are any."""
    samples = scene.held if scene.held.n else scene.train
    rows = np.random.default_rng(scene.seed).permutation(samples.n)[:_TRIAL_SAMPLES]
    return samples.take(np.sort(rows))


def _dear(step: LowRank, spared: bool) -> str:
    if spared:
        return "left whole: the budget is met at less harm elsewhere"
    if step.keep is not None:
        return "no rank is cheaper"
    return f"no rank that keeps {step.energy:.0%} of its variance is cheaper"


def _row(offer: Offer) -> str:
    ranks = " x ".join(map(str, offer.choice.ranks))
    return (
        f"{offer.layer[:28]:<28} {offer.choice.form:<10} {ranks:>8} {offer.kept:>9.1%} "
        f"{offer.gain:>8.2%}"
    )
