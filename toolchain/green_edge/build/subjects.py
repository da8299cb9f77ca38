"""Brings the models of a build to where they can be judged: float form, samples, candidates."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from green_edge.build.candidates import RankLayers, Workbench
from green_edge.build.folds import Fold
from green_edge.build.options import BuildOptions, Progress
from green_edge.build.plan import Plan
from green_edge.build.sets import Sets, apart, calibration_only, loader, pick, training
from green_edge.build.subject import FloatModel, Subject, check_labels, check_pipeline, to_float
from green_edge.build.tools import Tools
from green_edge.convert.formats import Source
from green_edge.core.recipe import Method
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

    def further(self, doing: str, share: float | None = None) -> None:
        """Say what is being done beyond the total, and where known the share of it done."""
        self._progress(doing, share)


@dataclass(frozen=True, slots=True)
class Job:
    """What every step of one build needs."""

    options: BuildOptions
    plan: Plan
    tools: Tools
    rank: RankLayers
    tell: Steps


def make_subjects(job: Job) -> tuple[Workbench, list[Workbench]]:
    """Make the main model, and those that are judged: the folds', or the main one itself.

    What the plan makes at once is made of each before the next is read, as the names in a Keras
    graph depend on what was built before: so the main model's bytes are the same without folds.

    Raises:
        ConfigError: labels or data sets that do not fit.
        ModelError: a model that cannot be converted.
    """
    plan, options = job.plan, job.options
    float_model = _float(job, plan.source, "the model")
    check_labels(options.labels, float_model.facts)
    check_pipeline(options.pipeline, options.labels, float_model.facts)
    subject = Subject("the model", plan.source, float_model, _main_sets(job, float_model))
    main = quantized(job, subject, plan.at_once)
    if not plan.folds:
        return main, [main]
    return main, [_fold_subject(job, fold, float_model) for fold in plan.folds]


def untrainable(benches: Sequence[Workbench]) -> str | None:
    """Why some model has no samples to train on; None where all have."""
    found = (bench.subject.sets.training for bench in benches)
    return next((training for training in found if isinstance(training, str)), None)


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
    sets = _fitting(sets, float_model)
    return apart(sets, options.seed) if job.plan.divides else sets


def _fold_subject(job: Job, fold: Fold, main: FloatModel) -> Workbench:
    options = job.options
    title = f"fold {fold.number}"
    float_model = _float(job, fold.source, title)
    shapes = [[spec.shape for spec in model.facts.inputs] for model in (float_model, main)]
    if shapes[0] != shapes[1]:
        raise ModelError(
            f"{fold.source.path}: its inputs are {shapes[0]}, those of the main model {shapes[1]}"
        )
    read_ref = loader(float_model.inputs, options.pipeline, options.labels)
    own = fold.calibration is not None or fold.train is not None
    sets = pick(
        read_ref,
        calibration=fold.calibration if own else options.calibration,
        train=fold.train if own else options.train,
        evaluation=fold.eval,
        samples=options.recipe.calibration_samples,
        seed=options.seed,
    )
    # The samples that judge a fold may be among those of --train.
    own_training = training(read_ref, fold.train, f"{title} has no train.npz")
    sets = replace(_fitting(sets, float_model), training=own_training)
    if not own:
        sets = replace(sets, pool=f"{title} has neither train.npz nor calibration.npz")
    return quantized(job, Subject(title, fold.source, float_model, sets), job.plan.at_once)


def _fitting(sets: Sets, float_model: FloatModel) -> Sets:
    if sets.labelled:
        check_classes(sets.evaluation, float_model.facts.outputs[0])
    return sets


def _float(job: Job, source: Source, title: str) -> FloatModel:
    job.tell(f"converting {title} to float .tflite")
    return to_float(job.tools, source)


def quantized(job: Job, subject: Subject, methods: Sequence[Method]) -> Workbench:
    """Quantize a model by each method; a failure is raised again once the method is judged."""
    options = job.options
    bench = Workbench(subject, job.tools, job.rank, options.recipe, options.seed)
    for method in methods:
        job.tell(f"quantizing {subject.title}: {method.name}")
        # The workbench remembers a failure, which matters once the method is judged.
        with suppress(ModelError):
            bench.int8(method)
    return bench
