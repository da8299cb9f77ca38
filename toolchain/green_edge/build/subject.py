"""A model on its way through the build: its float form and its samples."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from green_edge.build.sets import Sets
from green_edge.build.tools import Tools
from green_edge.convert.formats import Source
from green_edge.convert.signature import Names, in_authors_order, names
from green_edge.convert.token_ids import refuse_real_ids
from green_edge.tflite.model import TfliteModel
from green_edge.tflite.read import read
from green_edge_agent.runtime.processing import finish, prepare
from green_edge_wire.errors import ConfigError, ModelError
from green_edge_wire.manifest import Pipeline, TensorSpec


@dataclass(frozen=True, slots=True)
class FloatModel:
    """A float .tflite.

    Attributes:
        inputs: under the names that data sets use.
    """

    content: bytes
    facts: TfliteModel
    names: Names

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Inputs under the names that data sets use."""
        return tuple(
            replace(spec, name=name)
            for spec, name in zip(self.facts.inputs, self.names.inputs, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Subject:
    """One model with its samples: the main one, or a fold's; `title` is for messages."""

    title: str
    source: Source
    float_model: FloatModel
    sets: Sets


def to_float(tools: Tools, source: Source) -> FloatModel:
    """Convert a model to float and read it; its first output is the one that its author put first.

    Raises:
        ModelError: it cannot be converted, has dynamic shapes, is quantized already, or takes token
            ids as real numbers.
    """
    try:
        content = tools.to_float(source)
        facts = read(content)
        _check_float(facts)
        refuse_real_ids(content)
    except ModelError as error:
        raise ModelError(f"{source.path}: {error.message}", hint=error.hint) from error
    ordered = in_authors_order(content)
    if ordered != content:
        facts = read(ordered)
    return FloatModel(ordered, facts, names(ordered))


def _check_float(facts: TfliteModel) -> None:
    batched = next((s for s in facts.inputs if s.shape[:1] != (1,)), None)
    if batched is not None:
        raise ModelError(
            f"input {batched.name!r} has shape {batched.shape}, no batch of 1",
            hint="export it with an open batch or a batch of 1 as the first axis",
        )
    if any(tensor.scale is not None for tensor in facts.tensors):
        raise ModelError("it is quantized already", hint="give the float model it was made from")


def check_labels(labels: Sequence[str], facts: TfliteModel) -> None:
    """Refuse labels that do not number the classes of the first output.

    Raises:
        ConfigError: naming both numbers.
    """
    classes = facts.outputs[0].shape[-1] if facts.outputs[0].shape else 1
    # One sigmoid may stand for two classes.
    if labels and len(labels) != classes and (len(labels), classes) != (2, 1):
        raise ConfigError(
            f"{len(labels)} labels, the model's output has {classes} classes",
            place="--labels",
            hint="write one class name a line, in the order of the model's output",
        )


def check_pipeline(pipeline: Pipeline, labels: Sequence[str], facts: TfliteModel) -> None:
    """Run pre- and post-processing on zeros, before a build spends time.

    Raises:
        ConfigError: a step does not fit the model's first input or output.
    """
    taken, given = facts.inputs[0], facts.outputs
    try:
        prepare(pipeline, np.zeros(taken.sample_shape, np.float32), taken)
        finish(pipeline, [np.zeros(spec.shape, spec.dtype) for spec in given], given, labels)
    except ModelError as error:
        raise ConfigError(error.message, place="--pipeline", hint=error.hint) from None
