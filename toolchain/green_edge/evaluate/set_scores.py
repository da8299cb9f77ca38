"""Metrics that only a whole set has, such as F1: their value, and intervals by bootstrap.

The set's samples are drawn anew, with repeats, as often as there are samples; for a difference of
two models both get the same draw. The interval runs between the quantiles of what the draws give
(Efron 1979), never narrower than samples allow that show no difference at all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from green_edge.data.dataset import Array
from green_edge.evaluate.intervals import Interval, tail_of, z_of
from green_edge_wire.errors import ModelError

Floats = NDArray[np.float32]
# Value over the samples at some places, which may repeat.
Statistic = Callable[[NDArray[np.intp]], float]
# Prepares a statistic of a model's outputs (each sample first) and the set's labels.
Prepare = Callable[[Sequence[Floats], Array], Statistic]

_SEED = 1979


@dataclass(frozen=True, eq=False)
class SetScores:
    """A model's outputs on a set, and what they are worth as a whole.

    Attributes:
        metric: name of what `prepare` gives, 1 at best.
        resamples: draws of the bootstrap.
    """

    metric: str
    outputs: tuple[Floats, ...]
    y: Array
    prepare: Prepare
    resamples: int

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.y)

    @cached_property
    def statistic(self) -> Statistic:
        """Value over some of the samples."""
        return self.prepare(self.outputs, self.y)

    @cached_property
    def value(self) -> float:
        """Value over all samples."""
        return self.statistic(np.arange(self.n))


def joined(parts: Sequence[SetScores]) -> SetScores:
    """Scores of several sets as of one; of the same metric."""
    outputs = tuple(np.concatenate(each) for each in zip(*(p.outputs for p in parts), strict=True))
    y = np.concatenate([part.y for part in parts])
    return SetScores(parts[0].metric, outputs, y, parts[0].prepare, parts[0].resamples)


def interval(scores: SetScores, *, samples: int | None = None) -> Interval:
    """95 % interval of the value; as if there were `samples` like them, if given."""
    found = _values(scores)
    return _between(scores.value, found, _scale(scores.n, samples), samples or scores.n, 1)


def difference(
    first: SetScores, second: SetScores, *, looks: int = 1, samples: int | None = None
) -> Interval:
    """Value of the first less that of the second on the same samples, with its 95 % interval.

    Args:
        first: scores.
        second: on the same samples.
        looks: see `intervals.z_of`.
        samples: as if so many had been judged.
    """
    if first.metric != second.metric or first.n != second.n:
        raise ModelError("scores of different samples or metrics cannot be compared")
    found = _differences(first, second)
    value = first.value - second.value
    return _between(value, found, _scale(first.n, samples), samples or first.n, looks)


# Looks and numbers of samples are asked about the same draws again and again.
@lru_cache(maxsize=4)
def _differences(first: SetScores, second: SetScores) -> tuple[float, ...]:
    return tuple(first.statistic(rows) - second.statistic(rows) for rows in _draws(first))


@lru_cache(maxsize=4)
def _values(scores: SetScores) -> tuple[float, ...]:
    return tuple(scores.statistic(rows) for rows in _draws(scores))


def _draws(scores: SetScores) -> list[NDArray[np.intp]]:
    draw = np.random.default_rng(_SEED)
    return [draw.integers(0, scores.n, scores.n) for _ in range(scores.resamples)]


def _scale(n: int, samples: int | None) -> float:
    """By how much an interval narrows with more samples: by the root of their number."""
    return 1.0 if samples is None else float(np.sqrt(n / samples))


def _between(value: float, found: Sequence[float], scale: float, n: int, looks: int) -> Interval:
    tail = tail_of(looks)
    low, high = np.quantile(found, [tail, 1 - tail])
    z = z_of(looks)
    # What strikes one sample in a hundred may be missing from the set, and from every draw of it.
    least = z * z / (n + z * z)
    return Interval(
        value,
        min(value - scale * (value - float(low)), value - least),
        max(value + scale * (float(high) - value), value + least),
    )
