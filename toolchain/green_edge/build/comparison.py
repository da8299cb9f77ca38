"""What changed between two models: quality, the error of each layer, size, MACs and latency."""

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from green_edge.build.model_file import is_bundle
from green_edge.build.quiet import greet_unheard
from green_edge.bundle import check
from green_edge.convert.converters import Converters
from green_edge.convert.formats import open_source
from green_edge.convert.signature import in_authors_order, names
from green_edge.core.project import load_labels, load_pipeline
from green_edge.data import load
from green_edge.data.dataset import Dataset
from green_edge.evaluate.guard import difference
from green_edge.evaluate.latency import LatencyRatio, ratio
from green_edge.evaluate.layers import LayerError, LayerReport, compare_layers
from green_edge.evaluate.matching import Unmatched
from green_edge.evaluate.quality import Scores, predict, score, unlabelled, unlabelled_note
from green_edge.tflite.model import TfliteModel
from green_edge.tflite.read import read
from green_edge_wire.archive import Bundle, open_bundle
from green_edge_wire.errors import ConfigError, IntegrityError, ModelError
from green_edge_wire.manifest import Pipeline, TensorSpec

_CONVERT_TIMEOUT_S = 300.0

Progress = Callable[[str, float | None], None]


@dataclass(frozen=True, slots=True)
class Both:
    """A count of both models."""

    a: int
    b: int


@dataclass(frozen=True, slots=True)
class Digests:
    """SHA-256 of both .tflite."""

    a: str
    b: str


@dataclass(frozen=True, slots=True)
class QualityDifference:
    """Quality of both models on the same samples.

    Attributes:
        metric: as in a build report; without labels the baseline's outputs stand in for them.
        a: mean score of the baseline, 0..1.
        b: of the new model.
        difference: `b` less `a`: below 0 the new model is worse.
        low: its paired 95 % interval.
        high: likewise.
        n: samples.
    """

    metric: str
    a: float
    b: float
    difference: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """A baseline `a` and a new model `b`.

    Attributes:
        layers: worst first.
        unmatched: operations that are in no layer.
        layer_samples: how many the layers were judged on.
        latency_ratio: latency of `b` over that of `a` on this machine, which is no device; absent
            when it was not measured.
        notes: what the figures need to be read.
    """

    a: str
    b: str
    sha256: Digests
    quality: QualityDifference
    layers: tuple[LayerError, ...]
    unmatched: tuple[Unmatched, ...]
    layer_samples: int
    size_bytes: Both
    macs: Both
    latency_ratio: LatencyRatio | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """What to compare, and on what.

    Attributes:
        eval: data set, with labels or without.
        labels: file with class names; those of a bundle otherwise.
        pipeline: file with the pre-processing; that of a bundle otherwise.
        samples: that the layers are judged on.
        runs: of each model for the latency; 0 leaves it out.
        seed: of the draw of samples and of the latency's inputs.
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
    timeout_s: float = _CONVERT_TIMEOUT_S


@dataclass(frozen=True, slots=True)
class _Opened:
    """A model as .tflite, with what a bundle says of its samples."""

    path: Path
    content: bytes
    facts: TfliteModel
    pipeline: Pipeline | None = None
    labels: tuple[str, ...] = ()


def compare(options: CompareOptions, progress: Progress) -> Comparison:
    """Compare two models.

    Raises:
        ConfigError: the data set or an option does not fit.
        ModelError: a model cannot be read, converted or run, or they take other inputs.
        IntegrityError: a bundle with wrong bytes.
    """
    _check(options)
    a, b = (_open(path, options, progress) for path in (options.baseline, options.new))
    for opened in (a, b):
        with _named(opened.path):
            greet_unheard(opened.content)
    dataset = _load(options, a, b)
    quality, beside = _quality(a, b, dataset, progress)
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
    return Comparison(
        a=str(a.path),
        b=str(b.path),
        sha256=Digests(_digest(a), _digest(b)),
        quality=quality,
        layers=report.layers,
        unmatched=report.unmatched,
        layer_samples=report.samples,
        size_bytes=Both(a.facts.size_bytes, b.facts.size_bytes),
        macs=Both(a.facts.macs, b.facts.macs),
        latency_ratio=latency,
        notes=(*beside, *_notes(a, dataset, report, latency)),
    )


def _check(options: CompareOptions) -> None:
    if options.seed < 0:
        raise ConfigError("must not be negative", place="--seed")
    load.check_exists(options.eval)


def _open(path: Path, options: CompareOptions, progress: Progress) -> _Opened:
    pipeline: Pipeline | None = None
    labels: tuple[str, ...] = ()
    with _named(path):
        if is_bundle(path):
            bundle = _bundle(path)
            content, pipeline, labels = bundle.model(), bundle.pipeline(), bundle.labels()
        else:
            content = _tflite(path, options.timeout_s, progress)
        # Refuses broken files, which the next line would stumble over.
        read(content)
        content = in_authors_order(content)
        return _Opened(path, content, read(content), pipeline, labels)


def _bundle(path: Path) -> Bundle:
    """Open a bundle; whoever signed it, its bytes are checked."""
    try:
        return open_bundle(path.read_bytes(), lambda _key, _message, _signature: None)
    except IntegrityError as error:
        raise check.in_file(error, path) from None


def _tflite(path: Path, timeout_s: float, progress: Progress) -> bytes:
    source = open_source(path)
    if source.format == "tflite":
        return path.read_bytes()
    progress(f"converting {path.name} to float .tflite", None)
    with (
        tempfile.TemporaryDirectory(prefix="green-edge-") as folder,
        Converters(Path(folder), timeout_s=timeout_s) as converters,
    ):
        return converters.to_float(source)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Name the file in what goes wrong with it."""
    try:
        yield
    except ModelError as error:
        known = error.message.startswith(str(path))
        message = error.message if known else f"{path}: {error.message}"
        raise ModelError(message, hint=error.hint) from error


