"""The accuracy guard: a rule over scores of the float and the chosen model on the same samples."""

import math

import numpy as np

from green_edge.core.report import Guard, Verdict
from green_edge.evaluate.intervals import Interval, paired_t, tango
from green_edge.evaluate.quality import Scores
from green_edge_wire.errors import ModelError

_PP = 100.0


def guard(
    float_scores: Scores, chosen_scores: Scores, max_drop_pp: float, *, looks: int = 1
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
    return Guard(
        max_drop_pp=max_drop_pp,
        drop_pp=drop.value * _PP,
        low_pp=low_pp,
        high_pp=high_pp,
        n=len(float_scores.per_sample),
        verdict=judge(low_pp, high_pp, max_drop_pp),
        looks=looks,
    )


def difference(first: Scores, second: Scores, *, looks: int = 1) -> Interval:
    """Mean of `first - second` on the same samples, with its paired 95 % interval."""
    if first.metric != second.metric or len(first.per_sample) != len(second.per_sample):
        raise ModelError("scores of different samples or metrics cannot be compared")
    if not (first.binary and second.binary):
        return paired_t(first.per_sample, second.per_sample, looks=looks)
    right, also = first.per_sample > 0.5, second.per_sample > 0.5
    b, c = int(np.sum(right & ~also)), int(np.sum(~right & also))
    return tango(b, c, len(right), looks=looks)


def judge(low: float, high: float, limit: float) -> Verdict:
    """Pass where a whole interval lies at or below a limit, fail where it lies above."""
    if high <= limit:
        return "pass"
    return "fail" if low > limit else "inconclusive"


def samples_needed(n: int, reach: float, room: float) -> int | None:
    """Samples with which the same value would be on one side of its limit, rounded to two digits.

    An interval narrows at least with the square root of its samples; where hardly any sample is
    judged differently it narrows faster, and fewer will do.

    Args:
        n: samples so far.
        reach: from the value to the end of its interval.
        room: from the value to the limit, on the same side.

    Returns:
        None where it never will.
    """
    if room <= 0 or reach <= 0:
        return None
    needed = n * max(1.0, reach / room) ** 2
    unit: int = 10 ** max(0, math.floor(math.log10(needed)) - 1)
    return math.ceil(needed / unit) * unit
