"""Covariance of what a layer sees, gathered sample by sample."""

import numpy as np
from numpy.typing import NDArray

# A column whose variance is this small beside its mean square is constant but for rounding.
_CONSTANT_RATIO = 1e-9


class Covariance:
    """Of columns (positions, groups, columns), one matrix a group.

    Values are taken relative to the first sample's mean, so that a large mean costs no digits.

    Args:
        groups: how many matrices.
        size: columns of each.
    """

    def __init__(self, groups: int, size: int) -> None:
        self._products = np.zeros((groups, size, size))
        self._sums = np.zeros((groups, 1, size))
        self._origin: NDArray[np.float64] | None = None
        self._count = 0

    def add(self, columns: NDArray[np.float32]) -> None:
        """Take one more sample's columns."""
        grouped = columns.transpose(1, 0, 2).astype(np.float64)
        if self._origin is None:
            self._origin = grouped.mean(axis=1, keepdims=True)
        grouped -= self._origin
        self._products += grouped.transpose(0, 2, 1) @ grouped
        self._sums += grouped.sum(axis=1, keepdims=True)
        self._count += len(columns)

    def result(self) -> NDArray[np.float64]:
        """(groups, columns, columns); zero in rows and columns of what does not vary."""
        if self._origin is None:
            return self._products
        means = self._sums / self._count
        found = self._products / self._count - means.transpose(0, 2, 1) @ means
        squares = np.square(self._origin + means)[:, 0]
        varies = np.diagonal(found, axis1=1, axis2=2) > _CONSTANT_RATIO * squares
        both: NDArray[np.bool_] = varies[:, :, None] & varies[:, None, :]
        return np.where(both, found, 0.0)
