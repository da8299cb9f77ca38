"""Candidates of one model and its folds: made, judged, repaired where the guard does not pass."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from green_edge.build.candidates import Workbench
from green_edge.build.measure import Court, Trial
from green_edge.build.plan import means_of
from green_edge.build.repair import Climb, Step
from green_edge.build.sparse_float import SparseFloat, sparse_float
from green_edge.build.subjects import Job, untrainable
from green_edge.compress.graph.values import Kept
from green_edge.core.recipe import Method
from green_edge.core.report import Guard
from green_edge.search.choice import choose
from green_edge_wire.clock import Clock
from green_edge_wire.errors import ModelError


@dataclass(frozen=True, slots=True, eq=False)
class Team:
    """The model that ships and those that are judged: the folds', or the main one itself.

    Attributes:
        ties: what steps made of the weights and later changes must keep.
    """

    main: Workbench
    judges: Sequence[Workbench]
    ties: frozenset[Kept] = frozenset()


@dataclass(frozen=True, slots=True, eq=False)
class Contest:
    """What was tried on a team, and what is best.

    Attributes:
        first: what was tried at once, in the recipe's order.
        failures: why other methods gave no candidate.
        start: the best of `first`.
        steps: rungs of the repair ladder that were come to.
        best: of all.
        guard: the word on it.
        lost_before: the float model fails the guard already, by the steps that shrank it.
        sparse: the float model with its zeros stored away; None where no step made zeros.
        started_ns: moment at which the ladder was begun, on the monotonic clock.
    """

    first: tuple[Trial, ...]
    failures: Mapping[Method, ModelError]
    start: Trial
    steps: tuple[Step, ...]
    best: Trial
    guard: Guard
    started_ns: int
    lost_before: bool = False
    sparse: SparseFloat | None = None

    @property
    def trials(self) -> tuple[Trial, ...]:
        """Every candidate that was judged, in the order of trying."""
        return (*self.first, *(step.tried for step in self.steps if step.tried is not None))


def contest(job: Job, court: Court, team: Team, clock: Clock, *, shrunk: bool = False) -> Contest:
    """Try the plan's methods on a team, choose, and repair what does not pass the guard.

    Repairs win back what int8 lost. Where a shrunk model fails before it is quantized they cannot
    help, and are left alone.

    Raises:
        ModelError: no method gives a candidate.
    """
    first, failures = tried(job, court, job.plan.methods)
    need_one(first, failures, team.main.subject.source.path)
    trials = {trial.method: trial for trial in first}
    start = trials[choose({method: trial.figures for method, trial in trials.items()})]
    labelled = all(bench.subject.sets.labelled for bench in team.judges)
    lacking = untrainable((team.main, *team.judges))
    means = means_of(job.plan, lacking, failures, labelled=labelled, ties=team.ties)
    started_ns = clock.monotonic_ns()
    climb = Climb(job, team.main, court, start, means, clock)
    lost_before = shrunk and court.verdict(court.floats()).verdict == "fail"
    if not lost_before:
        climb.run()
    return Contest(
        first=tuple(first),
        failures=failures,
        start=start,
        steps=tuple(climb.steps),
        best=climb.best,
        guard=climb.guard,
        lost_before=lost_before,
        sparse=_sparse(job, court, team),
        started_ns=started_ns,
    )


def _sparse(job: Job, court: Court, team: Team) -> SparseFloat | None:
    if "zeros" not in team.ties:
        return None
    job.tell.further("storing zeros away for float kernels")
    return sparse_float(team.main.subject.float_model.content, job.plan.targets, court)


def tried(
    job: Job, court: Court, methods: Sequence[Method]
) -> tuple[list[Trial], dict[Method, ModelError]]:
    """Candidates by methods, and why others gave none."""
    made: list[Trial] = []
    failures: dict[Method, ModelError] = {}
    for method in methods:
        job.tell(f"judging {method.name}")
        try:
            made.append(court.try_method(method))
        except ModelError as error:
            failures[method] = error
    return made, failures


def need_one(first: Sequence[Trial], failures: Mapping[Method, ModelError], model: Path) -> None:
    """Refuse to go on without any candidate.

    Raises:
        ModelError: with the reason of each method, and the first remedy that one has.
    """
    if not first:
        why = " / ".join(f"{method.name}: {e.message}" for method, e in failures.items())
        hint = next((e.hint for e in failures.values() if e.hint is not None), None)
        raise ModelError(f"{model}: no int8 model could be made: {why}", hint=hint)
