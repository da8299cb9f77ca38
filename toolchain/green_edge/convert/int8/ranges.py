"""From a histogram of an activation to the range that int8 shall cover. Pure.

A range always holds zero, which padding and ReLU need to be exact. Int8 has 256 values and 255
steps between the ends.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from green_edge.core.recipe import Calibration

# Fine enough that a body a thousand times narrower than the outliers still spans several bins.
BINS = 8192
_LEVELS = 256
_STEPS = _LEVELS - 1
# The share of values that the range shall hold, one of those that Wu et al. (2020) compare. A
# 32x32x16 map of activations loses one or two values.
PERCENTILE_RATIO = 0.9999
# Ranges down to a thousandth of the whole are tried, some 7 % apart.
_SHRINKS = np.geomspace(1.0, 1e-3, 100)
# Smoothing of empty bins, so that the divergence stays finite (as in MXNet's calibration).
_EPSILON = 1e-4
_ENTROPY_BINS = 2048
# Fewer values a level are no distribution: such as the few outputs of a classifier.
_FEWEST_A_LEVEL = 20

Histogram = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Range:
    """Real numbers that quantization represents, `low <= 0 <= high`."""

    low: float
    high: float


def choose(method: Calibration, counts: Histogram, whole: Range) -> Range:
    """The range of one activation.

    Args:
        method: `minmax` keeps the whole range; the others may clip it.
        counts: values in bins of equal width over `whole`.
        whole: least and greatest value seen, zero included.
    """
    if method == "minmax" or whole.high <= whole.low or not counts.sum():
        return whole
    return _METHODS[method](counts, whole)


def percentile(counts: Histogram, whole: Range, ratio: float = PERCENTILE_RATIO) -> Range:
    """The range that holds `ratio` of the values, as many cut off below as above.

    At the side where zero is the end, such as after a ReLU, nothing is to be cut, and the share
    goes to the other side.
    """
    below, above = (1 - ratio) / 2, (1 - ratio) / 2
    if whole.low == 0:
        below, above = 0.0, 1 - ratio
    elif whole.high == 0:
        below, above = 1 - ratio, 0.0
    total = counts.sum()
    up_to = np.cumsum(counts)
    edges = np.linspace(whole.low, whole.high, len(counts) + 1)
    first = int(np.searchsorted(up_to, below * total, side="right"))
    last = int(np.searchsorted(up_to, (1 - above) * total, side="left"))
    return _with_zero(edges[min(first, len(counts) - 1)], edges[min(last, len(counts) - 1) + 1])


def least_squares(counts: Histogram, whole: Range) -> Range:
    """The range with the least mean squared error of int8, clipping included.

    Both ends shrink together first, then each alone.
    """
    filled = np.flatnonzero(counts)
    values = _centres(len(counts), whole)[filled]
    weights = counts[filled].astype(np.float64)

    def error(candidate: Range) -> float:
        step = (candidate.high - candidate.low) / _STEPS
        low = np.round(candidate.low / step) * step
        rounded = np.clip(np.round(values / step) * step, low, low + _STEPS * step)
        return float(np.dot(weights, np.square(values - rounded)))

    best = min(_shrunk(whole), key=error)
    for low, high in ((True, False), (False, True)):
        wider = Range(whole.low if low else best.low, whole.high if high else best.high)
        best = min((best, *_one_side(wider, low=low)), key=error)
    return best


def entropy(counts: Histogram, whole: Range) -> Range:
    """The range whose int8 values lose the least information, by Kullback-Leibler divergence.

    As Migacz (2017) does for TensorRT: the values beyond a threshold count for the last bin of the
    reference, and the threshold with the least divergence wins; here both ends shrink, and 256
    levels cover what is left. The bin of zero counts no more than its neighbours: zeros, of which
    ReLU makes many, are exact in any range.
    """
    if counts.sum() < _FEWEST_A_LEVEL * _LEVELS:
        return whole
    merged = _without_zeros(_merged(counts, _ENTROPY_BINS), whole)
    centres = _centres(len(merged), whole)

    def divergence(candidate: Range) -> float:
        inside = (centres >= candidate.low) & (centres <= candidate.high)
        kept = merged[inside].astype(np.float64)
        if len(kept) < _LEVELS:
            return float("inf")
        reference = kept.copy()
        reference[0] += merged[centres < candidate.low].sum()
        reference[-1] += merged[centres > candidate.high].sum()
        return _divergence(reference, _as_levels(kept))

    return min(_shrunk(whole), key=divergence)


_METHODS: dict[Calibration, Callable[[Histogram, Range], Range]] = {
    "percentile": percentile,
    "mse": least_squares,
    "entropy": entropy,
}


def _shrunk(whole: Range) -> Iterator[Range]:
    """Ranges with both ends at a share of the longer one, never beyond the whole."""
    longest = max(-whole.low, whole.high)
    for ratio in _SHRINKS:
        yield Range(max(whole.low, -longest * ratio), min(whole.high, longest * ratio))


def _one_side(wider: Range, *, low: bool) -> Iterator[Range]:
    for ratio in _SHRINKS:
        candidate = (
            Range(wider.low * ratio, wider.high) if low else Range(wider.low, wider.high * ratio)
        )
        if candidate.high > candidate.low:
            yield candidate


def _as_levels(kept: NDArray[np.float64]) -> NDArray[np.float64]:
    """What rounding to the levels leaves: flat within each, save that empty bins stay empty."""
    starts = np.linspace(0, len(kept), _LEVELS, endpoint=False).astype(int)
    filled = kept > 0
    sums, many = np.add.reduceat(kept, starts), np.add.reduceat(filled.astype(int), starts)
    sizes = np.diff([*starts, len(kept)])
    flat = np.repeat(sums / np.maximum(many, 1), sizes)
    return np.where(filled, flat, 0.0)


def _divergence(reference: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    p, q = reference / reference.sum(), other / max(other.sum(), 1.0)
    inside = p > 0
    return float(np.sum(p[inside] * np.log(p[inside] / np.maximum(q[inside], _EPSILON / len(p)))))


def _merged(counts: Histogram, bins: int) -> Histogram:
    """The same histogram in fewer bins; their numbers divide."""
    return counts if len(counts) <= bins else counts.reshape(bins, -1).sum(axis=1)


def _without_zeros(counts: Histogram, whole: Range) -> Histogram:
    """The same histogram with the bin of zero cut down to the larger one beside it."""
    place = int(-whole.low / (whole.high - whole.low) * len(counts))
    zero = min(place, len(counts) - 1)
    beside = [counts[i] for i in (zero - 1, zero + 1) if 0 <= i < len(counts)]
    cut = counts.copy()
    cut[zero] = min(counts[zero], max(beside))
    return cut


def _centres(bins: int, whole: Range) -> NDArray[np.float64]:
    edges = np.linspace(whole.low, whole.high, bins + 1)
    return (edges[1:] + edges[:-1]) / 2


def _with_zero(low: float, high: float) -> Range:
    return Range(min(float(low), 0.0), max(float(high), 0.0))
