"""What a build will do, decided before it spends time; `--dry-run` prints it."""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from green_edge.build import budget, step_words
from green_edge.build.folds import Fold, find_folds
from green_edge.build.options import BuildOptions
from green_edge.build.sets import check_given, short
from green_edge.compress.graph.values import Kept
from green_edge.convert.formats import Source, open_source
from green_edge.core.recipe import Method
from green_edge.core.report import ModelFormat
from green_edge.core.steps import Sparsify
from green_edge.data import load
from green_edge.search import ladder
from green_edge.search.ladder import Means
from green_edge.targets import registry
from green_edge.targets.registry import Target
from green_edge_wire import topics
from green_edge_wire.errors import ConfigError, ModelError

REPORT_JSON = "build-report.json"
REPORT_HTML = "build-report.html"

_MOST_DROP_PP = 100.0
# The TF converter's ways in.
_TF_READS: frozenset[ModelFormat] = frozenset({"keras", "h5", "saved-model", "onnx"})
_TRAINABLE: frozenset[ModelFormat] = frozenset({"keras", "h5"})


@dataclass(frozen=True, slots=True)
class Plan:
    """A build that can begin: its model is recognized, its targets exist, its sets are named.

    Attributes:
        methods: to be tried at once; more follow where the guard does not pass.
        shrinks: whether they are tried on a shrunk model; the first then gives the unchanged
            model's int8 as well, to compare with.
        searches: whether the steps that shrink it are still to be found.
        divides: whether half of the evaluation samples are a search's to select by.
    """

    source: Source
    targets: tuple[Target, ...]
    methods: tuple[Method, ...]
    folds: tuple[Fold, ...]
    shrinks: bool = False
    searches: bool = False
    divides: bool = False

    @property
    def at_once(self) -> tuple[Method, ...]:
        """What is tried on the models as they came in."""
        return self.methods[:1] if self.shrinks else self.methods


@dataclass(frozen=True, slots=True)
class PlanSummary:
    """A plan for people and scripts.

    Attributes:
        files: what would be written, relative to `out`.
    """

    name: str
    model: str
    format: ModelFormat
    model_sha256: str
    targets: tuple[str, ...]
    candidates: tuple[str, ...]
    max_drop_pp: float
    seed: int
    out: str
    steps: tuple[str, ...]
    files: tuple[str, ...]


def make_plan(options: BuildOptions) -> Plan:
    """Check what can be checked without converting anything.

    Raises:
        ConfigError: an option does not make sense, a target is unknown, no set is given.
        ModelError: the model is none.
    """
    _check_options(options)
    targets = tuple(registry.find(target) for target in options.targets)
    if not targets or len({target.ref.slug for target in targets}) != len(targets):
        raise ConfigError("name each target once", place="--target")
    check_given(options.calibration, options.train)
    source = open_source(options.model)
    budget.check_known(options.recipe.budget, targets)
    for ref in (options.calibration, options.train, options.eval):
        if ref is not None:
            load.check_exists(ref)
    folds = () if options.eval is None else find_folds(options.eval)
    if options.recipe.steps:
        _check_shrinkable((source, *(fold.source for fold in folds)))
    # What cannot be shrunk is quantized alone: that is then the best that a search could find.
    divides = options.recipe.search is not None and source.format in _TRAINABLE
    if divides and folds:
        hint = "give one evaluation set, or a recipe file with the steps"
        raise ConfigError("a search does not go with folds", place="--recipe", hint=hint)
    searches = divides and options.replay is None
    return Plan(
        source=source,
        targets=targets,
        methods=_fitting(options.recipe.methods, source.format),
        folds=folds,
        shrinks=bool(options.recipe.steps) or searches,
        searches=searches,
        divides=divides,
    )


