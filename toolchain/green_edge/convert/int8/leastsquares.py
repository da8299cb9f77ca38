"""Adaptive rounding in closed form: integers whose products stay closest to the real ones. Pure.

Optimal brain quantization with the column order fixed beforehand (Frantar et al. 2022, GPTQ):
column by column, the rounding error is made good by the columns that are still free, as far as
they vary together in the inputs.
"""

import numpy as np
from numpy.typing import NDArray

# Added to the diagonal. Frantar et al. (2022, section 3.3) take 1 % of its mean; of each own entry,
# channels that are small beside others keep their say.
DAMPING_RATIO = 0.01
_BLOCK = 128
_LIMIT = 127

Matrix = NDArray[np.float64]


def rounded(weights: Matrix, scales: Matrix, moments: Matrix) -> Matrix:
    """Round real weights to integers from -127 to 127.

    Args:
        weights: (rows, columns).
        scales: one a row.
        moments: (columns, columns), second moments of the inputs, up to a factor.

    Returns:
        Integers of the shape of `weights`: per row, the better one of this and rounding to nearest.
    """
    nearest = _nearest(weights, scales[:, None])
    seen = np.diag(moments) > 0
    if not seen.any():
        return nearest
    result = nearest.copy()
    result[:, seen] = _compensated(weights[:, seen], scales, moments[np.ix_(seen, seen)])
    better = error(weights, result, scales, moments) < error(weights, nearest, scales, moments)
    return np.where(better[:, None], result, nearest)


def error(weights: Matrix, integers: Matrix, scales: Matrix, moments: Matrix) -> Matrix:
    """Mean squared error of each row's products, in the unit of `moments`."""
    wrong = weights - integers * scales[:, None]
    total: Matrix = np.einsum("rc,rc->r", wrong @ moments, wrong)
    return total


def _compensated(weights: Matrix, scales: Matrix, moments: Matrix) -> Matrix:
    # The columns that matter most come first, while most others are free to make good.
    order = np.argsort(-np.diag(moments), kind="stable")
    work = weights[:, order].copy()
    ahead = _ahead(moments[np.ix_(order, order)])
    integers = np.empty_like(work)
    for start in range(0, work.shape[1], _BLOCK):
        end = min(start + _BLOCK, work.shape[1])
        wrongs = np.empty((len(work), end - start))
        for column in range(start, end):
            integers[:, column] = _nearest(work[:, column], scales)
            wrong = work[:, column] - integers[:, column] * scales
            wrongs[:, column - start] = wrong = wrong / ahead[column, column]
            work[:, column:end] -= np.outer(wrong, ahead[column, column:end])
        work[:, end:] -= wrongs @ ahead[start:end, end:]
    result = np.empty_like(integers)
    result[:, order] = integers
    return result


def _ahead(moments: Matrix) -> Matrix:
    """Upper Cholesky factor of the inverse: row i tells how columns after i make good for i."""
    damped = moments + np.diag(np.diag(moments)) * DAMPING_RATIO
    inverse = np.linalg.inv(damped)
    return np.linalg.cholesky((inverse + inverse.T) / 2).T.astype(np.float64)


def _nearest(weights: Matrix, scales: Matrix) -> Matrix:
    return np.clip(np.round(weights / scales), -_LIMIT, _LIMIT)
