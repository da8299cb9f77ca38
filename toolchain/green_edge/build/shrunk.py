"""Models after a recipe's steps, ready to be quantized and judged like any other."""

from collections.abc import Sequence
from dataclasses import dataclass

from green_edge.build.candidates import Workbench
from green_edge.build.contest import Team
from green_edge.build.measure import Court
from green_edge.build.shrink import Shrinker, Taken
from green_edge.build.subject import FloatModel, Subject, to_float
from green_edge.build.subjects import Job, quantized
from green_edge.core.report import Quality
from green_edge.core.steps import Step
from green_edge.evaluate.quality import quality
from green_edge.tflite.model import TfliteModel
from green_edge_wire.errors import ModelError


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """A step of the main model, with what its float .tflite was after it.

    Attributes:
        quality: on some of the evaluation samples; None where folds judge.
    """

    taken: Taken
    facts: TfliteModel
    quality: Quality | None


@dataclass(frozen=True, slots=True, eq=False)
class Shrunk:
    """A team after the steps.

    Attributes:
        name: of the steps, for candidates.
        stages: the main model's steps.
        note: which samples it was shrunk with.
    """

    name: str
    team: Team
    stages: tuple[Stage, ...]
    note: str


def shrink_team(
    job: Job, shrinker: Shrinker, court: Court, team: Team, name: str, steps: Sequence[Step]
) -> Shrunk:
    """Take the same steps with every model of a team, each with its own samples.

    Args:
        job: of the build.
        shrinker: takes steps.
        court: judges the main model between them.
        team: the models as they came in.
        name: of the steps, for candidates.
        steps: of a recipe.

    Raises:
        ModelError: a step cannot be taken, or its model cannot be converted.
        ConfigError: a model has no samples to be shrunk with.
    """
    taken = shrinker.shrink(team.main.subject, steps)
    others = {
        bench.subject.title: shrinker.shrink(bench.subject, steps)
        for bench in team.judges
        if bench is not team.main
    }
    stages = tuple(_stage(job, court, each) for each in taken)
    # What ships shall not hang on what was converted before it.
    job.tools.renew()
    main = _bench(job, team.main.subject, taken)
    judges = [
        main if bench is team.main else _bench(job, bench.subject, others[bench.subject.title])
        for bench in team.judges
    ]
    ties = frozenset(taken[-1].reply.ties)
    return Shrunk(name, Team(main, judges, ties), stages, shrinker.note(team.main.subject))


def _stage(job: Job, court: Court, taken: Taken) -> Stage:
    job.tell.further(f"judging the model after {taken.step.step}")
    model = to_float(job.tools, taken.source())
    scores = court.glance(model.content)
    return Stage(taken, model.facts, None if scores is None else quality(scores))


def _bench(job: Job, subject: Subject, taken: Sequence[Taken]) -> Workbench:
    job.tell(f"converting {subject.title}, shrunk, to float .tflite")
    return quantized(job, shrunk_subject(job, subject, taken), job.plan.methods)


def shrunk_subject(job: Job, subject: Subject, taken: Sequence[Taken]) -> Subject:
    """A model after steps, with the samples that it had.

    Raises:
        ModelError: it cannot be converted, or takes or gives something else than before.
    """
    source = taken[-1].source()
    model = to_float(job.tools, source)
    _check_form(subject.float_model, model)
    return Subject(f"{subject.title}, shrunk", source, model, subject.sets)


def _check_form(before: FloatModel, after: FloatModel) -> None:
    """Refuse what takes or gives something else than the model that came in."""
    wanted, found = (
        [spec.shape for spec in (*m.facts.inputs, *m.facts.outputs)] for m in (before, after)
    )
    if wanted != found:
        raise ModelError(f"the steps changed inputs and outputs from {wanted} to {found}")
