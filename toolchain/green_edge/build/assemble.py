"""Figures of a build as the records of its report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

from green_edge.build.measure import Judged, Trial
from green_edge.build.options import BuildOptions
from green_edge.build.plan import Plan, candidate_name
from green_edge.build.repair import Step
from green_edge.build.sets import doubts
from green_edge.build.subject import Subject
from green_edge.build.words import short_name
from green_edge.convert.layout import note as layout_note
from green_edge.core.recipe import Method
from green_edge.core.report import Candidate, Guard, ModelRef, Quality, Skip, StepReport
from green_edge.evaluate.quality import quality, unlabelled_note
from green_edge.tflite.model import TfliteModel
from green_edge.tflite.read import read
from green_edge_wire.errors import ModelError

_PACKAGES = ("tensorflow", "keras", "ai-edge-quantizer", "ai-edge-litert", "numpy")
_FLOATS = frozenset({"float16", "float32", "float64"})
FLOAT = "float"


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """All that a build tried, and what it chose.

    Attributes:
        main: the model that ships.
        judges: the models that were judged: the folds', or the main one alone.
        reference: the float model.
        first: what was tried at once, in the recipe's order.
        failures: why other methods gave no candidate.
        start: the best of `first`.
        steps: rungs of the repair ladder that were come to.
        best: the candidate that ships.
        guard: the word on it.
    """

    main: Subject
    judges: tuple[Subject, ...]
    reference: Judged
    first: tuple[Trial, ...]
    failures: Mapping[Method, ModelError]
    start: Trial
    steps: tuple[Step, ...]
    best: Trial
    guard: Guard

    @property
    def trials(self) -> tuple[Trial, ...]:
        """Every candidate that was judged, in the order of trying."""
        return (*self.first, *(step.tried for step in self.steps if step.tried is not None))


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
    entries += [(trial.method.name, trial.content, trial.judged) for trial in outcome.trials]
    wide = {t.method.name: t.method.wide for t in outcome.trials if t.method.wide}
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


def steps(
    outcome: Outcome, records: Mapping[str, Candidate], wall_s: float
) -> tuple[StepReport, ...]:
    """What quantization changed, and each rung of the repair ladder that was come to.

    Args:
        outcome: what was tried.
        records: by recipe name.
        wall_s: of the quantization.
    """
    before, after = records[FLOAT], records[outcome.start.method.name]
    failed = [Skip(method.name, str(error)) for method, error in outcome.failures.items()]
    quantized = replace(
        _change(f"quantize {after.recipe}", before, after),
        quality=after.quality,
        skipped=(*failed, *_left_in_float(read(outcome.start.content))),
        wall_s=wall_s,
    )
    return quantized, *(_rung(step, records) for step in outcome.steps)


def _rung(step: Step, records: Mapping[str, Candidate]) -> StepReport:
    before = records[step.before.method.name]
    if step.tried is None:
        skip = Skip(step.name, step.reason or "")
        return replace(_change(step.name, before, before), skipped=(skip,), wall_s=step.wall_s)
    after, base = records[step.tried.method.name], step.stands_on
    return replace(
        _change(step.name, before, after),
        quality=after.quality,
        skipped=step.skipped,
        wall_s=step.wall_s,
        recipe=after.recipe,
        base=FLOAT if base is None else base.name,
        gained_pp=step.gained_pp,
        kept=step.kept,
    )


def _change(name: str, before: Candidate, after: Candidate) -> StepReport:
    return StepReport(
        step=name,
        params_before=before.params,
        params_after=after.params,
        macs_before=before.macs,
        macs_after=after.macs,
        size_bytes_before=before.size_bytes,
        size_bytes_after=after.size_bytes,
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
    for method, error in outcome.failures.items():
        lines.append(f"{method.name} is no candidate: {error}")
    return *lines, *_repair_notes(outcome)


def _repair_notes(outcome: Outcome) -> list[str]:
    tried = sum(step.tried is not None for step in outcome.steps)
    if not tried:
        return []
    looks = outcome.guard.looks
    put = "the first alone was put to it"
    if looks > 1:
        put = f"{looks} of them were put to it, so its interval is widened for {looks} looks"
    shared = (
        f"the repair ladder chose among {len(outcome.trials)} candidates on the samples that the "
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


def need_one(first: Sequence[Trial], failures: Mapping[Method, ModelError], model: Path) -> None:
    """Refuse to go on without any candidate.

    Raises:
        ModelError: with the reason of each method, and the first remedy that one has.
    """
    if not first:
        why = " / ".join(f"{method.name}: {e.message}" for method, e in failures.items())
        hint = next((e.hint for e in failures.values() if e.hint is not None), None)
        raise ModelError(f"{model}: no int8 model could be made: {why}", hint=hint)


def tools() -> dict[str, str]:
    """Versions of the packages that a model's bytes depend on; absent ones are left out."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
