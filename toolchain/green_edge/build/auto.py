"""Searches for the steps that cost least on the target and hold the allowed drop of quality.

What is tried is decided by `search.auto`; here it is done, judged on samples that are set apart
from those of the verdict, and written down, so that an interrupted search goes on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from green_edge.build import budget
from green_edge.build.candidates import Workbench
from green_edge.build.contest import need_one, tried
from green_edge.build.measure import Court
from green_edge.build.shrink import Shrinker, Taken
from green_edge.build.shrunk import shrunk_subject
from green_edge.build.step_cache import key_of
from green_edge.build.subject import Subject
from green_edge.build.subjects import Job, quantized
from green_edge.core.recipe import Search
from green_edge.core.report import Guard, SearchReport, TrialReport
from green_edge.core.steps import Measure, Reconstruct, Step
from green_edge.evaluate.quality import quality
from green_edge.evaluate.score_record import set_digest
from green_edge.search import auto
from green_edge.search.auto import Found, Goal, Trial
from green_edge.tflite.read import read
from green_edge_wire import codec
from green_edge_wire.clock import Clock
from green_edge_wire.errors import DecodeError, GreenEdgeError, ModelError
from green_edge_wire.units import s_from_ns

_S_PER_MINUTE = 60.0
# The drop of what could not be made at all.
_LOST_PP = 100.0
# So that a clock that stands still, or a cache that gives all, divides nothing by none.
_LEAST_S = 0.001


@dataclass(frozen=True, slots=True)
class Tried:
    """A trial as the journal holds it: what the search goes by, and what the report shows."""

    found: Found
    told: TrialReport


@dataclass(frozen=True, slots=True)
class Journal:
    """Waves of a search, on disk after each of them."""

    waves: tuple[tuple[Tried, ...], ...] = ()

    @property
    def tried(self) -> tuple[Tried, ...]:
        """All trials in their order."""
        return tuple(each for wave in self.waves for each in wave)


class Hunt:
    """One search.

    Args:
        job: of the build.
        shrinker: takes steps, each from the cache where it was done before.
        bench: the model as it came in; its sets have samples to select by.
        folder: for the journal; made when it is missing.
        clock: of the time that is spent.
    """

    def __init__(
        self,
        job: Job,
        shrinker: Shrinker,
        bench: Workbench,
        folder: Path,
        clock: Clock,
    ) -> None:
        self._job = job
        self._shrinker = shrinker
        self._clock = clock
        self._subject = _selecting(bench.subject)
        own = Workbench(self._subject, job.tools, job.rank, job.options.recipe, job.options.seed)
        self._court = self._judge(own)
        train_n, labelled = shrinker.learned(bench.subject)
        search = job.options.recipe.search or Search()
        priced = budget.priced(job.plan.targets)
        self._measure: Measure = "macs" if priced is None else search.prune.measure
        self._target = None if priced is None or self._measure == "macs" else priced.ref.text
        self._goal = Goal(
            budget_s=search.budget_minutes * _S_PER_MINUTE,
            train_n=train_n,
            prune=replace(search.prune, measure=self._measure),
            recover=search.recover,
            reconstruct=None if labelled else Reconstruct(),
        )
        self._file = folder / f"{self._key(shrinker.key(bench.subject))}.json"

    def run(self) -> tuple[tuple[Step, ...], SearchReport]:
        """Try until the time is spent; the choice's steps, none for the unchanged model."""
        journal = _read(self._file)
        while trials := auto.wave(self._goal, _history(journal)):
            start_ns = self._clock.monotonic_ns()
            wave = [self._try(trial, _history(journal)) for trial in trials]
            elapsed_s = s_from_ns(self._clock.monotonic_ns() - start_ns) / len(wave)
            timed = tuple(
                replace(each, found=replace(each.found, elapsed_s=round(elapsed_s, 3)))
                for each in wave
            )
            journal = replace(journal, waves=(*journal.waves, timed))
            _write(self._file, journal)
        chosen = auto.choice(_history(journal))
        return () if chosen is None else chosen.trial.steps, self._report(journal, chosen)

    def _try(self, trial: Trial, history: Sequence[Found]) -> Tried:
        spent_s = sum(found.elapsed_s for found in history)
        left_min = max(self._goal.budget_s - spent_s, 0.0) / _S_PER_MINUTE
        share = min(spent_s / self._goal.budget_s, 1.0)
        self._job.tell.further(f"auto: {trial.name}, {left_min:.0f} min left", share)
        own = len(trial.steps) - next(
            (len(f.trial.steps) for f in history if f.trial.name == trial.parent), 0
        )
        try:
            taken = self._shrinker.shrink(self._subject, trial.steps)
            start_ns = self._clock.monotonic_ns()
            found, told = self._judged(trial, taken)
        except ModelError as error:
            return Tried(*self._failed(trial, error))
        judging_s = s_from_ns(self._clock.monotonic_ns() - start_ns)
        # What the cache gave took its time when it was done.
        wall_s = judging_s + sum(each.reply.wall_s for each in taken[-own:])
        return Tried(replace(found, wall_s=max(round(wall_s, 3), _LEAST_S)), told)

    def _judged(self, trial: Trial, taken: Sequence[Taken]) -> tuple[Found, TrialReport]:
        methods = self._job.plan.methods[:1]
        subject = shrunk_subject(self._job, self._subject, taken)
        bench = quantized(self._job, subject, methods)
        court = self._judge(bench, before=self._court, of=trial.name)
        made, failures = tried(self._job, court, methods)
        need_one(made, failures, subject.source.path)
        guard = court.guard(made[0], looks=1)
        facts = read(made[0].content)
        found = Found(trial, self._share(taken[-1]), guard, 0.0, 0.0)
        told = TrialReport(
            name=trial.name,
            parent=trial.parent,
            epochs=trial.epochs,
            share=found.share,
            macs=facts.macs,
            params=facts.params,
            size_bytes=facts.size_bytes,
            quality=quality(made[0].judged.scores),
            guard=guard,
        )
        return found, told

    def _judge(self, bench: Workbench, before: Court | None = None, of: str = "") -> Court:
        return Court(bench, [bench], self._job.options, before=before, of=of)

    def _failed(self, trial: Trial, error: ModelError) -> tuple[Found, TrialReport]:
        limit, n = self._job.options.max_drop_pp, self._subject.sets.evaluation.n
        guard = Guard(limit, _LOST_PP, _LOST_PP, _LOST_PP, n, "fail")
        told = TrialReport(trial.name, trial.epochs, trial.parent, error=error.message)
        return Found(trial, 1.0, guard, _LEAST_S, 0.0), told

    def _share(self, last: Taken) -> float:
        share = last.reply.share
        if share is None:
            raise ModelError("the last step told no cost")
        left: float = getattr(share, f"{self._measure}_ratio")
        return left

    def _key(self, model: str) -> str:
        """Digest of all that the search goes by."""
        options, sets = self._job.options, self._subject.sets
        return key_of(
            {
                "model": model,
                "goal": self._goal,
                "max_drop_pp": options.max_drop_pp,
                "selection": set_digest(sets.evaluation),
                "calibration": set_digest(sets.calibration),
                "method": self._job.plan.methods[0],
                "metric": "" if options.metric is None else options.metric.name,
            }
        )

    def _report(self, journal: Journal, chosen: Found | None) -> SearchReport:
        history = _history(journal)
        best = {found.trial.name for found in auto.front(history)}
        return SearchReport(
            measure=self._measure,
            target=self._target,
            budget_s=self._goal.budget_s,
            spent_s=round(sum(found.elapsed_s for found in history), 1),
            selected_n=self._subject.sets.evaluation.n,
            trials=tuple(
                replace(each.told, front=each.told.name in best, wall_s=each.found.wall_s)
                for each in journal.tried
            ),
            chosen=None if chosen is None else chosen.trial.name,
            why=_why(history, chosen, self._measure),
        )


