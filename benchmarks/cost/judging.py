"""How far the cost model is from counts, and how often it orders pairs of models as they do."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from green_edge.targets.cost.model import Error

# Pairs that differ by less are a tie.
_CLEAR_RATIO = 1.1


@dataclass(frozen=True, slots=True)
class Judged:
    """A model that was not used for the fit.

    Attributes:
        group: its family, or its name.
        kind: of numbers: `int8`, `float32` or `hybrid`.
    """

    group: str
    kind: str
    counted: float
    predicted: float

    @property
    def error_ratio(self) -> float:
        """The larger of prediction and count over the smaller, less one."""
        larger, smaller = max(self.counted, self.predicted), min(self.counted, self.predicted)
        return larger / smaller - 1


def error_of(judged: Sequence[Judged]) -> Error:
    """Median and 95th percentile of the errors, and the share of pairs ordered rightly."""
    ratios = [each.error_ratio for each in judged]
    pairs = [
        (one.counted > other.counted) == (one.predicted > other.predicted)
        for one, other in combinations(judged, 2)
        if max(one.counted, other.counted) > _CLEAR_RATIO * min(one.counted, other.counted)
    ]
    return Error(
        median_ratio=round(float(np.median(ratios)), 4),
        p95_ratio=round(float(np.percentile(ratios, 95)), 4),
        n=len(judged),
        pairs_right_ratio=round(sum(pairs) / len(pairs), 4) if pairs else 1.0,
        pairs=len(pairs),
    )
