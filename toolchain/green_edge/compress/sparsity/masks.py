"""Which weights stay: the largest by magnitude."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from green_edge.core.steps import Pattern

Array = NDArray[Any]

_BLOCK = 4
# Weights that may stay in every four.
_LEFT: dict[Pattern, int] = {"2:4": 2, "1:4": 1}


def mask(rows: Array, pattern: Pattern, sparsity: float) -> NDArray[np.bool_]:
    """Weights that stay.

    Args:
        rows: the weights, a row for each output channel.
        pattern: where the zeros may be.
        sparsity: share of zeros of the unstructured pattern; zeros that are there count.

    Returns:
        True for each weight that stays, in the shape of `rows`.
    """
    if pattern == "unstructured":
        count = round(sparsity * rows.size)
        return _largest(rows.reshape(1, -1), rows.size - count).reshape(rows.shape)
    outputs, inputs = rows.shape
    padded = np.pad(rows, ((0, 0), (0, -inputs % _BLOCK)))
    kept = _largest(padded.reshape(-1, _BLOCK), _LEFT[pattern])
    return kept.reshape(outputs, -1)[:, :inputs]


def _largest(rows: Array, count: int) -> NDArray[np.bool_]:
    """The so many largest of each row by magnitude; the first of equals."""
    order = np.argsort(-np.abs(rows), axis=1, kind="stable")
    kept = np.zeros(rows.shape, np.bool_)
    np.put_along_axis(kept, order[:, :count], values=True, axis=1)
    return kept
