"""Climbing the ladder before a guard that follows a script."""

from pathlib import Path

import numpy as np

from green_edge.build.measure import Court, Judged, Trial
from green_edge.build.options import quietly
from green_edge.build.plan import make_plan
from green_edge.build.repair import Climb
from green_edge.build.subjects import Job, Steps, make_subjects
from green_edge.core.recipe import Method, Recipe
from green_edge.core.report import Guard, Verdict
from green_edge.evaluate.quality import Scores
from green_edge.search.ladder import Means
from green_edge_wire.clock import SystemClock
from support.scripted_tools import ScriptedTools, rank_layers
from support.small_builds import workshop


class ScriptedCourt(Court):
    """Judges by a script: verdict and drop in percentage points by candidate."""

    def __init__(self, script: dict[str, tuple[Verdict, float]]) -> None:
        self.script = script
        self.looks: list[int] = []

    def try_method(self, method: Method) -> Trial:
        """A candidate without content."""
        value = 1 - self.script[method.name][1] / 100
        return Trial(method, b"", Judged(Scores("accuracy", np.array([value]), binary=False)))

    def guard(self, trial: Trial, looks: int) -> Guard:
        """By the script, whatever the looks, which are noted."""
        self.looks.append(looks)
        verdict, drop_pp = self.script[trial.method.name]
        return Guard(2.0, drop_pp, drop_pp - 1, drop_pp + 1, 400, verdict, looks=looks)


def test_what_takes_the_place_of_a_model_that_passed_must_pass_too(tmp_path: Path) -> None:
    # Fewer wrong answers on the whole, but on more samples: a wider interval.
    court = ScriptedCourt({
        "int8-aeq-minmax": ("fail", 9.0), "int8-aeq-percentile": ("pass", 0.9),
        "int8-aeq-mse": ("inconclusive", 0.8), "int8-aeq-entropy": ("pass", 0.7),
    })  # fmt: skip
    options = workshop(tmp_path, samples=3).options(recipe=Recipe(repair=()))
    tools = ScriptedTools({"minmax": 1.0})
    job = Job(options, make_plan(options), tools, rank_layers, Steps(quietly, 9))
    bench, _ = make_subjects(job)
    start = court.try_method(Method("aeq"))
    climb = Climb(job, bench, court, start, Means(), SystemClock())
    climb.run()
    assert [step.kept for step in climb.steps] == [True, False, True]
    assert climb.best.method.name == "int8-aeq-entropy"
    assert climb.guard.looks == 2
    assert set(court.looks) == {1, 2}
