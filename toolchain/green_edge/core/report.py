"""The build report as values: what `build --json` prints and `build-report.json` holds.

The keys are the fields, in their order; an absent key means that it does not apply.
"""

from dataclasses import dataclass, field
from typing import Literal

from green_edge.core.recipe import Recipe

SCHEMA = 1

ModelFormat = Literal["keras", "h5", "saved-model", "tflite", "onnx", "torch"]
Verdict = Literal["pass", "fail", "inconclusive"]


@dataclass(frozen=True, slots=True)
class ModelRef:
    """The model that went in.

    Attributes:
        version: of what came out; grows by one with each build whose model bytes differ.
        sha256: of the source file, or of a SavedModel's files in the order of their names.
    """

    name: str
    version: int
    sha256: str
    format: ModelFormat


@dataclass(frozen=True, slots=True)
class AcceleratorReport:
    """What became of the model on an accelerator's own compiler.

    Attributes:
        status: `not-compiled` where this machine has no compiler, `failed` where it gave nothing.
        command: that made the compiled file, or that makes it on a machine with the compiler.
        file: name of the compiled file in the output folder.
        compiler_version: as the compiler told it.
        tpu_ops: operations that run on the accelerator, by the compiler's log.
        cpu_ops: operations that it left to the CPU.
        cached_bytes: parameters kept on the chip between inferences.
        streamed_bytes: parameters sent to the chip at every inference.
        reason: why it is not compiled, and what to do.
    """

    status: Literal["compiled", "not-compiled", "failed"]
    command: str | None = None
    file: str | None = None
    compiler_version: str | None = None
    tpu_ops: int | None = None
    cpu_ops: int | None = None
    cached_bytes: int | None = None
    streamed_bytes: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class TargetArtefact:
    """What was written for one target.

    Attributes:
        name: as the user gave the target.
        file: name of the .tflite in the output folder.
        bundle: name of the .gedge in the output folder.
        sha256: of the bundle.
        accelerator: of a target that has one.
    """

    name: str
    file: str
    bundle: str
    sha256: str
    accelerator: AcceleratorReport | None = None


@dataclass(frozen=True, slots=True)
class Quality:
    """Mean quality of a model over a set, higher is better.

    Attributes:
        metric: `accuracy`, `closeness`, or their `fidelity-...` to the float model where the set
            has no labels.
        value: 0..1.
        low: lower end of the 95 % interval.
        high: upper end of the 95 % interval.
        n: samples.
    """

    metric: str
    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """One model that was made and measured.

    Attributes:
        recipe: how it was made, such as `int8-tf-minmax`.
        file: name of its .tflite; relative to the output folder where it was kept there.
        params: weights and biases.
        macs: multiply-accumulates of one inference.
        zip_bytes: size after zlib level 9.
        latency_us: median on the machine that built it, one thread; never the device's.
        wide: output tensors of the layers that stay wider than int8.
    """

    recipe: str
    file: str
    params: int
    macs: int
    size_bytes: int
    zip_bytes: int
    quality: Quality
    latency_us: float | None = None
    wide: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Guard:
    """Is the chosen model as good as the float one, on the same samples?

    Attributes:
        max_drop_pp: the allowed drop of quality in percentage points.
        drop_pp: float minus chosen; positive is worse.
        low_pp: lower end of the 95 % interval of the drop.
        high_pp: upper end of the 95 % interval of the drop.
        n: paired samples.
        reference: what the chosen model was compared with.
        looks: how many candidates were put to the guard: the first, and each that took the place of
            the best until one passed; the interval is widened for more than one.
        samples_needed: about so many would decide, if the rates stay; absent where none is needed
            or none would.
    """

    max_drop_pp: float
    drop_pp: float
    low_pp: float
    high_pp: float
    n: int
    verdict: Verdict
    reference: Literal["float"] = "float"
    looks: int = 1
    samples_needed: int | None = None


@dataclass(frozen=True, slots=True)
class CostShare:
    """What is left of the cost of the unchanged model's int8 file, as the cost model predicts it.

    Attributes:
        energy_ratio: of the whole board while it computes.
    """

    instructions_ratio: float
    macs_ratio: float
    energy_ratio: float


@dataclass(frozen=True, slots=True)
class Predicted:
    """Predicted cost of the chosen model on a target, as a share of plain int8's there."""

    target: str
    share: CostShare


@dataclass(frozen=True, slots=True)
class BudgetLine:
    """One limit of the recipe's budget and what was reached.

    Attributes:
        limit: its key, such as `max_macs_ratio`.
    """

    limit: str
    allowed: float
    found: float
    met: bool


