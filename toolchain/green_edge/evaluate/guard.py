"""The accuracy guard: a rule over scores of the float and the chosen model on the same samples."""

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from green_edge.core.report import Guard, Verdict
from green_edge.evaluate import set_scores
from green_edge.evaluate.intervals import Interval, paired_t, tango
from green_edge.evaluate.quality import Scores, SetScores
from green_edge_wire.errors import ModelError

_PP = 100.0
# More than anybody labels: what they do not decide is as good as undecidable.
_MOST_SAMPLES = 10**8


def guard(
    float_scores: Scores | SetScores,
    chosen_scores: Scores | SetScores,
    max_drop_pp: float,
    *,
    looks: int = 1,
) -> Guard:
    """Judge the drop of quality from the float model to the chosen one.

    Passes where the whole 95 % interval lies at or below `max_drop_pp`, fails where it lies above,
    else the samples are too few to tell.

    Args:
        float_scores: of the reference.
        chosen_scores: on the same samples.
        max_drop_pp: the allowed drop.
        looks: which candidate this is that was put to the guard on these samples; the interval is
            widened so that trying again and again does not make it kind.

    Raises:
        ModelError: the scores are of other samples or another metric; a mistake of the caller.
    """
    drop = difference(float_scores, chosen_scores, looks=looks)
    low_pp, high_pp = drop.low * _PP, drop.high * _PP
    verdict = judge(low_pp, high_pp, max_drop_pp)
    n = float_scores.n
    needed = None
    if verdict == "inconclusive":
        at = partial(_drop_at, float_scores, chosen_scores, looks)
        needed = samples_needed(n, max_drop_pp / _PP, at)
    return Guard(
        max_drop_pp=max_drop_pp,
        drop_pp=drop.value * _PP,
        low_pp=low_pp,
        high_pp=high_pp,
        n=n,
        verdict=verdict,
        looks=looks,
        samples_needed=needed,
    )


def _drop_at(
    first: Scores | SetScores, second: Scores | SetScores, looks: int, samples: int
) -> Interval:
    return difference(first, second, looks=looks, samples=samples)


def difference(
    first: Scores | SetScores,
    second: Scores | SetScores,
    *,
    looks: int = 1,
    samples: int | None = None,
) -> Interval:
    """Quality of `first` less that of `second` on the same samples, with its 95 % interval.

    Args:
        first: scores.
        second: on the same samples.
        looks: see `guard`.
        samples: as if so many had been judged, with the same rates; absent for those there are.
    """
    if isinstance(first, SetScores) and isinstance(second, SetScores):
        return set_scores.difference(first, second, looks=looks, samples=samples)
    if isinstance(first, SetScores) or isinstance(second, SetScores):
        raise ModelError("scores of different metrics cannot be compared")
    if first.metric != second.metric or first.n != second.n:
        raise ModelError("scores of different samples or metrics cannot be compared")
    if not (first.binary and second.binary):
        return paired_t(first.per_sample, second.per_sample, looks=looks, samples=samples)
    right, also = first.per_sample > 0.5, second.per_sample > 0.5
    b, c = int(np.sum(right & ~also)), int(np.sum(~right & also))
    n = len(right)
    times = 1.0 if samples is None else samples / n
    return tango(b * times, c * times, n if samples is None else samples, looks=looks)


def judge(low: float, high: float, limit: float) -> Verdict:
    """Pass where a whole interval lies at or below a limit, fail where it lies above."""
    if high <= limit:
        return "pass"
    return "fail" if low > limit else "inconclusive"


def samples_needed(n: int, limit: float, at: Callable[[int], Interval]) -> int | None:
    """Samples with which the same rates would be on one side of a limit, rounded to two digits.

    Args:
        n: samples so far, too few to tell.
        limit: as in `judge`.
        at: interval with so many samples.

    Returns:
        None where it never will.
    """

    def told(samples: int) -> bool:
        found = at(samples)
        return judge(found.low, found.high, limit) != "inconclusive"

    few, enough = n, 2 * n
    while not told(enough):
        few, enough = enough, 2 * enough
        if enough > _MOST_SAMPLES:
            return None
    while enough - few > 1:
        middle = (few + enough) // 2
        few, enough = (few, middle) if told(middle) else (middle, enough)
    unit: int = 10 ** max(0, math.floor(math.log10(enough)) - 1)
    return math.ceil(enough / unit) * unit
