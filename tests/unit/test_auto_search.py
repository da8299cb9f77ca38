"""The search of `auto` on a simulated model, whose quality follows from its cost and training."""

from dataclasses import replace

import pytest

from green_edge.core.report import Guard
from green_edge.core.steps import LowRank, Prune, Recover
from green_edge.evaluate.guard import judge
from green_edge.search import auto
from green_edge.search.auto import Found, Goal, Trial

MAX_DROP_PP = 1.0
GOAL = Goal(1200.0, 50_000, Prune(0.5), Recover(augment=("shift",)))
EPOCH_S = 15.0


class Simulated:
    """Drop = what the share costs in the end, and what training has not yet won back."""

    def __init__(
        self, floor_pp: float = 0.1, epoch_s: float = EPOCH_S, half_pp: float = 0.3
    ) -> None:
        self.floor_pp = floor_pp
        self.epoch_s = epoch_s
        self.half_pp = half_pp

    def found(self, trial: Trial) -> Found:
        share, lacking = 1.0, 0.0
        for step in trial.steps:
            match step:
                case Prune(keep=keep):
                    lacking += 12.0 * (share - keep) / share
                    share = keep
                case LowRank(keep=keep) if keep is not None:
                    # Splitting pays in the beginning alone.
                    reached = max(keep, 0.5)
                    lacking += 3.0 * max(share - reached, 0.0) / share
                    share = min(share, reached)
                case Recover(epochs=epochs):
                    lacking *= 0.5 ** (epochs / 1.5)
        drop = self.floor_pp + self.half_pp * (0.3 / share) ** 2 + lacking
        low, high = drop - 0.3, drop + 0.3
        guard = Guard(MAX_DROP_PP, drop, low, high, 5000, judge(low, high, MAX_DROP_PP))
        wall_s = 5.0 + trial.epochs * self.epoch_s * (0.3 + 0.7 * share)
        return Found(trial, share, guard, wall_s, wall_s)


def search(simulated: Simulated, goal: Goal = GOAL) -> list[Found]:
    history: list[Found] = []
    for _ in range(100):
        wave = auto.wave(goal, history)
        if not wave:
            return history
        history += [simulated.found(trial) for trial in wave]
    raise AssertionError("it does not end")


def test_the_search_ends_within_its_time_and_a_tenth() -> None:
    for minutes in (2, 5, 20, 60):
        history = search(Simulated(), replace(GOAL, budget_s=60.0 * minutes))
        spent_s = sum(found.elapsed_s for found in history)
        assert spent_s <= 60 * minutes * 1.1 + 30
        assert len({found.trial.name for found in history}) == len(history)


def test_it_finds_a_candidate_that_passes_and_costs_near_the_least_that_can() -> None:
    chosen = auto.choice(search(Simulated()))
    assert chosen is not None
    assert chosen.guard.verdict == "pass"
    # With endless training the drop is 0.1 + 0.3 (0.3 / share)^2, which passes at 0.7 for 0.21.
    assert 0.2 <= chosen.share <= 0.3


def test_more_time_never_ends_dearer_by_more_than_a_level() -> None:
    shares = []
    for minutes in (5, 20, 80):
        chosen = auto.choice(search(Simulated(), replace(GOAL, budget_s=60.0 * minutes)))
        assert chosen is not None
        shares.append(chosen.share)
    assert shares[2] <= shares[1] <= shares[0] / 0.95


def test_nothing_is_chosen_where_every_level_loses_too_much() -> None:
    assert auto.choice(search(Simulated(floor_pp=5.0))) is None


def test_a_slow_machine_still_gets_one_level_and_stops() -> None:
    history = search(Simulated(epoch_s=4000.0))
    assert 1 <= len(history) <= 4


def test_each_trial_begins_with_the_steps_of_its_parent() -> None:
    by_name: dict[str | None, Trial] = {}
    for found in search(Simulated()):
        trial = found.trial
        before = by_name[trial.parent].steps if trial.parent else ()
        assert trial.steps[: len(before)] == before
        by_name[trial.name] = trial


def test_a_trial_that_passes_barely_among_many_is_not_chosen() -> None:
    barely = Guard(1.0, 0.55, 0.15, 0.95, 5000, "pass")
    surely = Guard(1.0, 0.2, -0.2, 0.6, 5000, "pass")
    lost = Guard(1.0, 9.0, 8.0, 10.0, 5000, "fail")
    cheap, dear = Trial("cheap", (), 1.0, 1), Trial("dear", (), 1.0, 1)
    alone = Found(cheap, 0.3, barely, 1.0, 1.0)
    assert auto.choice([alone]) is alone
    others = [Found(Trial(f"t{i}", (), 1.0, 1), 0.2, lost, 1.0, 1.0) for i in range(18)]
    second = Found(dear, 0.4, surely, 1.0, 1.0)
    assert auto.choice([alone, second, *others]) is second


def test_what_comes_next_follows_from_what_was_found_alone() -> None:
    history: list[Found] = []
    while wave := auto.wave(GOAL, history):
        assert auto.wave(GOAL, list(history)) == wave
        history += [Simulated().found(trial) for trial in wave]


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_the_front_holds_what_no_other_beats(share: float) -> None:
    guard = Guard(1.0, 0.5, 0.2, 0.8, 100, "pass")
    trial = Trial("a", (), 1.0, 1)
    better = Found(trial, 0.4, guard, 1.0, 1.0)
    worse = Found(replace(trial, name="b"), share, replace(guard, drop_pp=0.6), 1.0, 1.0)
    assert auto.front([worse, better]) == (better,)
