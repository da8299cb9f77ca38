"""One-dimensional k-means: exact on few values, no worse than linear starts on many."""

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from green_edge.compress.cluster.kmeans import quantized


def _error(before: NDArray[np.float32], after: NDArray[np.float32]) -> float:
    return float(np.sum((before.astype(np.float64) - after) ** 2))


def _least_error(values: NDArray[np.float32], count: int) -> float:
    """By all ways of cutting the sorted values."""
    ordered = np.sort(values).astype(np.float64)
    return min(
        sum(float(np.var(part) * len(part)) for part in np.split(ordered, cuts))
        for cuts in combinations(range(1, len(ordered)), count - 1)
    )


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", range(4))
def test_clusters_of_few_values_have_the_least_error_of_all(count: int, seed: int) -> None:
    values = np.random.default_rng(seed).standard_t(3, size=13).astype(np.float32)
    made = quantized(values, count)
    assert len(np.unique(made)) == count
    assert _error(values, made) == pytest.approx(_least_error(values, count), rel=1e-5)


def _lloyd_from_a_grid(values: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    means = np.linspace(values.min(), values.max(), count)
    for _ in range(200):
        nearest = np.abs(values[:, None] - means).argmin(axis=1)
        means = np.array(
            [
                values[nearest == k].mean() if (nearest == k).any() else means[k]
                for k in range(count)
            ]
        )
    nearest = np.abs(values[:, None] - means).argmin(axis=1)
    return np.asarray(means[nearest], np.float32)


def test_clusters_of_many_values_are_no_worse_than_lloyds_from_a_grid() -> None:
    values = np.random.default_rng(0).standard_t(4, size=5000).astype(np.float32)
    made = quantized(values, 16)
    assert len(np.unique(made)) == 16
    assert _error(values, made) <= 1.001 * _error(values, _lloyd_from_a_grid(values, 16))


def test_as_many_clusters_as_are_asked_for_are_made_of_many_values() -> None:
    values = np.random.default_rng(3).normal(size=3_000).astype(np.float32)
    assert len(np.unique(quantized(values, 100))) == 100


def test_each_value_goes_to_the_nearest_of_the_new_ones() -> None:
    values = np.random.default_rng(1).normal(size=3000).astype(np.float32)
    made = quantized(values, 8)
    levels = np.unique(made)
    nearest = levels[np.abs(values[:, None] - levels).argmin(axis=1)]
    assert np.mean(nearest == made) > 0.999


def test_values_that_are_few_enough_stay_as_they_are() -> None:
    values = np.array([[0.5, -1.0], [0.5, 2.0]], np.float32)
    assert np.array_equal(quantized(values, 3), values)


def test_shape_and_type_stay_and_the_same_values_give_the_same_clusters() -> None:
    values = np.random.default_rng(5).normal(size=(3, 3, 40, 10)).astype(np.float32)
    made = quantized(values, 5)
    assert made.shape == values.shape
    assert made.dtype == np.float32
    assert np.array_equal(made, quantized(values, 5))


def test_repeated_values_weigh_as_often_as_they_occur() -> None:
    values = np.array([0.0] * 98 + [1.0, 1.1], np.float32)
    assert np.allclose(np.unique(quantized(values, 2)), [0.0, 1.05])