@dataclass(frozen=True, slots=True)
class Skip:
    """A layer that a step left alone, and why."""

    layer: str
    reason: str


@dataclass(frozen=True, slots=True)
class StepReport:
    """What one step of the recipe changed.

    Attributes:
        step: what was done; a rung of the repair ladder by its own name, such as `bias-correction`.
        skipped: layers that were left alone; a rung that names itself here was not taken.
        recipe: of a rung: name of the candidate that it made.
        base: of a rung: the recipe that this one was made from, or `float`.
        gained_pp: of a rung: its quality less that of the best so far; negative is worse.
        kept: of a rung: whether it took the place of the best.
        plan: of a step that shrank the Keras model: what it decided, line by line.
        share: of such a step: predicted cost that was left after it.
        cached: of such a step: whether it had been done by an earlier build.
    """

    step: str
    params_before: int
    params_after: int
    macs_before: int
    macs_after: int
    size_bytes_before: int
    size_bytes_after: int
    quality: Quality | None = None
    skipped: tuple[Skip, ...] = ()
    wall_s: float = 0.0
    recipe: str | None = None
    base: str | None = None
    gained_pp: float | None = None
    kept: bool | None = None
    plan: tuple[str, ...] | None = None
    share: CostShare | None = None
    cached: bool | None = None


@dataclass(frozen=True, slots=True)
class TrialReport:
    """One list of steps that a search tried, and the int8 model that came of it.

    Attributes:
        parent: the trial that it went on from; absent for the model that came in.
        epochs: of the recovery at its end.
        share: of the plain int8 model's predicted cost that is left.
        quality: on the samples that select.
        guard: the guard's word there.
        front: no other trial is both cheaper and better.
        error: why there is no model; then the figures are absent.
    """

    name: str
    epochs: float
    parent: str | None = None
    share: float | None = None
    macs: int | None = None
    params: int | None = None
    size_bytes: int | None = None
    quality: Quality | None = None
    guard: Guard | None = None
    front: bool = False
    error: str | None = None
    wall_s: float = 0.0


@dataclass(frozen=True, slots=True)
class SearchReport:
    """What a search tried, and what it chose.

    Attributes:
        measure: of the cost: predicted instructions on the first target that has a cost model,
            else MACs.
        target: that the cost is predicted for; absent for MACs.
        spent_s: of the time there was.
        selected_n: samples that selected; none of them is among those of the verdict.
        chosen: name of the trial that ships; absent where the unchanged model does.
        why: that one.
    """

    measure: str
    budget_s: float
    spent_s: float
    selected_n: int
    trials: tuple[TrialReport, ...]
    why: str
    target: str | None = None
    chosen: str | None = None


@dataclass(frozen=True, slots=True)
class BuildReport:
    """Everything that a build says of itself.

    Attributes:
        float_model: the float .tflite.
        int8_baseline: the unchanged model's full int8 by the first quantizer of its kind.
        chosen: the candidate that was shipped; its quality is pooled over the folds.
        folds: how many models stand behind the qualities: 1, or one a fold where the evaluation
            is cross-fitted (each model judged on samples that it was not trained on).
        notes: what a reader of the figures has to know.
        tools: version by package of what converted, quantized and ran the models.
        recipe_used: all keys of the recipe, as a recipe file has them; with `seed` and the guard's
            `max_drop_pp` it repeats the build.
        search: of the recipe `auto`: what was tried; the steps of the choice are those of
            `recipe_used`.
        predicted: of the first target that has a cost model; absent where none has.
        budget: each limit of the recipe's budget, beside that of quality, which is the guard's.
        record_sha256: of the build record in the bundle: this report without times, latencies,
            host names and paths, so that another machine may come to the same one.
    """

    schema: int = field(default=SCHEMA, kw_only=True)
    tool_version: str
    seed: int
    model: ModelRef
    targets: tuple[TargetArtefact, ...]
    float_model: Candidate = field(metadata={"key": "float"})
    int8_baseline: Candidate
    chosen: Candidate
    candidates: tuple[Candidate, ...]
    guard: Guard
    steps: tuple[StepReport, ...]
    wall_s: float
    folds: int = 1
    notes: tuple[str, ...] = ()
    tools: dict[str, str] = field(default_factory=dict)
    recipe_used: Recipe | None = None
    search: SearchReport | None = None
    predicted: Predicted | None = None
    budget: tuple[BudgetLine, ...] | None = None
    record_sha256: str | None = None