def _load(options: CompareOptions, a: _Opened, b: _Opened) -> Dataset:
    labels = load_labels(options.labels) if options.labels else a.labels or b.labels
    pipeline = load_pipeline(options.pipeline) if options.pipeline else a.pipeline or b.pipeline
    dataset = load.load(options.eval, _float_inputs(a), pipeline=pipeline, labels=labels)
    load.check_labels(dataset, a.facts.outputs[0])
    return dataset


def _float_inputs(opened: _Opened) -> Sequence[TensorSpec]:
    """Inputs as the float model takes them, under the names that data sets use."""
    return [
        replace(spec, name=name)
        if spec.scale is None
        else TensorSpec(name=name, shape=spec.shape, dtype="float32")
        for spec, name in zip(opened.facts.inputs, names(opened.content).inputs, strict=True)
    ]


def _quality(
    a: _Opened, b: _Opened, dataset: Dataset, progress: Progress
) -> tuple[QualityDifference, tuple[str, ...]]:
    """The difference, and what to know of outputs that labels do not speak of."""
    outputs = []
    for opened in (a, b):
        tell = partial(progress, f"running {opened.path.name} on {dataset.n} samples")
        tell(0.0)
        with _named(opened.path):
            outputs.append(predict(opened.content, dataset, progress=tell))
    first, second = (
        score(own, y=dataset.y, reference=outputs[0], labels=dataset.labels) for own in outputs
    )
    drop = difference(first, second)
    others = None if dataset.y is None else unlabelled(outputs[1], outputs[0])
    found = QualityDifference(
        metric=first.metric,
        a=_mean(first),
        b=_mean(second),
        difference=0.0 - drop.value,
        low=0.0 - drop.high,
        high=0.0 - drop.low,
        n=dataset.n,
    )
    return found, () if others is None else (unlabelled_note(_mean(others), "baseline"),)


def _mean(scores: Scores) -> float:
    return float(scores.per_sample.mean())


def _digest(opened: _Opened) -> str:
    return hashlib.sha256(opened.content).hexdigest()


def _notes(
    a: _Opened, dataset: Dataset, report: LayerReport, latency: LatencyRatio | None
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
