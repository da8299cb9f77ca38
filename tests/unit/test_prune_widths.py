"""Widths of the groups: the least rise of the loss at a price."""

import itertools

import numpy as np
import pytest

from green_edge.compress.prune.widths import Counts, Curve, balanced, candidates, search


def tiles(counts: Counts) -> float:
    """A price by whole tiles of 8, of each group's product with the next."""
    up = [8 * -(-count // 8) for count in counts]
    return sum(a * b for a, b in itertools.pairwise([8, *up, 8])) / 1000


def random_curves(groups: int, seed: int) -> list[Curve]:
    draw = np.random.default_rng(seed)
    return [
        Curve((8, 16, 24, 32), (*sorted(draw.random(3), reverse=True), 0.0)) for _ in range(groups)
    ]


def best_of_all(curves: list[Curve], share: float) -> float:
    every = itertools.product(*(zip(curve.counts, curve.rises, strict=True) for curve in curves))
    met = [way for way in every if tiles(tuple(count for count, _ in way)) <= share]
    return min(sum(rise for _, rise in way) for way in met)


def test_multiples_are_offered_and_all_units_too() -> None:
    assert candidates(20, 3, 8, None) == (8, 16, 20)


def test_a_group_smaller_than_the_multiple_may_go_where_the_price_steps() -> None:
    offered = candidates(6, 1, 8, lambda count: -(-count // 2))
    assert offered == (2, 4, 6)


def test_a_group_smaller_than_the_multiple_goes_by_halves_of_it_where_the_price_is_even() -> None:
    assert candidates(16, 2, 16, float) == (8, 16)
    assert candidates(16, 2, 16, None) == (16,)


def test_a_price_that_does_not_change_offers_no_more_than_the_multiples() -> None:
    assert candidates(20, 1, 8, lambda _: 1.0) == (8, 16, 20)


def test_many_counts_are_thinned_and_keep_their_ends() -> None:
    offered = candidates(500, 10, 1, None)
    assert len(offered) == 24
    assert (offered[0], offered[-1]) == (10, 500)


@pytest.mark.parametrize("seed", range(3))
def test_few_groups_get_the_best_widths_there_are(seed: int) -> None:
    curves = random_curves(5, seed)
    found = search(curves, tiles, 2.0)
    assert found.share <= 2.0
    assert found.rise == pytest.approx(best_of_all(curves, 2.0))


@pytest.mark.parametrize("seed", range(6))
def test_many_groups_get_widths_near_the_best(seed: int) -> None:
    curves = random_curves(7, seed)
    found = search(curves, tiles, 2.5)
    assert found.share <= 2.5
    assert found.rise <= best_of_all(curves, 2.5) * 1.1


def test_a_price_that_cannot_be_met_gives_the_cheapest_widths() -> None:
    found = search(random_curves(7, 1), tiles, 0.01)
    assert found.counts == (8,) * 7
    assert found.share == tiles((8,) * 7)


def test_a_group_that_costs_more_for_the_same_loss_gives_way() -> None:
    rises = (0.5, 0.0)
    curves = [Curve((8, 16), rises), Curve((8, 16), rises)]
    found = search(curves, lambda counts: (3 * counts[0] + counts[1]) / 64, 0.7)
    assert found.counts == (8, 16)


def test_no_group_is_ruined_where_all_can_be_cut_a_little() -> None:
    ruined = Curve((2, 10, 16), (0.5, 0.45, 0.0))
    cut = Curve((2, 10, 16), (1.5, 0.5, 0.0))

    def price(counts: Counts) -> float:
        return sum(counts) / 32

    assert search([ruined, cut], price, 0.65).counts == (2, 16)
    assert balanced([ruined, cut], price, 0.65).counts == (10, 10)


def test_groups_are_cut_deeper_where_the_price_cannot_be_met_otherwise() -> None:
    curves = [Curve((2, 16), (1.0, 0.0)), Curve((16,), (0.0,))]
    found = balanced(curves, lambda counts: sum(counts) / 32, 0.6)
    assert found.counts == (2, 16)