def _check_options(options: BuildOptions) -> None:
    topics.check_name(options.name, place="model name")
    # Written so that NaN is refused too.
    if not 0 <= options.max_drop_pp <= _MOST_DROP_PP:
        raise ConfigError(f"must be 0 to {_MOST_DROP_PP:g}", place="--max-drop")
    if not 0 < options.timeout_s < math.inf:
        raise ConfigError("must be a number of seconds above 0", place="--timeout")
    if options.model_version is not None and options.model_version < 1:
        raise ConfigError("versions begin at 1", place="--model-version")
    if options.seed < 0:
        raise ConfigError("must not be negative", place="--seed")
    if options.recipe.calibration_samples < 1:
        raise ConfigError("needs one sample at least", place="--calibration-samples")


def _check_shrinkable(sources: Iterable[Source]) -> None:
    for source in sources:
        if source.format not in _TRAINABLE:
            raise ConfigError(
                f"only Keras 3 models can be shrunk, and {source.path} is {source.format}",
                place="--recipe",
                hint="give the .keras file, or quantize alone: --recipe quantize",
            )


def _fitting(methods: tuple[Method, ...], model_format: ModelFormat) -> tuple[Method, ...]:
    """Leave out the TF converter where it has no way in: only the float .tflite is left there."""
    fitting = tuple(m for m in methods if m.quantizer != "tf" or model_format in _TF_READS)
    if not fitting:
        raise ConfigError(
            f"the TF converter reads no {model_format} file, and the recipe has no other quantizer",
            place="--recipe",
            hint="add 'aeq', or give the Keras model",
        )
    return fitting


def means_of(
    plan: Plan,
    training: str | None,
    failed: Mapping[Method, ModelError],
    *,
    labelled: bool,
    ties: Collection[Kept] = (),
) -> Means:
    """What the repair ladder lacks in a build.

    Args:
        plan: of the build.
        training: why some model has nothing to train on; None where all have.
        failed: methods that gave no model, with the reason of each.
        labelled: the evaluation set says what is right.
        ties: what steps made of the weights and repairs must keep.
    """
    aeq = next((method for method in plan.methods if method.quantizer == "aeq"), None)
    no_aeq = None
    if aeq is None:
        no_aeq = "the recipe leaves ai-edge-quantizer out"
    elif aeq in failed:
        no_aeq = f"ai-edge-quantizer failed: {failed[aeq].message}"
    if plan.source.format not in _TRAINABLE:
        training = "only Keras models can be trained"
    tied = "it would undo the zeros or shared values that a step made" if ties else None
    # Scaled zeros are zeros, scaled values are others.
    scaled = (
        "it would scale shared values that a step made apart" if set(ties) - {"zeros"} else None
    )
    return Means(
        no_rounding=tied,
        no_scaling=scaled,
        no_aeq=no_aeq,
        no_training=tied or training,
        no_wide=_no_wide(plan, labelled=labelled),
    )


def _no_wide(plan: Plan, *, labelled: bool) -> str | None:
    narrow = next((target for target in plan.targets if not target.wide), None)
    if narrow is not None:
        return f"{narrow.ref.text} runs int8 layers alone"
    # Nearness to the float model is no accuracy: it would take most layers out of int8 for nothing.
    return None if labelled else "without labels nothing tells whether it is worth its cost"


def trial_name(of: str, method: Method) -> str:
    """Name of a candidate: its method, after the name of the steps that had shrunk the model."""
    return f"{of}+{method.name}" if of else method.name


def tflite_name(options: BuildOptions, target: Target) -> str:
    """Name of the .tflite for a target."""
    return f"{options.name}.{target.ref.slug}.tflite"


def bundle_name(options: BuildOptions, target: Target) -> str:
    """Name of the bundle for a target."""
    return f"{options.name}.{target.ref.slug}.gedge"


def candidate_name(options: BuildOptions, recipe: str) -> str:
    """Name of a candidate's .tflite, kept for comparison."""
    return f"candidates/{options.name}.{recipe}.tflite"


