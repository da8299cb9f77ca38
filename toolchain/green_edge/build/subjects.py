"""Brings the models of a build to where they can be judged: float form, samples, candidates."""

from dataclasses import dataclass

from green_edge.build.folds import Fold
from green_edge.build.options import BuildOptions, Progress
from green_edge.build.plan import Plan
from green_edge.build.sets import Sets, calibration_only, loader, pick
from green_edge.build.subject import (
    RECIPE_NAMES,
    FloatModel,
    Subject,
    check_labels,
    check_pipeline,
    quantize,
    to_float,
)
from green_edge.convert.converters import Converters
from green_edge.convert.formats import Source
from green_edge.data.load import check_labels as check_classes
from green_edge_wire.errors import ModelError


class Steps:
    """Counts steps towards a total for the progress."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0

    def __call__(self, doing: str) -> None:
        """Say what is being done next."""
        self._progress(doing, self._done / self._total)
        self._done += 1


@dataclass(frozen=True, slots=True)
class Job:
    """What every step of one build needs."""

    options: BuildOptions
    plan: Plan
    converters: Converters
    tell: Steps


def make_subjects(job: Job) -> tuple[Subject, list[Subject]]:
    """Make the main model, and those that are judged: the folds', or the main one itself.

    Raises:
        ConfigError: labels or data sets that do not fit.
        ModelError: a model that cannot be converted.
    """
    plan, options = job.plan, job.options
    float_model = _float(job, plan.source, "the model")
    check_labels(options.labels, float_model.facts)
    check_pipeline(options.pipeline, options.labels, float_model.facts)
    main = _quantized(job, plan.source, float_model, _main_sets(job, float_model), "the model")
    if not plan.folds:
        return main, [main]
    return main, [_fold_subject(job, fold, float_model) for fold in plan.folds]


def _main_sets(job: Job, float_model: FloatModel) -> Sets:
    options = job.options
    read_ref = loader(float_model.inputs, options.pipeline, options.labels)
    samples = options.recipe.calibration_samples
    if job.plan.folds:
        return calibration_only(
            read_ref,
            calibration=options.calibration,
            train=options.train,
            samples=samples,
            seed=options.seed,
        )
    sets = pick(
        read_ref,
        calibration=options.calibration,
        train=options.train,
        evaluation=options.eval,
        samples=samples,
        seed=options.seed,
    )
    return _fitting(sets, float_model)


def _fold_subject(job: Job, fold: Fold, main: FloatModel) -> Subject:
    options = job.options
    what = f"fold {fold.number}"
    float_model = _float(job, fold.source, what)
    shapes = [[spec.shape for spec in model.facts.inputs] for model in (float_model, main)]
    if shapes[0] != shapes[1]:
        raise ModelError(
            f"{fold.source.path}: its inputs are {shapes[0]}, those of the main model {shapes[1]}"
        )
    own = fold.calibration is not None or fold.train is not None
    sets = pick(
        loader(float_model.inputs, options.pipeline, options.labels),
        calibration=fold.calibration if own else options.calibration,
        train=fold.train if own else options.train,
        evaluation=fold.eval,
        samples=options.recipe.calibration_samples,
        seed=options.seed,
    )
    return _quantized(job, fold.source, float_model, _fitting(sets, float_model), what)


def _fitting(sets: Sets, float_model: FloatModel) -> Sets:
    if sets.labelled:
        check_classes(sets.evaluation, float_model.facts.outputs[0])
    return sets


def _float(job: Job, source: Source, what: str) -> FloatModel:
    job.tell(f"converting {what} to float .tflite")
    return to_float(job.converters, source)


def _quantized(job: Job, source: Source, float_model: FloatModel, sets: Sets, what: str) -> Subject:
    made, failed = quantize(
        job.converters,
        source,
        float_model,
        sets.calibration,
        job.plan.quantizers,
        lambda quantizer: job.tell(f"quantizing {what}: {RECIPE_NAMES[quantizer]}"),
    )
    return Subject(source, float_model, sets, made, failed)
