"""Ridge least squares from sums over batches, so that memory does not grow with the samples. Pure.

Wanted is a change D of the weights and c of the bias with X D + c near R, where R is what the
weights there are leave unexplained. The ridge draws D to zero: towards the weights there are, not
towards none.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """What is added to the weights and to the bias.

    Attributes:
        weights: (groups, columns, outputs of a group).
        bias: (groups, outputs of a group); zeros where there is no bias.
    """

    weights: Floats
    bias: Floats


class Sums:
    """Products of a layer's inputs with themselves and with what is unexplained.

    Args:
        groups: of a grouped convolution; those of a depthwise one are its channels.
        columns: numbers that each output of a group is a weighted sum of.
        outputs: of a group.
    """

    def __init__(self, groups: int, columns: int, outputs: int) -> None:
        self._squares = np.zeros((groups, columns, columns))
        self._products = np.zeros((groups, columns, outputs))
        self._columns = np.zeros((groups, columns))
        self._rest = np.zeros((groups, outputs))
        self._rows = 0

    def add(self, columns: NDArray[np.float32], rest: NDArray[np.float32]) -> None:
        """Take a batch.

        Args:
            columns: (groups, rows, columns).
            rest: (groups, rows, outputs of a group), wanted less given.
        """
        x, r = columns.astype(np.float64), rest.astype(np.float64)
        turned = x.transpose(0, 2, 1)
        self._squares += turned @ x
        self._products += turned @ r
        self._columns += x.sum(axis=1)
        self._rest += r.sum(axis=1)
        self._rows += x.shape[1]

    def solved(self, ridge: float, *, bias: bool) -> Change:
        """The change with the least squared error.

        Args:
            ridge: of the mean over the columns of their variance (mean square without a bias).
            bias: a constant may be added to each output.
        """
        squares, products = self._squares / self._rows, self._products / self._rows
        mean, rest = self._columns / self._rows, self._rest / self._rows
        if bias:
            squares = squares - mean[:, :, None] * mean[:, None, :]
            products = products - mean[:, :, None] * rest[:, None, :]
        spread = np.diagonal(squares, axis1=1, axis2=2).mean(axis=1)
        # Columns that are all constant have nothing to say: their weights stay.
        held = np.where(spread > 0, ridge * spread, 1.0)[:, None, None]
        damped = squares + held * np.eye(squares.shape[1])
        weights = np.linalg.solve(damped, products).astype(np.float64)
        offset = rest - (mean[:, None, :] @ weights)[:, 0] if bias else np.zeros_like(rest)
        return Change(weights, offset)