def summarize(options: BuildOptions, plan: Plan) -> PlanSummary:
    """Put a plan in words."""
    recipes = tuple(_names(options, plan))
    files = [
        name for t in plan.targets for name in (tflite_name(options, t), bundle_name(options, t))
    ]
    kept = [candidate_name(options, recipe) for recipe in ("float", *recipes)]
    return PlanSummary(
        name=options.name,
        model=str(plan.source.path),
        format=plan.source.format,
        model_sha256=plan.source.sha256,
        targets=tuple(target.ref.text for target in plan.targets),
        candidates=recipes,
        max_drop_pp=options.max_drop_pp,
        seed=options.seed,
        out=str(options.out),
        steps=_steps(options, plan, recipes),
        files=(*files, *kept, REPORT_JSON, REPORT_HTML),
    )


def _steps(options: BuildOptions, plan: Plan, recipes: tuple[str, ...]) -> tuple[str, ...]:
    pool = options.calibration if options.calibration is not None else options.train or ""
    steps = []
    if plan.source.format != "tflite":
        steps.append("convert to float .tflite with batch 1")
    most = options.recipe.calibration_samples
    steps.append(f"draw up to {most} calibration samples from {short(pool)}")
    if plan.shrinks:
        steps.append(f"quantize the unchanged model to {recipes[0]}, to compare with")
        learned = options.train or options.calibration or ""
        steps.append(f"learn from samples of {short(learned)}, some of them held back to choose by")
        steps += _shrinking(options, plan)
    steps += [f"quantize to {method.name}" for method in plan.methods]
    skipping = [target.ref.text for target in plan.targets if target.skips_zeros]
    if skipping and any(isinstance(step, Sparsify) for step in options.recipe.steps):
        steps.append(f"store zeros of float away, if that is faster on {', '.join(skipping)}")
    steps.append(_judging(options, plan))
    steps.append("keep the better candidate")
    steps.append(f"guard: quality may drop by {options.max_drop_pp:g} pp against the float model")
    rungs = _repairs(options, plan)
    if rungs:
        steps.append(f"where it does not pass, repair by {', '.join(rungs)}, until it does")
        if options.max_drop_pp > ladder.GOAL_PP:
            steps.append(f"then go on with what is free on the device, to {ladder.GOAL_PP:g} pp")
    corals = [target.ref.text for target in plan.targets if target.accelerator is not None]
    if corals:
        steps.append(f"compile for {', '.join(corals)} by edgetpu_compiler, where it is on PATH")
    steps.append(f"sign a bundle for {', '.join(t.ref.text for t in plan.targets)}")
    return tuple(steps)


def _shrinking(options: BuildOptions, plan: Plan) -> list[str]:
    search = options.recipe.search
    if search is None or not plan.searches:
        return [step_words.sentence(step) for step in options.recipe.steps]
    searching = (
        f"search for {search.budget_minutes:g} minutes for the steps that leave the lowest "
        "predicted cost and hold the allowed drop on half of the evaluation samples"
    )
    return [searching, "ship the unchanged model in int8 where nothing better is found"]


def _names(options: BuildOptions, plan: Plan) -> Iterator[str]:
    yield from (method.name for method in plan.at_once)
    if plan.shrinks:
        yield from (trial_name(options.recipe.name, method) for method in plan.methods)


def _repairs(options: BuildOptions, plan: Plan) -> list[str]:
    """Rungs of the ladder that can be taken, as far as it is known beforehand."""
    training = None if options.train else "no training set"
    means = means_of(plan, training, {}, labelled=options.eval is not None)
    rungs = ladder.rungs(options.recipe)
    return [ladder.label(rung) for rung in rungs if ladder.missing(rung, means) is None]


def _judging(options: BuildOptions, plan: Plan) -> str:
    if options.eval is None:
        return "judge by fidelity to the float model on held-back samples"
    if plan.folds:
        return f"judge by {len(plan.folds)} cross-fitted folds of {short(options.eval)}"
    return f"judge on {short(options.eval)}"
