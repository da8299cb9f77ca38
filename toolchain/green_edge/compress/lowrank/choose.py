"""Which layers are split, in which form, to which ranks: by the variance kept or by a budget."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from green_edge.compress.graph.values import Graph
from green_edge.compress.lowrank.factors import Ladder
from green_edge.compress.lowrank.layers import Choice, swapped
from green_edge.core.steps import Form

# Share of the original's cost that a graph has.
Price = Callable[[Graph], float]
# By layer and form.
Ladders = Mapping[str, Mapping[Form, Ladder]]

# Ranks tried for a budget along each side of a layer: a finer choice gains less than the error of
# the sensitivity that it goes by.
_RUNGS = 8


@dataclass(frozen=True, slots=True)
class Offer:
    """A way to split a layer.

    Attributes:
        kept: share of the layer's output variance.
        gain: by how much the model's share of the original's cost falls.
    """

    layer: str
    choice: Choice
    kept: float
    gain: float


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is split, and the shares of the original's cost.

    Attributes:
        offers: in the order of execution, at most one a layer.
        before: share before any of it.
        after: share after all of it.
        spared: layers that could be split and are not.
    """

    offers: tuple[Offer, ...]
    before: float
    after: float
    spared: frozenset[str] = frozenset()


def kept(ladder: Ladder, choice: Choice) -> float:
    """Share of the layer's output variance that a choice keeps."""
    return ladder.kept(ladder_ranks(ladder, choice))


def ladder_ranks(ladder: Ladder, choice: Choice) -> tuple[int, ...]:
    """Ranks as the ladder takes them: a spatial one keeps all outputs."""
    return (*choice.ranks, *ladder.full[len(choice.ranks) :])


def by_energy(graph: Graph, ladders: Ladders, energy: float, multiple: int, price: Price) -> Chosen:
    """Of each layer the cheapest split that keeps so much variance, where one is cheaper."""
    choices: dict[str, Choice] = {}
    offers: list[Offer] = []
    before = share = price(graph)
    for layer, by_form in ladders.items():
        found = [
            _offer(ladder, layer, choice, share - price(swapped(graph, {**choices, layer: choice})))
            for form, ladder in by_form.items()
            for choice in _least(ladder, form, energy, multiple)
        ]
        best = max(found, key=lambda offer: (offer.gain, offer.kept), default=None)
        if best is not None and best.gain > 0:
            choices[layer] = best.choice
            offers.append(best)
            share -= best.gain
    return Chosen(tuple(offers), before, share)


def offered(graph: Graph, ladders: Ladders, multiple: int, price: Price) -> tuple[Offer, ...]:
    """All splits that make the model cheaper, each taken alone."""
    before = price(graph)
    tried = (
        _offer(ladder, layer, choice, before - price(swapped(graph, {layer: choice})))
        for layer, by_form in ladders.items()
        for form, ladder in by_form.items()
        for choice in _grid(ladder, form, multiple)
    )
    return tuple(offer for offer in tried if offer.gain > 0)


def by_budget(
    graph: Graph,
    offers: Sequence[Offer],
    slopes: Mapping[str, float],
    budget: float,
    price: Price,
) -> Chosen:
    """The splits that bring the cost down to a share at the least harm, as far as they can.

    Harm is taken as the share of variance lost, times what the model's outputs suffer from it in
    that layer, and to add up over the layers; so are the gains, until the real price is asked.
    """
    harm = {offer: slopes[offer.layer] * (1 - offer.kept) for offer in offers}
    taken: dict[str, Offer] = {}
    before = share = price(graph)
    while share > budget:
        best = min(_steps(offers, taken, harm), default=None)
        if best is None:
            break
        offer = offers[best[1]]
        taken[offer.layer] = offer
        share = price(swapped(graph, _choices(taken)))
    if share <= budget:
        _ease(graph, taken, offers, harm, lambda eased: price(eased) <= budget)
    order = {node.layer: i for i, node in enumerate(graph.nodes)}
    final = tuple(sorted(taken.values(), key=lambda offer: order[offer.layer]))
    spared = frozenset(offer.layer for offer in offers) - taken.keys()
    return Chosen(final, before, price(swapped(graph, _choices(taken))), spared)


def _steps(
    offers: Sequence[Offer], taken: Mapping[str, Offer], harm: Mapping[Offer, float]
) -> Iterable[tuple[float, int]]:
    """Of each offer that is cheaper than what its layer has: harm for the gain, and its index."""
    for i, offer in enumerate(offers):
        now = taken.get(offer.layer)
        gain = offer.gain - (now.gain if now else 0.0)
        if gain > 0:
            yield (harm[offer] - (harm[now] if now else 0.0)) / gain, i


def _ease(
    graph: Graph,
    taken: dict[str, Offer],
    offers: Sequence[Offer],
    harm: Mapping[Offer, float],
    fits: Callable[[Graph], bool],
) -> None:
    """Give back what the last step took too much: the layer with the most harm first."""
    for layer, now in sorted(taken.items(), key=lambda item: -harm[item[1]]):
        others = [o for o in offers if o.layer == layer and harm[o] < harm[now]]
        rest = {name: offer.choice for name, offer in taken.items() if name != layer}
        if fits(swapped(graph, rest)):
            del taken[layer]
            continue
        for offer in sorted(others, key=lambda other: harm[other]):
            if fits(swapped(graph, rest | {layer: offer.choice})):
                taken[layer] = offer
                break


def _choices(taken: Mapping[str, Offer]) -> dict[str, Choice]:
    return {layer: offer.choice for layer, offer in taken.items()}


def _offer(ladder: Ladder, layer: str, choice: Choice, gain: float) -> Offer:
    return Offer(layer, choice, kept(ladder, choice), gain)


def _least(ladder: Ladder, form: Form, energy: float, multiple: int) -> list[Choice]:
    """The smallest ranks that keep so much variance: at the multiple, and exactly."""

    def enough(*ranks: int) -> bool:
        return kept(ladder, Choice(form, ranks)) >= energy

    full = ladder.full[0]
    if form != "channel":
        least = next((rank for rank in range(1, full) if enough(rank)), full)
        up = -(-least // multiple) * multiple
        return [Choice(form, (rank,)) for rank in {least, up} if rank < full]
    inner, outer = (_rungs(side, multiple) for side in ladder.full)
    corners = ((i, next((o for o in outer if enough(i, o)), None)) for i in inner)
    return [Choice(form, (i, o)) for i, o in corners if o is not None and (i, o) != ladder.full]


def _grid(ladder: Ladder, form: Form, multiple: int) -> list[Choice]:
    if form != "channel":
        ranks = _thinned(_rungs(ladder.full[0], multiple))
        return [Choice(form, (rank,)) for rank in ranks if rank < ladder.full[0]]
    inner, outer = (_thinned(_rungs(side, multiple)) for side in ladder.full)
    pairs = itertools.product(inner, outer)
    return [Choice(form, pair) for pair in pairs if pair != ladder.full]


def _rungs(full: int, multiple: int) -> list[int]:
    """Ranks from the least to the full one; every one where the full is below two multiples."""
    step = multiple if full >= 2 * multiple else 1
    return [*range(step, full, step), full]


def _thinned(rungs: Sequence[int]) -> list[int]:
    step = -(-len(rungs) // _RUNGS)
    return list(rungs[::-1][::step][::-1])
