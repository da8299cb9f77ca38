"""What changed between two models: quality, the error of each layer, size, MACs and latency.

The baseline may be an earlier comparison, which holds the figures of its new model.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from green_edge.build.compare.earlier import Earlier, is_document, load_earlier
from green_edge.build.compare.gate import IfMore, judge
from green_edge.build.compare.opened import Opened, load_set, open_model
from green_edge.build.compare.predicted import basis_of, cost_of, predict_pairs
from green_edge.build.compare.values import Both, Comparison, Digests, QualityDifference
from green_edge.build.model_file import named
from green_edge.build.options import Progress
from green_edge.build.words import zeros_counted
from green_edge.core.gate import Gate
from green_edge.core.report import Quality
from green_edge.data import load
from green_edge.data.dataset import Dataset
from green_edge.evaluate import quality
from green_edge.evaluate.guard import difference
from green_edge.evaluate.intervals import Interval, unpaired
from green_edge.evaluate.latency import LatencyRatio, ratio
from green_edge.evaluate.layers import LayerReport, compare_layers
from green_edge.evaluate.quality import Floats, Scores
from green_edge.evaluate.score_record import record, restore, set_digest
from green_edge.targets import grammar, registry
from green_edge.targets.registry import Target
from green_edge_wire.errors import ConfigError

_CONVERT_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """What to compare, and on what.

    Attributes:
        baseline: a model, or an earlier comparison as JSON, whose new model is the baseline.
        eval: data set, with labels or without.
        labels: file with class names; those of a bundle otherwise.
        pipeline: file with the pre-processing; that of a bundle otherwise.
        samples: that the layers are judged on.
        runs: of each model for the latency; 0 leaves it out.
        seed: of the draw of samples and of the latency's inputs.
        gate: limits for the new model.
        timeout_s: limit for the conversion of a model that is no .tflite.
    """

    baseline: Path
    new: Path
    eval: str
    labels: Path | None = None
    pipeline: Path | None = None
    samples: int = 32
    runs: int = 100
    seed: int = 0
    gate: Gate | None = None
    timeout_s: float = _CONVERT_TIMEOUT_S


def compare(options: CompareOptions, progress: Progress) -> Comparison:
    """Compare two models, and hold the new one to the gate where there is one.

    Raises:
        ConfigError: the data set, the earlier comparison or an option does not fit.
        ModelError: a model cannot be read, converted or run, or they take other inputs.
        IntegrityError: a bundle with wrong bytes.
    """
    if options.seed < 0:
        raise ConfigError("must not be negative", place="--seed")
    load.check_exists(options.eval)
    targets = () if options.gate is None else _targets(options.gate)
    if is_document(options.baseline):
        earlier = load_earlier(options.baseline)
        found, scores, if_more = _with_earlier(earlier, targets, options, progress)
    else:
        found, scores, if_more = _with_model(targets, options, progress)
    if options.gate is None:
        return found
    return replace(found, gate=judge(options.gate, found, quality.quality(scores), if_more))


def _targets(gate: Gate) -> tuple[Target, ...]:
    """Targets that a gate names; those whose cost is their processor's."""
    try:
        targets = tuple(registry.find(name) for name in gate.targets)
    except ConfigError as error:
        what = error.message.removeprefix(f"{grammar.PLACE}: ")
        raise ConfigError(what, place="--gate", hint=error.hint) from None
    for target in targets:
        if target.accelerator is not None:
            what = f"limits are for processors, {target.ref.text} is an accelerator"
            hint = f"see green-edge estimate --target {target.ref.text}"
            raise ConfigError(what, place="--gate", hint=hint)
        try:
            # Refuses what nothing is known of before the work is done.
            basis_of(target)
        except ConfigError as error:
            raise ConfigError(error.message, place="--gate", hint=error.hint) from None
    return targets


def _with_model(
    targets: Sequence[Target], options: CompareOptions, progress: Progress
) -> tuple[Comparison, Scores, IfMore]:
    """The comparison, the new model's scores, and what more samples would tell."""
    a, b = (
        open_model(path, options.timeout_s, progress) for path in (options.baseline, options.new)
    )
    predicted, guesses = predict_pairs(b.facts, targets, lambda target, _: cost_of(a.facts, target))
    dataset = load_set(options.eval, (a, b), options.labels, options.pipeline)
    first, second = (_run(opened, dataset, progress) for opened in (a, b))
    before, after = (
        quality.score(own, y=dataset.y, reference=first, labels=dataset.labels)
        for own in (first, second)
    )
    progress("comparing layers", 0.0)
    report = compare_layers(
        a.content,
        b.content,
        dataset,
        samples=options.samples,
        seed=options.seed,
        progress=partial(progress, "comparing layers"),
    )
    latency = None
    if options.runs:
        progress("measuring latency", None)
        latency = ratio(a.content, b.content, runs=options.runs, seed=options.seed)
    others = None if dataset.y is None else quality.unlabelled(second, first)
    found = Comparison(
        a=str(a.path),
        b=str(b.path),
        sha256=Digests(a.sha256, b.sha256),
        quality=_quality(before, after, difference(before, after)),
        layers=report.layers,
        unmatched=report.unmatched,
        layer_samples=report.samples,
        size_bytes=Both(a.facts.size_bytes, b.facts.size_bytes),
        zip_bytes=Both(a.facts.zip_bytes, b.facts.zip_bytes),
        macs=Both(a.facts.macs, b.facts.macs),
        record=record(after, set_digest(dataset)),
        latency_ratio=latency,
        unjudged_outputs=_unjudged(b, dataset),
        other_outputs=None if others is None else quality.quality(others),
        predicted=predicted,
        notes=(
            *_beside(others),
            *_notes(a, dataset, report, latency),
            *zeros_counted(b.facts),
            *guesses,
        ),
    )
    if_more = IfMore(
        drop=lambda samples: difference(before, after, samples=samples),
        own=partial(quality.interval_at, after),
        others=None if others is None else partial(quality.interval_at, others),
    )
    return found, after, if_more


