"""Which layers are split and to which ranks, by a price of multiplications."""

import numpy as np
import pytest

from green_edge.compress.graph.values import Graph, Node, Width
from green_edge.compress.lowrank.choose import Ladders, by_budget, by_energy, offered
from green_edge.compress.lowrank.factors import dense_ladder, patch_ladder
from green_edge.compress.lowrank.layers import Choice
from support.mac_prices import MacPrices

RNG = np.random.default_rng(3)


def dense(name: str, units: int, source: int) -> Node:
    config = {"name": name, "units": units, "activation": "linear"}
    return Node(name, "Dense", config, (source,), (units,), Width(units))


def of_rank(inputs: int, outputs: int, rank: int) -> np.ndarray:
    noise = 1e-4 * RNG.normal(size=(inputs, outputs))
    return RNG.normal(size=(inputs, rank)) @ RNG.normal(size=(rank, outputs)) + noise


GRAPH = Graph(
    None,
    (dense("a", 64, -1), dense("b", 64, 0), dense("c", 10, 1)),
    ((64,),),
    (2,),
    (),
    (),
)
LADDERS: Ladders = {
    "a": {"dense": dense_ladder(of_rank(64, 64, 6), None, 0)},
    "b": {"dense": dense_ladder(RNG.normal(size=(64, 64)), None, 0)},
    "c": {"dense": dense_ladder(RNG.normal(size=(64, 10)), None, 0)},
}


def price(graph: Graph) -> float:
    return MacPrices(GRAPH).share(graph, (), "macs")


def stepped(graph: Graph) -> float:
    """Kernels that take channels eight at a time."""
    total = sum(
        -(-(node.width.fixed) // 8) * 8 * (64 if i == 0 else graph.nodes[i - 1].width.fixed)
        for i, node in enumerate(graph.nodes)
    )
    return total / (64 * 64 * 2 + 64 * 16)


def test_only_layers_that_get_cheaper_are_split_by_energy() -> None:
    chosen = by_energy(GRAPH, LADDERS, 0.999, 1, price)
    (offer,) = chosen.offers
    assert (offer.layer, offer.choice) == ("a", Choice("dense", (6,)))
    assert offer.kept > 0.999
    assert chosen.after == pytest.approx(chosen.before - offer.gain)
    assert chosen.after == pytest.approx(price(GRAPH) - (64 * 64 - 2 * 6 * 64) / (64 * 138))


def test_ranks_go_up_to_the_multiple_where_that_costs_no_more() -> None:
    (offer,) = by_energy(GRAPH, LADDERS, 0.999, 8, stepped).offers
    assert offer.choice.ranks in {(6,), (8,)}
    assert stepped_gain(offer.choice.ranks[0]) == max(stepped_gain(6), stepped_gain(8))


def stepped_gain(rank: int) -> float:
    from green_edge.compress.lowrank.layers import swapped  # noqa: PLC0415 - one use

    return stepped(GRAPH) - stepped(swapped(GRAPH, {"a": Choice("dense", (rank,))}))


def test_a_budget_is_met_where_it_harms_least() -> None:
    offers = offered(GRAPH, LADDERS, 4, price)
    assert all(offer.gain > 0 for offer in offers)
    chosen = by_budget(GRAPH, offers, dict.fromkeys("abc", 1.0), 0.7, price)
    assert [offer.layer for offer in chosen.offers] == ["a"]
    assert chosen.after <= 0.7
    assert chosen.offers[0].kept > 0.999


def test_a_sensitive_layer_is_spared() -> None:
    offers = offered(GRAPH, LADDERS, 4, price)
    chosen = by_budget(GRAPH, offers, {"a": 1e9, "b": 1e-3, "c": 1.0}, 0.7, price)
    assert [offer.layer for offer in chosen.offers] == ["b"]


def test_more_is_not_taken_than_the_budget_asks() -> None:
    offers = offered(GRAPH, LADDERS, 4, price)
    slopes = {"a": 0.0, "b": 1.0, "c": 1.0}
    after = [by_budget(GRAPH, offers, slopes, keep, price).after for keep in (0.9, 0.6, 0.4, 0.3)]
    assert all(share <= keep for share, keep in zip(after, (0.9, 0.6, 0.4, 0.3), strict=True))
    assert after == sorted(after, reverse=True)


def test_a_budget_out_of_reach_is_come_as_near_to_as_can_be() -> None:
    offers = offered(GRAPH, LADDERS, 4, price)
    chosen = by_budget(GRAPH, offers, dict.fromkeys("abc", 1.0), 0.01, price)
    assert chosen.after > 0.01
    assert len(chosen.offers) == 3
    assert {offer.choice.ranks for offer in chosen.offers[:2]} == {(8,)}


def test_of_two_forms_the_cheaper_is_taken() -> None:
    config = {
        "name": "conv",
        "filters": 16,
        "kernel_size": (3, 3),
        "strides": (1, 1),
        "dilation_rate": (1, 1),
    }
    conv = Node("conv", "Conv2D", config, (-1,), (8, 8, 16), Width(16))
    graph = Graph(None, (conv,), ((8, 8, 16),), (0,), (), ())
    column = np.einsum("hir,wro->whio", RNG.normal(size=(3, 16, 4)), RNG.normal(size=(3, 4, 16)))
    ladders: Ladders = {
        "conv": {
            "spatial": patch_ladder(column.reshape(3, 48, 16), None),
            "channel": patch_ladder(column.swapaxes(0, 1).reshape(9, 16, 16), None),
        }
    }
    prices = MacPrices(graph)
    chosen = by_energy(graph, ladders, 0.99, 4, lambda priced: prices.share(priced, (), "macs"))
    (offer,) = chosen.offers
    assert (offer.choice.form, offer.choice.ranks) == ("spatial", (4,))