def _why(history: Sequence[Found], chosen: Found | None, measure: Measure) -> str:
    """Why a trial ships, or none does."""
    if chosen is not None:
        cheaper = sum(found.share < chosen.share for found in history)
        return (
            f"of {len(history)} trials it is the cheapest, with {chosen.share:.1%} of plain int8's "
            f"{measure}, whose drop is surely within what is allowed; of {cheaper} cheaper ones "
            "that is not sure"
        )
    near = min((f for f in history if f.share < 1), key=lambda f: f.guard.high_pp, default=None)
    if near is None:
        return "nothing better was found: no trial made the model cheaper"
    return (
        f"nothing better was found: the nearest of {len(history)} trials, with {near.share:.1%} of "
        f"plain int8's {measure}, may lose up to {near.guard.high_pp:.2f} pp"
    )


def _selecting(subject: Subject) -> Subject:
    """The model with the samples that select in the place of those of the verdict."""
    selection = subject.sets.selection
    if selection is None:
        raise ModelError("no samples were set apart to select by")
    return replace(subject, sets=replace(subject.sets, evaluation=selection))


def _history(journal: Journal) -> tuple[Found, ...]:
    return tuple(each.found for each in journal.tried)


def _read(file: Path) -> Journal:
    try:
        return codec.loads(Journal, file.read_bytes(), strict=True)
    except (OSError, DecodeError):
        return Journal()


def _write(file: Path, journal: Journal) -> None:
    part = file.with_suffix(".part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(codec.dumps(journal, indent=1), encoding="utf-8")
        part.replace(file)
    except OSError as error:
        raise GreenEdgeError(f"cannot write {file}: {error.strerror}") from error
