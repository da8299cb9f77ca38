"""`auto`: which lists of steps are tried within a time, and which one wins. Decisions alone.

First a descent in equal ratios of the predicted cost. Each level is come to in two ways from the
better one of the level before, by taking channels out and by splitting layers, with a short
recovery, until the quality is beyond hope or two fifths of the time are spent. All are candidates.
Then successive halving (Jamieson and Talwalkar 2016) among the levels at the edge of what is
allowed: each goes on from where it stands with a longer recovery, and with less of its cost where
it passes already; the better half goes on from there, and so forth until the time is spent.

Everything follows from the goal and from what was found so far, so a search that was interrupted
goes on from its journal.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from green_edge.core.report import Guard
from green_edge.core.steps import LowRank, Prune, Reconstruct, Recover, Step
from green_edge.evaluate.intervals import Z, z_of

# Cost of a level as a share of that of the level before it.
_LEVEL_RATIO = 0.75
_LEAST_SHARE = 0.05
# A candidate that passes goes on with so much of its cost.
_DEEPER_RATIO = 0.87
# Of the time: the descent; of what is left, each rung of the halving.
_DESCENT_SHARE = 0.4
_RUNG_SHARES = (0.3, 0.45, 0.95)
_LEVELS_FORESEEN = 6
# Samples of the first recovery, whose duration tells how long the others may be.
_PROBE_SAMPLES = 20_000
_LEAST_EPOCHS = 0.1
_CANDIDATES = 4
# A longer recovery wins back points: so many beyond the limit are not yet beyond hope.
_HOPE_PP = 3.0
# What is hardly cheaper than what it was made from is no way down.
_LEAST_GAIN = 0.95


@dataclass(frozen=True, slots=True)
class Goal:
    """What a search is for.

    Attributes:
        budget_s: time for all trials.
        train_n: samples that recovery learns from.
        prune: how channels are taken out; `keep` is the search's to set.
        recover: how what is left is trained; `epochs` are the search's to set.
        reconstruct: refits layers by least squares before each recovery; None leaves it out.
    """

    budget_s: float
    train_n: int
    prune: Prune
    recover: Recover
    reconstruct: Reconstruct | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """A list of steps to be tried.

    Attributes:
        name: unique in a search, such as `level-3-prune+2`.
        steps: all of them, from the model that came in on.
        parent: the trial whose steps these begin with; None for the model that came in.
        epochs: of the recovery at its end.
        level: of the descent that it came from, from 1 on.
        rung: of the halving; 0 in the descent.
    """

    name: str
    steps: tuple[Step, ...]
    epochs: float
    level: int
    parent: str | None = None
    rung: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """What came of a trial.

    Attributes:
        share: of the plain int8 model's predicted cost that is left.
        guard: the guard's word on the samples that select.
        wall_s: of its own steps and its judging.
        elapsed_s: its part of the time that its wave took; next to nothing where the cache gave it.
    """

    trial: Trial
    share: float
    guard: Guard
    wall_s: float
    elapsed_s: float


def wave(goal: Goal, history: Sequence[Found]) -> tuple[Trial, ...]:
    """Trials that come next and do not need each other; empty at the end of the search."""
    left_s = goal.budget_s - sum(found.elapsed_s for found in history)
    rung = max((found.trial.rung for found in history), default=0)
    if rung == 0 and _descends(goal, history):
        return _level(goal, history)
    if rung == len(_RUNG_SHARES):
        return ()
    survivors = _survivors(history, rung)
    each_s = left_s * _RUNG_SHARES[rung] / max(1, len(survivors))
    trials = (_onward(goal, found, rung + 1, each_s) for found in survivors)
    return tuple(trial for trial in trials if trial.epochs >= _LEAST_EPOCHS)


def choice(history: Sequence[Found]) -> Found | None:
    """The cheapest trial that passes the guard, of these the better one; None if none does.

    The cheapest of many that pass is likely one that chance was kind to. So the interval is widened
    for as many looks as there are trials, by which fewer choices fail on the verdict's samples.
    """
    wider = z_of(max(1, len(history))) / Z
    passing = [found for found in history if found.share < 1 and _surely(found.guard, wider)]
    return min(passing, key=lambda found: (found.share, found.guard.drop_pp), default=None)


def _surely(guard: Guard, wider: float) -> bool:
    high_pp = guard.drop_pp + wider * (guard.high_pp - guard.drop_pp)
    return guard.verdict == "pass" and high_pp <= guard.max_drop_pp


def front(history: Sequence[Found]) -> tuple[Found, ...]:
    """Trials that no other beats in both cost and quality, cheapest first."""
    best: list[Found] = []
    for found in sorted(history, key=lambda each: (each.share, each.guard.drop_pp)):
        if not best or found.guard.drop_pp < best[-1].guard.drop_pp:
            best.append(found)
    return tuple(best)


def _way_down(levels: Sequence[Found]) -> Found | None:
    """The better one of the last level that is cheaper than what it was made from."""
    shares = {found.trial.name: found.share for found in levels}
    last = max(found.trial.level for found in levels)
    cheaper = [
        found
        for found in levels
        if found.trial.level == last
        and found.share <= _LEAST_GAIN * shares.get(found.trial.parent or "", 1.0)
    ]
    return min(cheaper, key=lambda found: found.guard.drop_pp, default=None)


def _descends(goal: Goal, levels: Sequence[Found]) -> bool:
    if not levels:
        return True
    best = _way_down(levels)
    return (
        best is not None
        and sum(found.elapsed_s for found in levels) < _DESCENT_SHARE * goal.budget_s
        and best.guard.drop_pp <= best.guard.max_drop_pp + _HOPE_PP
        and best.share * _LEVEL_RATIO >= _LEAST_SHARE
    )


def _level(goal: Goal, levels: Sequence[Found]) -> tuple[Trial, ...]:
    """The next level from the better one of the last, by either way, with a short recovery."""
    best = _way_down(levels) if levels else None
    number, share, parent = 1, 1.0, None
    before: tuple[Step, ...] = ()
    epochs = float(f"{_PROBE_SAMPLES / goal.train_n:.3g}")
    if best is not None:
        number, share, parent = best.trial.level + 1, min(best.share, 1.0), best.trial.name
        before = best.trial.steps
        spent_s = sum(found.elapsed_s for found in levels)
        trials_left = 2 * max(1, _LEVELS_FORESEEN - best.trial.level)
        epochs = _affordable(best, (_DESCENT_SHARE * goal.budget_s - spent_s) / trials_left)
    keep = round(share * _LEVEL_RATIO, 4)
    ways: tuple[Step, ...] = (
        _pruned(goal, keep),
        LowRank(keep=keep, measure=goal.prune.measure),
    )
    return tuple(
        Trial(
            f"level-{number}-{way.step}",
            (*before, way, *_recovery(goal, epochs)),
            epochs,
            number,
            parent,
        )
        for way in ways
    )


def _pruned(goal: Goal, keep: float) -> Step:
    return replace(goal.prune, keep=keep, rounds=1, recover=None)


def _recovery(goal: Goal, epochs: float) -> tuple[Step, ...]:
    trained = replace(goal.recover, epochs=epochs)
    return (trained,) if goal.reconstruct is None else (goal.reconstruct, trained)


def _affordable(found: Found, seconds: float) -> float:
    """Epochs that take so long, going by what a trial took; never less than the least."""
    per_epoch_s = found.wall_s / found.trial.epochs
    epochs = max(seconds / per_epoch_s, 0.0)
    # Steps hold their epochs as written: three digits read well and repeat exactly.
    return max(float(f"{epochs:.3g}"), _LEAST_EPOCHS)


def _onward(goal: Goal, found: Found, rung: int, seconds: float) -> Trial:
    """A trial that goes on from another: cheaper still where that one passes, else recovered."""
    before = found.trial
    # Not rounded up to the least: where the time is out nothing is tried.
    epochs = float(f"{max(seconds * before.epochs / found.wall_s, 0.0):.3g}")
    steps: tuple[Step, ...] = (replace(goal.recover, epochs=epochs),)
    if found.guard.verdict == "pass":
        keep = round(min(found.share, 1.0) * _DEEPER_RATIO, 4)
        steps = (_pruned(goal, keep), *_recovery(goal, epochs))
    name = f"{before.name}+{rung}"
    return Trial(name, (*before.steps, *steps), epochs, before.level, before.name, rung)


def _survivors(history: Sequence[Found], rung: int) -> list[Found]:
    """Who goes on from a rung, cheapest first."""
    last = [found for found in history if found.trial.rung == rung]
    if rung > 0:
        return _around(last, max(2, math.ceil(len(last) / 2)))
    hopeful = [f for f in last if f.guard.drop_pp <= f.guard.max_drop_pp + _HOPE_PP]
    return _around(hopeful, _CANDIDATES)


def _around(found: Sequence[Found], count: int) -> list[Found]:
    """So many on the front: the cheapest that passes, and those that are cheaper and lack least."""
    best = choice(found)
    cheaper = [f for f in front(found) if best is None or f.share < best.share]
    cheaper.sort(key=lambda f: f.guard.drop_pp)
    chosen = ([best] if best is not None else []) + cheaper
    return sorted(chosen[:count], key=lambda f: f.share)
