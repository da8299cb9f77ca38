"""Figures of a build as the records of its report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

from green_edge.build.measure import Judged, Verdicts
from green_edge.build.options import BuildOptions
from green_edge.build.plan import Plan, candidate_name
from green_edge.build.subject import RECIPE_NAMES, Subject
from green_edge.core.recipe import Quantizer
from green_edge.core.report import Candidate, ModelRef, Quality, Skip, StepReport
from green_edge.evaluate.quality import quality
from green_edge.tflite.model import TfliteModel
from green_edge.tflite.read import read
from green_edge_wire.errors import ModelError

_PACKAGES = ("tensorflow", "keras", "ai-edge-quantizer", "ai-edge-litert", "numpy")
_FLOATS = frozenset({"float16", "float32", "float64"})
FLOAT = "float"


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """The candidate that ships."""

    quantizer: Quantizer
    content: bytes
    facts: TfliteModel


def candidates(
    options: BuildOptions,
    subject: Subject,
    verdicts: Verdicts,
    latency_us: Mapping[str, float],
) -> dict[str, Candidate]:
    """Records by recipe name: the float model first, then the candidates in the recipe's order.

    Args:
        options: of the build.
        subject: the main model.
        verdicts: what was judged.
        latency_us: median by recipe name, where it was measured.
    """
    entries: list[tuple[str, bytes, Judged]] = [
        (FLOAT, subject.float_model.content, verdicts.reference)
    ]
    for quantizer, judged in verdicts.candidates.items():
        entries.append((RECIPE_NAMES[quantizer], subject.candidates[quantizer], judged))
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
        )
    return records


def _quality(recipe: str, judged: Judged) -> Quality:
    found = quality(judged.scores)
    # The float model agrees with itself by definition, which no interval can blur.
    by_definition = recipe == FLOAT and found.metric.startswith("fidelity")
    return replace(found, low=found.value, high=found.value) if by_definition else found


def quantize_step(
    before: Candidate, after: Candidate, chosen: Chosen, verdicts: Verdicts, wall_s: float
) -> StepReport:
    """What quantization changed, what it left in float, and which quantizer gave nothing."""
    failed = (
        Skip(RECIPE_NAMES[quantizer], str(error)) for quantizer, error in verdicts.failures.items()
    )
    return StepReport(
        step=f"quantize {after.recipe}",
        params_before=before.params,
        params_after=after.params,
        macs_before=before.macs,
        macs_after=after.macs,
        size_bytes_before=before.size_bytes,
        size_bytes_after=after.size_bytes,
        quality=after.quality,
        skipped=(*failed, *_left_in_float(chosen.facts)),
        wall_s=wall_s,
    )


def _left_in_float(facts: TfliteModel) -> list[Skip]:
    return [
        Skip(op.name, f"{op.op} stays in float")
        for op in facts.ops
        if op.op != "DEQUANTIZE" and any(facts.tensors[i].dtype in _FLOATS for i in op.outputs)
    ]


def notes(
    plan: Plan, subjects: Sequence[Subject], main: Subject, verdicts: Verdicts
) -> tuple[str, ...]:
    """What a reader of the figures has to know; without folders of this machine."""
    lines = [main.sets.notes[0]]
    if plan.folds:
        n = sum(subject.sets.evaluation.n for subject in subjects)
        lines.append(
            f"judged by {len(plan.folds)} folds: the recipe was applied to a model a fold, each "
            f"judged on samples that it was not trained on, {n:,} in all; the shipped file comes "
            "from the main model"
        )
    else:
        lines += main.sets.notes[1:]
    for quantizer, error in verdicts.failures.items():
        lines.append(f"{RECIPE_NAMES[quantizer]} is no candidate: {error}")
    return tuple(lines)


def model_ref(options: BuildOptions, plan: Plan, version: int) -> ModelRef:
    """The model that went in."""
    return ModelRef(options.name, version, plan.source.sha256, plan.source.format)


def need_one(verdicts: Verdicts, model: Path) -> None:
    """Refuse to go on without any candidate.

    Raises:
        ModelError: with the reason of each quantizer, and the first remedy that one has.
    """
    if not verdicts.candidates:
        why = " / ".join(f"{RECIPE_NAMES[q]}: {e.message}" for q, e in verdicts.failures.items())
        hint = next((e.hint for e in verdicts.failures.values() if e.hint is not None), None)
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
