"""Climbs the repair ladder: tries its rungs and keeps what improves the best candidate so far."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from green_edge.build.candidates import Workbench
from green_edge.build.measure import Court, Trial
from green_edge.build.subjects import Job
from green_edge.core.recipe import Method
from green_edge.core.report import Skip
from green_edge.search import ladder
from green_edge.search.choice import improves
from green_edge.search.ladder import Means, Rung
from green_edge_wire.clock import Clock
from green_edge_wire.errors import ModelError
from green_edge_wire.units import s_from_ns

_PP = 100.0


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """A rung that was come to.

    Attributes:
        name: what it adds to the name of a method.
        before: the best candidate when it was come to.
        rung: of the ladder.
        tried: what it made; None where it was not taken.
        reason: why it was not taken.
        kept: whether `tried` became the best.
        skipped: layers that the rung left alone.
    """

    name: str
    rung: Rung
    before: Trial
    tried: Trial | None = None
    reason: str | None = None
    kept: bool = False
    skipped: tuple[Skip, ...] = ()
    wall_s: float = 0.0

    @property
    def stands_on(self) -> Method | None:
        """What `tried` was made from; None for the float model."""
        return None if self.tried is None else ladder.stands_on(self.rung, self.tried.method)

    @property
    def gained_pp(self) -> float | None:
        """Quality won in percentage points."""
        if self.tried is None:
            return None
        return (self.tried.judged.value - self.before.judged.value) * _PP


class Climb:
    """A walk up the ladder from the best of the first candidates.

    The guard judges that one, and each rung's candidate that takes the place of the best, until one
    passes. These are its looks; what is dropped is none. A candidate that takes the place of one
    that passed must pass too, at the same number of looks.

    Args:
        job: of the build.
        main: the model that ships.
        court: makes and judges candidates.
        start: the first candidates' best.
        means: what the build lacks.
        clock: of the steps' durations.
    """

    def __init__(
        self, job: Job, main: Workbench, court: Court, start: Trial, means: Means, clock: Clock
    ) -> None:
        self._job = job
        self._main = main
        self._court = court
        self._means = means
        self._clock = clock
        self.best = start
        # What rungs build on: the best one that has the float model's weights.
        self._base = start
        # The guard's word on the best so far.
        self.guard = court.guard(start, looks=1)
        self.steps: list[Step] = []

    def run(self) -> None:
        """Climb until no rung that is left is wanted."""
        if not ladder.begins(self.guard):
            return
        for rung in ladder.rungs(self._job.options.recipe):
            if not self._wanted(rung):
                continue
            reason = ladder.missing(rung, self._means)
            if reason is not None:
                self._leave(rung, reason)
            elif rung == "mixed":
                self._mix()
            else:
                self._take(rung)

    def _wanted(self, rung: Rung) -> bool:
        return ladder.wanted(rung, self.guard)

    def _take(self, rung: Rung) -> None:
        base = self._base.method
        for start in ladder.starts(rung, base, self._job.options.recipe):
            name = _name(ladder.label(rung), start, base)
            self._try(rung, name, partial(ladder.climbed, rung, start))
            # What one start cannot have the others cannot.
            if not self._wanted(rung) or self.steps[-1].tried is None:
                return

    def _mix(self) -> None:
        """Keep more and more layers wide, the worst first."""
        base, recipe = self._base.method, self._job.options.recipe
        self._job.tell.further("ranking layers by what they cost in quality")
        try:
            layers = len(self._main.layers(ladder.narrow(base)))
        except ModelError as error:
            self._leave("mixed", error.message)
            return
        counts = ladder.wide_counts(layers)
        if not counts:
            self._leave("mixed", f"with {layers} layers in all, none would be left in int8")
        for count in counts:
            for start in ladder.starts("mixed", base, recipe):
                name = _name(ladder.label("mixed", count), start, base)
                plain = ladder.narrow(start)
                self._try(
                    "mixed", name, partial(self._main.widened, plain, count, recipe.wide_dtype)
                )
                if not self._wanted("mixed"):
                    return

    def _leave(self, rung: Rung, reason: str) -> None:
        self.steps.append(Step(ladder.label(rung), rung, self.best, reason=reason))

    def _try(self, rung: Rung, name: str, find: Callable[[], Method]) -> None:
        start_ns = self._clock.monotonic_ns()
        step = Step(name, rung, self.best)
        try:
            method = find()
            self._job.tell.further(f"repairing: {method.name}")
            tried = self._court.try_method(method)
        except ModelError as error:
            step = replace(step, reason=error.message)
        else:
            skipped = self._main.skipped(rung, method)
            step = replace(step, tried=tried, kept=self._judge(rung, tried), skipped=skipped)
        wall_s = s_from_ns(self._clock.monotonic_ns() - start_ns)
        self.steps.append(replace(step, wall_s=round(wall_s, 3)))

    def _judge(self, rung: Rung, tried: Trial) -> bool:
        """Make a candidate the best, or what rungs build on, where it is better than those are."""
        passed = self.guard.verdict == "pass"
        if passed and self._court.guard(tried, self.guard.looks).verdict != "pass":
            return False
        kept = improves(tried.figures, self.best.figures, costs=rung == "mixed")
        if kept:
            self.best = tried
            looks = self.guard.looks if passed else self.guard.looks + 1
            self.guard = self._court.guard(tried, looks)
        plain = rung != "fine-tune"
        if plain and improves(tried.figures, self._base.figures, costs=rung == "mixed"):
            self._base = tried
        return kept


def _name(label: str, start: Method, base: Method) -> str:
    """Name of a rung; with the calibration where it is tried on top of another than the best."""
    return label if start == base else f"{label} {start.calibration}"
