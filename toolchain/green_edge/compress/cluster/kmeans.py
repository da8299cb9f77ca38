"""K-means in one dimension, without chance: exact on few values, refined on many."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# More distinct values than these, or than so many a cluster, are first put together with their
# neighbours.
_MOST_EXACT, _A_CLUSTER = 256, 4
_MOST_ROUNDS = 100


def quantized(values: Array, count: int) -> Array:
    """Values each replaced by the mean of its cluster.

    The clusters have the least squared error by dynamic programming (Wang and Song 2011), over the
    distinct values where they are few, else over groups of neighbours, followed by Lloyd's rounds.

    Args:
        values: of any shape.
        count: of clusters, at least 1; fewer come of fewer distinct values.

    Returns:
        An array of the shape and type of `values`.
    """
    distinct, inverse, weights = np.unique(values, return_inverse=True, return_counts=True)
    if len(distinct) <= count:
        return values.copy()
    points = distinct.astype(np.float64)
    starts = _grouped(weights, max(_MOST_EXACT, _A_CLUSTER * count))
    sums = _Sums(points, weights)
    starts = starts[_best_starts(sums, starts, count)]
    if len(starts) < len(points):
        starts = _refined(points, sums, starts)
    cluster = np.searchsorted(starts, np.arange(len(points)), side="right") - 1
    means = sums.means(starts).astype(values.dtype)
    return np.asarray(means[cluster][inverse].reshape(values.shape))


class _Sums:
    """Sums over runs of sorted points."""

    def __init__(self, points: Array, weights: Array) -> None:
        # About the mean, so that differences of large sums lose nothing.
        self._middle = float(np.average(points, weights=weights))
        moved = points - self._middle
        self._n = np.concatenate(([0.0], np.cumsum(weights, dtype=np.float64)))
        self._sum = np.concatenate(([0.0], np.cumsum(weights * moved)))
        self._square = np.concatenate(([0.0], np.cumsum(weights * moved**2)))

    def errors(self, starts: Array) -> Array:
        """Squared error about their mean of the points from each start to before each end.

        Returns:
            Of (start, end); ends are the starts that follow and the end of all. Infinite where the
            end is not after the start.
        """
        ends = np.append(starts[1:], len(self._n) - 1)
        n = self._n[ends][None] - self._n[starts][:, None]
        total = self._sum[ends][None] - self._sum[starts][:, None]
        square = self._square[ends][None] - self._square[starts][:, None]
        found = square - total**2 / np.where(n > 0, n, 1)
        return np.asarray(np.where(n > 0, np.maximum(found, 0), np.inf))

    def means(self, starts: Array) -> Array:
        """Mean of the points from each start to before the next."""
        ends = np.append(starts[1:], len(self._n) - 1)
        total = self._sum[ends] - self._sum[starts]
        return np.asarray(total / (self._n[ends] - self._n[starts]) + self._middle)


def _grouped(weights: Array, most: int) -> Array:
    """First points of at most so many runs of about equal weight."""
    if len(weights) <= most:
        return np.arange(len(weights))
    reached = np.cumsum(weights) - weights
    edges = np.arange(most) * (weights.sum() / most)
    return np.unique(np.searchsorted(reached, edges, side="left").clip(max=len(weights) - 1))


def _best_starts(sums: _Sums, starts: Array, count: int) -> Array:
    """Which of the starts begin the clusters with the least squared error."""
    errors = sums.errors(starts)
    count = min(count, len(starts))
    least = errors[0]
    choices: list[Array] = []
    for _ in range(1, count):
        # One cluster more: it goes from `start` to `end`, and those before end at `start`.
        total = np.concatenate(([np.inf], least[:-1]))[:, None] + errors
        choices.append(np.argmin(total, axis=0))
        least = total.min(axis=0)
    found = []
    end = len(starts) - 1
    for choice in reversed(choices):
        found.append(int(choice[end]))
        end = found[-1] - 1
    return np.array([0, *reversed(found)])


def _refined(points: Array, sums: _Sums, starts: Array) -> Array:
    """Starts of clusters after Lloyd's rounds, in which every point goes to the nearest mean."""
    for _ in range(_MOST_ROUNDS):
        means = sums.means(starts)
        moved = np.unique(np.searchsorted(points, (means[1:] + means[:-1]) / 2, side="right"))
        moved = np.concatenate(([0], moved[(moved > 0) & (moved < len(points))]))
        if np.array_equal(moved, starts):
            break
        starts = moved
    return starts
