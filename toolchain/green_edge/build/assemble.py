"""Figures of a build as the records of its report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from textwrap import wrap

from green_edge.build.contest import Contest
from green_edge.build.measure import Judged, Trial
from green_edge.build.options import BuildOptions
from green_edge.build.plan import Plan, candidate_name, trial_name
from green_edge.build.repair import Step
from green_edge.build.sets import doubts
from green_edge.build.shrunk import Shrunk, Stage
from green_edge.build.sparse_float import SparseCandidate
from green_edge.build.sparse_float import note as sparse_note
from green_edge.build.subject import Subject
from green_edge.build.words import short_name
from green_edge.convert.layout import note as layout_note
from green_edge.core.report import (
    Candidate,
    ModelRef,
    Quality,
    SearchReport,
    Skip,
    StepReport,
)
from green_edge.core.steps import Sparsify
from green_edge.core.steps import Step as RecipeStep
from green_edge.evaluate.quality import quality, unlabelled_note
from green_edge.tflite.model import TfliteModel
from green_edge.tflite.read import read

_PACKAGES = ("tensorflow", "keras", "ai-edge-quantizer", "ai-edge-litert", "numpy")
_FLOATS = frozenset({"float16", "float32", "float64"})
FLOAT = "float"
_COLUMNS = 80

# Parameters, MACs and bytes.
_Form = tuple[int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """All that a build tried, and what it chose.

    Attributes:
        main: the model that ships, as it came in.
        judges: the models that were judged, as they came in: the folds', or the main one alone.
        reference: the float model.
        contest: the candidates.
        baseline: int8 of the model as it came in.
        shrunk: what was done to it before it was quantized; None where nothing was.
        search: what a search tried; None where there was none.
        steps: that were taken, the search's choice among them.
        quantizing_s: seconds until the first choice, without the steps of `shrunk`.
    """

    main: Subject
    judges: tuple[Subject, ...]
    reference: Judged
    contest: Contest
    baseline: Trial
    shrunk: Shrunk | None
    search: SearchReport | None
    steps: tuple[RecipeStep, ...]
    quantizing_s: float

    @property
    def best(self) -> Trial:
        """The candidate that ships."""
        return self.contest.best

    @property
    def trials(self) -> tuple[Trial, ...]:
        """Every int8 candidate that was judged, in the order of trying."""
        before = () if self.shrunk is None else (self.baseline,)
        return (*before, *self.contest.trials)

    @property
    def beside(self) -> SparseCandidate | None:
        """The float candidate; None where no target is faster by it."""
        return None if self.contest.sparse is None else self.contest.sparse.candidate

    @property
    def candidates(self) -> tuple[Trial | SparseCandidate, ...]:
        """Every candidate that was judged."""
        return *self.trials, *(() if self.beside is None else (self.beside,))


def candidates(
    options: BuildOptions, outcome: Outcome, latency_us: Mapping[str, float]
) -> dict[str, Candidate]:
    """Records by recipe name: the float model first, then the candidates in their order.

    Args:
        options: of the build.
        outcome: what was tried.
        latency_us: median by recipe name, where it was measured.
    """
    entries: list[tuple[str, bytes, Judged]] = [
        (FLOAT, outcome.main.float_model.content, outcome.reference)
    ]
    entries += [(each.name, each.content, each.judged) for each in outcome.candidates]
    wide = {t.name: t.method.wide for t in outcome.trials if t.method.wide}
    records = {}
    for recipe, content, judged in entries:
        facts = read(content)
        records[recipe] = Candidate(
            recipe=recipe,
            file=candidate_name(options, recipe),
            params=facts.params,
            macs=facts.macs,
            size_bytes=facts.size_bytes,
            zip_bytes=facts.zip_bytes,
            quality=_quality(recipe, judged),
            latency_us=latency_us.get(recipe),
            wide=wide.get(recipe),
        )
    return records


def _quality(recipe: str, judged: Judged) -> Quality:
    found = quality(judged.scores)
    # The float model agrees with itself by definition, which no interval can blur.
    by_definition = recipe == FLOAT and found.metric.startswith("fidelity")
    return replace(found, low=found.value, high=found.value) if by_definition else found


def steps(outcome: Outcome, records: Mapping[str, Candidate]) -> tuple[StepReport, ...]:
    """What the recipe's steps and quantization changed, and each rung of the ladder come to.

    Args:
        outcome: what was tried.
        records: by recipe name.
    """
    contest = outcome.contest
    before, after = _form(records[FLOAT]), records[contest.start.name]
    stages = [] if outcome.shrunk is None else outcome.shrunk.stages
    shrinking = []
    last_zeros = _last_zeros(stages)
    for i, stage in enumerate(stages):
        shrinking.append(_stage(before, stage, _on_zeros(outcome) if i == last_zeros else ()))
        before = _form(stage.facts)
    failed = [Skip(method.name, str(error)) for method, error in contest.failures.items()]
    quantized = replace(
        _change(f"quantize {after.recipe}", before, _form(after)),
        quality=after.quality,
        skipped=(*failed, *_left_in_float(read(contest.start.content))),
        wall_s=outcome.quantizing_s,
    )
    return *shrinking, quantized, *(_rung(step, records) for step in contest.steps)


def _last_zeros(stages: Sequence[Stage]) -> int:
    """The last step that made zeros; where none is known to, the last one."""
    made = (i for i, stage in enumerate(stages) if isinstance(stage.taken.step, Sparsify))
    return max(made, default=len(stages) - 1)


def _on_zeros(outcome: Outcome) -> tuple[str, ...]:
    """What zeros are good for on the targets, as lines of a plan."""
    found = outcome.contest.sparse
    said = () if found is None else found.lines
    return tuple(line for each in said for line in wrap(each, _COLUMNS, subsequent_indent="  "))


def _stage(before: _Form, stage: Stage, more: tuple[str, ...]) -> StepReport:
    taken = stage.taken
    return replace(
        _change(taken.step.step, before, _form(stage.facts)),
        quality=stage.quality,
        skipped=taken.reply.skipped,
        wall_s=taken.wall_s,
        plan=(*taken.reply.lines, *more),
        share=taken.reply.share,
        cached=taken.kept,
    )


def _rung(step: Step, records: Mapping[str, Candidate]) -> StepReport:
    before = _form(records[step.before.name])
    if step.tried is None:
        skip = Skip(step.name, step.reason or "")
        return replace(_change(step.name, before, before), skipped=(skip,), wall_s=step.wall_s)
    after, base = records[step.tried.name], step.stands_on
    return replace(
        _change(step.name, before, _form(after)),
        quality=after.quality,
        skipped=step.skipped,
        wall_s=step.wall_s,
        recipe=after.recipe,
        base=FLOAT if base is None else trial_name(step.tried.of, base),
        gained_pp=step.gained_pp,
        kept=step.kept,
    )


def _form(facts: Candidate | TfliteModel) -> _Form:
    return facts.params, facts.macs, facts.size_bytes


def _change(name: str, before: _Form, after: _Form) -> StepReport:
    return StepReport(
        step=name,
        params_before=before[0],
        params_after=after[0],
        macs_before=before[1],
        macs_after=after[1],
        size_bytes_before=before[2],
        size_bytes_after=after[2],
    )


def _left_in_float(facts: TfliteModel) -> list[Skip]:
    return [
        Skip(op.name, f"{op.op} stays in float")
        for op in facts.ops
        if op.op != "DEQUANTIZE" and any(facts.tensors[i].dtype in _FLOATS for i in op.outputs)
    ]


def notes(plan: Plan, outcome: Outcome) -> tuple[str, ...]:
    """What a reader of the figures has to know; without folders of this machine."""
    sets = outcome.main.sets
    lines = [sets.notes[0]]
    if outcome.shrunk is not None:
        told = (note for stage in outcome.shrunk.stages for note in stage.taken.reply.notes)
        lines += [outcome.shrunk.note, *dict.fromkeys(told)]
    if outcome.contest.lost_before:
        lines.append(
            "the shrunk model fails the guard before it is quantized: no repair of int8 was tried"
        )
    if plan.folds:
        n = sum(subject.sets.evaluation.n for subject in outcome.judges)
        lines.append(
            f"judged by {len(plan.folds)} folds: the recipe was applied to a model a fold, each "
            f"judged on samples that it was not trained on, {n:,} in all; the shipped file comes "
            "from the main model"
        )
    else:
        lines += sets.notes[1:]
    layout = layout_note(plan.source.format, outcome.main.float_model.inputs)
    if layout is not None:
        lines.append(layout)
    # The main model's evaluation is its calibration where folds judge in its place.
    lines += dict.fromkeys(w for s in (outcome.main, *outcome.judges) for w in doubts(s.sets))
    beside = outcome.best.judged.unlabelled
    if beside is not None:
        lines.append(unlabelled_note(beside, "float model"))
    for method, error in outcome.contest.failures.items():
        lines.append(f"{method.name} is no candidate: {error}")
    if outcome.beside is not None:
        lines.append(sparse_note(outcome.beside, plan.targets))
    return *lines, *_repair_notes(outcome)


def _repair_notes(outcome: Outcome) -> list[str]:
    contest = outcome.contest
    if not any(step.tried is not None for step in contest.steps):
        return []
    looks = contest.guard.looks
    put = "the first alone was put to it"
    if looks > 1:
        put = f"{looks} of them were put to it, so its interval is widened for {looks} looks"
    shared = (
        f"the repair ladder chose among {len(contest.trials)} candidates on the samples that the "
        f"guard judges by: {put}; the quality is flattered a little, as that of any best of "
        "several, which is not corrected for"
    )
    method = outcome.best.method
    if not method.wide:
        return [shared]
    return [shared, f"kept in {method.wide_dtype}: {', '.join(map(short_name, method.wide))}"]


def model_ref(options: BuildOptions, plan: Plan, version: int) -> ModelRef:
    """The model that went in."""
    return ModelRef(options.name, version, plan.source.sha256, plan.source.format)


def tools() -> dict[str, str]:
    """Versions of the packages that a model's bytes depend on; absent ones are left out."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