def _with_earlier(
    a: Earlier, targets: Sequence[Target], options: CompareOptions, progress: Progress
) -> tuple[Comparison, Scores, IfMore]:
    """As `_with_model`, with what was written down of a model."""
    b = open_model(options.new, options.timeout_s, progress)
    same = b.sha256 == a.sha256.b
    predicted, guesses = predict_pairs(
        b.facts, targets, lambda target, new: new if same else a.predicted_for(target)
    )
    dataset = load_set(options.eval, (b,), options.labels, options.pipeline)
    if dataset.y is None:
        hint = "give the baseline as a model, whose outputs stand in for labels"
        raise ConfigError("has no labels to judge by", place=options.eval, hint=hint)
    after = quality.score(_run(b, dataset, progress), y=dataset.y, labels=dataset.labels)
    if after.metric != a.quality.metric:
        message = f"the earlier comparison has {a.quality.metric}, this set gives {after.metric}"
        raise ConfigError(message, place=options.eval)
    written = record(after, set_digest(dataset))
    paired = written.set_sha256 == a.record.set_sha256
    # Rounded as the baseline's are, so that a model does not differ from itself.
    scores = restore(written, after.metric, dataset.n)
    change = difference if paired else _unpaired
    notes = ["layers and latency need the baseline's file; here it is an earlier comparison"]
    if not paired:
        notes.append(
            f"the baseline was judged on other samples ({a.quality.n}): the interval is wider than "
            "a paired one"
        )
    found = Comparison(
        a=a.b,
        b=str(b.path),
        sha256=Digests(a.sha256.b, b.sha256),
        quality=_quality(a.scores, scores, change(a.scores, scores), paired=paired),
        layers=(),
        unmatched=(),
        layer_samples=0,
        size_bytes=Both(a.size_bytes.b, b.facts.size_bytes),
        zip_bytes=Both(a.zip_bytes.b, b.facts.zip_bytes),
        macs=Both(a.macs.b, b.facts.macs),
        record=written,
        unjudged_outputs=_unjudged(b, dataset),
        other_outputs=Quality("fidelity", 1.0, 1.0, 1.0, dataset.n) if same else None,
        predicted=predicted,
        notes=(*notes, *zeros_counted(b.facts), *guesses),
    )
    if_more = IfMore(
        drop=lambda samples: change(a.scores, scores, samples=samples),
        own=partial(quality.interval_at, scores),
    )
    return found, scores, if_more


def _run(opened: Opened, dataset: Dataset, progress: Progress) -> tuple[Floats, ...]:
    tell = partial(progress, f"running {opened.path.name} on {dataset.n} samples")
    tell(0.0)
    with named(opened.path):
        return quality.predict(opened.content, dataset, progress=tell)


def _unjudged(opened: Opened, dataset: Dataset) -> int:
    """Outputs that labels do not speak of: all but the first."""
    return 0 if dataset.y is None else len(opened.facts.outputs) - 1


def _beside(others: Scores | None) -> tuple[str, ...]:
    """What to know of outputs that labels do not speak of."""
    return () if others is None else (quality.unlabelled_note(_mean(others), "baseline"),)


def _unpaired(first: Scores, second: Scores, *, samples: int | None = None) -> Interval:
    """Difference of two sets; with `samples` as if the second one had so many."""
    count = len(second.per_sample) if samples is None else samples
    old = quality.interval_at(first, len(first.per_sample))
    return unpaired(old, quality.interval_at(second, count))


def _quality(
    before: Scores, after: Scores, drop: Interval, *, paired: bool = True
) -> QualityDifference:
    return QualityDifference(
        metric=before.metric,
        a=_mean(before),
        b=_mean(after),
        difference=0.0 - drop.value,
        low=0.0 - drop.high,
        high=0.0 - drop.low,
        n=len(after.per_sample),
        paired=paired,
    )


def _mean(scores: Scores) -> float:
    return float(scores.per_sample.mean())


def _notes(
    a: Opened, dataset: Dataset, report: LayerReport, latency: LatencyRatio | None
) -> tuple[str, ...]:
    notes = []
    if dataset.y is None:
        notes.append("without labels the quality is the agreement with the baseline")
    if any(tensor.scale is not None and not tensor.constant for tensor in a.facts.tensors):
        notes.append("the baseline is quantized itself: a layer's error is the difference to it")
    if report.rescaled:
        count = len(report.rescaled)
        notes.append(
            f"{count} {'tensor is' if count == 1 else 'tensors are'} scaled channel by channel, as "
            "cross-layer equalisation does; they are compared in the baseline's units"
        )
    if latency is not None:
        notes.append("the latency is this machine's: a board's may differ in either direction")
    return tuple(notes)
