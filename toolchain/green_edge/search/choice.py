"""The choice among candidates that were measured on the same samples."""

from collections.abc import Mapping
from dataclasses import dataclass

from green_edge.core.recipe import Method


@dataclass(frozen=True, slots=True)
class Figures:
    """What is known of a candidate.

    Attributes:
        quality: mean score, 0..1.
        error_to_float: mean absolute difference to the float model's outputs, in units of their
            standard deviation.
        size_bytes: of its file.
    """

    quality: float
    error_to_float: float
    size_bytes: int


def choose(candidates: Mapping[Method, Figures]) -> Method:
    """The better candidate: quality, then closeness to the float model, then size, then order.

    Args:
        candidates: in the recipe's order; at least one.
    """
    return min(candidates, key=lambda method: _rank(candidates[method]))


def improves(new: Figures, best: Figures, *, costs: bool) -> bool:
    """Whether a rung's candidate takes the place of the best one so far.

    Args:
        new: what the rung made.
        best: what it was made from.
        costs: the rung makes inferences dearer, so that equal quality is no reason to keep it.
    """
    if new.quality != best.quality or costs:
        return new.quality > best.quality
    return new.error_to_float < best.error_to_float


def _rank(figures: Figures) -> tuple[float, float, int]:
    return -figures.quality, figures.error_to_float, figures.size_bytes
