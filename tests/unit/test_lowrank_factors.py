"""Approximations of kernels: what they lose is what the theory says."""

import numpy as np
import pytest

from green_edge.compress.lowrank.factors import Moments, dense_ladder, patch_ladder, product

RNG = np.random.default_rng(5)


def moments(x: np.ndarray) -> Moments:
    centred = x - x.mean(axis=0)
    return Moments(x.mean(axis=0), centred.T @ centred / len(x))


def correlated(n: int, size: int) -> np.ndarray:
    return RNG.normal(size=(n, size)) @ RNG.normal(size=(size, size)) + RNG.normal(size=size)


def lost_on(x: np.ndarray, kernel: np.ndarray, approximation: np.ndarray) -> float:
    """Share of the variance of the outputs that is lost on samples."""
    whole = x @ kernel
    return float(((x @ (kernel - approximation)).var(axis=0)).sum() / whole.var(axis=0).sum())


def test_without_samples_a_dense_kernel_loses_the_squares_of_the_dropped_singular_values() -> None:
    kernel = RNG.normal(size=(12, 7))
    values = np.linalg.svd(kernel, compute_uv=False)
    ladder = dense_ladder(kernel, None, 0.0)
    for rank in range(1, 8):
        error = np.sum((kernel - product(ladder.factors((rank,)))[0]) ** 2)
        assert error == pytest.approx(np.sum(values[rank:] ** 2), abs=1e-9)
        kept = 1 - np.sum(values[rank:] ** 2) / np.sum(values**2)
        assert ladder.kept((rank,)) == pytest.approx(kept)


def test_on_samples_a_dense_kernel_loses_what_it_says_and_less_than_plain_svd() -> None:
    x, kernel = correlated(4000, 20), RNG.normal(size=(20, 9))
    ladder = dense_ladder(kernel, moments(x @ kernel), x.var(axis=0).mean())
    plain = dense_ladder(kernel, None, 0.0)
    for rank in (2, 4, 6):
        lost = lost_on(x, kernel, product(ladder.factors((rank,)))[0])
        assert lost == pytest.approx(1 - ladder.kept((rank,)), abs=2e-3)
        assert lost < lost_on(x, kernel, product(plain.factors((rank,)))[0])


def test_full_rank_gives_the_kernel_back() -> None:
    x, wide = correlated(500, 6), RNG.normal(size=(6, 15))
    ladder = dense_ladder(wide, moments(x @ wide), 1.0)
    assert ladder.full == (6,)
    np.testing.assert_allclose(product(ladder.factors((6,)))[0], wide, atol=1e-6)
    kernel = RNG.normal(size=(9, 5, 8))
    patches = patch_ladder(kernel, moments(correlated(900, 45)))
    for ranks in ((5, 8),):
        parts = patches.factors(ranks)
        assert parts.project is None
        assert parts.expand is None
        np.testing.assert_array_equal(product(parts), kernel)


@pytest.mark.parametrize("ranks", [(1, 8), (3, 8), (5, 2), (4, 6), (2, 3)])
def test_a_kernel_of_several_places_loses_what_its_table_says(ranks: tuple[int, int]) -> None:
    places, inputs, outputs = 9, 5, 8
    x = correlated(6000, places * inputs)
    kernel = RNG.normal(size=(places, inputs, outputs))
    ladder = patch_ladder(kernel, moments(x))
    small = product(ladder.factors(ranks))
    assert small.shape == kernel.shape
    lost = lost_on(x, kernel.reshape(-1, outputs), small.reshape(-1, outputs))
    assert lost == pytest.approx(1 - ladder.kept(ranks), rel=0.03)


def test_the_core_is_the_best_for_its_projection() -> None:
    x = correlated(3000, 12)
    kernel = RNG.normal(size=(3, 4, 6))
    parts = patch_ladder(kernel, moments(x)).factors((2, 6))
    assert parts.project is not None
    seen = (x.reshape(-1, 3, 4) @ parts.project).reshape(-1, 6)
    seen, wanted = seen - seen.mean(axis=0), x @ kernel.reshape(12, 6)
    best, *_ = np.linalg.lstsq(seen, wanted - wanted.mean(axis=0), rcond=None)
    np.testing.assert_allclose(parts.core.reshape(6, 6), best, atol=0.02 * np.abs(best).max())


def test_without_samples_a_spatial_kernel_loses_the_squares_of_the_dropped_singular_values() -> (
    None
):
    kernel = RNG.normal(size=(3, 12, 8))
    values = np.linalg.svd(kernel.transpose(1, 0, 2).reshape(12, 24), compute_uv=False)
    ladder = patch_ladder(kernel, None)
    for rank in (1, 5, 9):
        error = np.sum((kernel - product(ladder.factors((rank, 8)))) ** 2)
        assert error == pytest.approx(np.sum(values[rank:] ** 2), rel=5e-3)


def test_the_mean_output_stays_where_it_was() -> None:
    x, kernel = correlated(2000, 12), RNG.normal(size=(3, 4, 6))
    parts = patch_ladder(kernel, moments(x)).factors((2, 3))
    before = (x @ kernel.reshape(12, 6)).mean(axis=0)
    after = (x @ product(parts).reshape(12, 6)).mean(axis=0) + parts.shift
    np.testing.assert_allclose(after, before)
    flat = RNG.normal(size=(12, 6))
    dense = dense_ladder(flat, moments(x @ flat), 1.0).factors((2,))
    np.testing.assert_allclose(
        (x @ product(dense)[0]).mean(axis=0) + dense.shift, (x @ flat).mean(axis=0)
    )


def test_channels_between_the_parts_vary_alike() -> None:
    x, kernel = correlated(3000, 12), RNG.normal(size=(12, 9))
    parts = dense_ladder(kernel, moments(x @ kernel), 1e-9).factors((5,))
    np.testing.assert_allclose((x @ parts.project).var(axis=0), 1, rtol=1e-3)
    places = RNG.normal(size=(3, 4, 6))
    parts = patch_ladder(places, moments(x)).factors((4, 3))
    np.testing.assert_allclose((x @ parts.core.reshape(12, 3)).var(axis=0), 1, rtol=0.02)


def test_inputs_that_never_vary_break_nothing() -> None:
    x = correlated(100, 12)
    x[:, 3:] = 0
    for ladder, ranks in (
        (patch_ladder(RNG.normal(size=(3, 4, 6)), moments(x)), (2, 3)),
        (patch_ladder(np.zeros((3, 4, 6)), moments(np.zeros((5, 12)))), (2, 3)),
        (dense_ladder(np.zeros((4, 6)), moments(np.zeros((5, 6))), 0.0), (2,)),
    ):
        assert 0 <= ladder.kept(ranks) <= 1 + 1e-9
        assert np.isfinite(product(ladder.factors(ranks))).all()
