"""A model to compare and the set to compare it on, opened."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from green_edge.build.model_file import as_tflite, is_bundle, named, open_file
from green_edge.build.options import Progress
from green_edge.build.quiet import greet_unheard
from green_edge.convert.signature import in_authors_order, names
from green_edge.core.project import load_labels, load_pipeline
from green_edge.data import load
from green_edge.data.dataset import Dataset
from green_edge.tflite.model import TfliteModel
from green_edge.tflite.read import read
from green_edge_wire.manifest import Pipeline, TensorSpec


@dataclass(frozen=True, slots=True)
class Opened:
    """A model as .tflite, with what a bundle says of its samples."""

    path: Path
    content: bytes
    facts: TfliteModel
    pipeline: Pipeline | None = None
    labels: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """Of the .tflite."""
        return hashlib.sha256(self.content).hexdigest()


def open_model(path: Path, timeout_s: float, progress: Progress) -> Opened:
    """Open a model and make sure that it runs here.

    Raises:
        ModelError: it cannot be read, converted or run; names the file.
        IntegrityError: a bundle with wrong bytes.
    """
    pipeline: Pipeline | None = None
    labels: tuple[str, ...] = ()
    with named(path):
        if is_bundle(path):
            bundle, view = open_file(path.read_bytes(), path)
            content, pipeline, labels = bundle.model(), view.pipeline, view.labels
        else:
            content = as_tflite(path, timeout_s=timeout_s, progress=progress)
        # Refuses broken files, which the next line would stumble over.
        read(content)
        content = in_authors_order(content)
        greet_unheard(content)
        return Opened(path, content, read(content), pipeline, labels)


def load_set(
    ref: str, models: Sequence[Opened], labels: Path | None, pipeline: Path | None
) -> Dataset:
    """Load the evaluation set as the first of some models takes it.

    Args:
        ref: of the set.
        models: the first bundle of them gives what is not given here.
        labels: file with class names.
        pipeline: file with the pre-processing.

    Raises:
        ConfigError: the set cannot be read, or does not fit the model.
    """
    known = next((m.labels for m in models if m.labels), ())
    steps = next((m.pipeline for m in models if m.pipeline), None)
    dataset = load.load(
        ref,
        _float_inputs(models[0]),
        pipeline=load_pipeline(pipeline) if pipeline else steps,
        labels=load_labels(labels) if labels else known,
    )
    load.check_labels(dataset, models[0].facts.outputs[0])
    return dataset


def _float_inputs(opened: Opened) -> Sequence[TensorSpec]:
    """Inputs as the float model takes them, under the names that data sets use."""
    return [
        replace(spec, name=name)
        if spec.scale is None
        else TensorSpec(name=name, shape=spec.shape, dtype="float32")
        for spec, name in zip(opened.facts.inputs, names(opened.content).inputs, strict=True)
    ]
