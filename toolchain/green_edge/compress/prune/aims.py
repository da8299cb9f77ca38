"""What the outputs are held against: labels, or what the original model says."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from green_edge.compress.scene import Array, Samples

# `classes`: shares that add up to 1 over the last axis; `logits`: the same before the softmax;
# `binary`: shares by themselves; `values`: anything else, by squares in units of the variance.
_Form = Literal["classes", "logits", "binary", "values"]

_LEAST_SHARE = 1e-7
_BATCH = 128


@dataclass(frozen=True, slots=True, eq=False)
class Aims:
    """Wanted outputs of some samples.

    Attributes:
        wanted: for each output of the model, sample first.
        forms: of the outputs.
        scales: of the squared distance of each output of values.
    """

    wanted: tuple[Array, ...]
    forms: tuple[_Form, ...]
    scales: tuple[float, ...]

    def loss(self, outputs: Sequence[Any], wanted: Sequence[Any]) -> Any:
        """Mean over a batch, added up over the outputs, as a tensor."""
        parts = [
            tf.reduce_mean(_distance(form, tf.cast(given, tf.float32), want)) / scale
            for form, scale, given, want in zip(
                self.forms, self.scales, outputs, wanted, strict=True
            )
        ]
        return tf.add_n(parts)


def aims_of(samples: Samples, teacher: Any) -> Aims:
    """The labels for the first output, where there are any; for others what the teacher says."""
    told = said(teacher, samples)
    forms = [_form(each) for each in told]
    if samples.y is not None:
        told[0], forms[0] = _labels(samples.y, told[0], forms[0])
    scales = [
        (float(np.var(each)) or 1.0) if form == "values" else 1.0
        for each, form in zip(told, forms, strict=True)
    ]
    return Aims(tuple(told), tuple(forms), tuple(scales))


def drawn(aims: Aims, seed: int) -> Aims:
    """Aims with one outcome drawn from each distribution.

    A model that agrees with its aims has no gradient. The mean square of the gradients towards
    outcomes that it holds possible is the Fisher information instead: how much the outputs change.
    """
    draw = np.random.default_rng(seed)
    wanted = [
        _outcome(each, form, draw) for each, form in zip(aims.wanted, aims.forms, strict=True)
    ]
    return Aims(tuple(wanted), aims.forms, aims.scales)


def outputs_of(model: Any, inputs: Sequence[Any]) -> list[Any]:
    """Outputs of a model as a list, as it gives them when it runs: no dropout, fixed statistics."""
    given = model(inputs[0] if len(inputs) == 1 else list(inputs), training=False)
    outputs: list[Any] = keras.tree.flatten(given)
    return outputs


def said(model: Any, samples: Samples) -> list[Array]:
    """What a model gives for samples, an array of each output."""
    run = compiled(lambda *inputs: outputs_of(model, inputs))
    parts = [run(*map(tf.constant, samples.take(rows).x)) for rows in batches(samples.n, _BATCH)]
    return [
        np.concatenate([np.asarray(part[k], np.float32) for part in parts])
        for k in range(len(parts[0]))
    ]


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of tensors as a graph; its Python is run as it stands."""
    made: Callable[..., Any] = tf.function(function, autograph=False, reduce_retracing=True)
    return made


def batches(n: int, size: int) -> list[slice]:
    """Slices of at most `size` of n samples, in order."""
    return [slice(first, min(first + size, n)) for first in range(0, n, size)]


def _form(told: Array) -> _Form:
    if told.min() >= 0 and told.max() <= 1:
        adds_up = told.ndim > 1 and np.allclose(told.sum(axis=-1), 1.0, atol=1e-3)
        return "classes" if adds_up and told.shape[-1] > 1 else "binary"
    return "values"


def _labels(y: Array, told: Array, form: _Form) -> tuple[Array, _Form]:
    """Labels in the shape of an output, and how they are compared with it."""
    if np.issubdtype(y.dtype, np.integer) and told.shape[-1] > 1:
        every = np.eye(told.shape[-1], dtype=np.float32)[y]
        return every.reshape(told.shape), "classes" if form == "classes" else "logits"
    return y.reshape(told.shape).astype(np.float32), form


def _outcome(wanted: Array, form: _Form, draw: np.random.Generator) -> Array:
    if form == "classes":
        below = draw.random(wanted.shape[:-1])[..., None]
        classes = np.argmax(np.cumsum(wanted, axis=-1) >= below, axis=-1)
        every: Array = np.eye(wanted.shape[-1], dtype=np.float32)[classes]
        return every
    if form == "binary":
        return (draw.random(wanted.shape) < wanted).astype(np.float32)
    spread = float(np.std(wanted)) or 1.0
    return wanted + draw.normal(0.0, spread, wanted.shape).astype(np.float32)


def _distance(form: _Form, given: Any, wanted: Any) -> Any:
    match form:
        case "classes":
            return -tf.reduce_sum(wanted * tf.math.log(tf.maximum(given, _LEAST_SHARE)), axis=-1)
        case "logits":
            return tf.nn.softmax_cross_entropy_with_logits(labels=wanted, logits=given)
        case "binary":
            given = tf.clip_by_value(given, _LEAST_SHARE, 1 - _LEAST_SHARE)
            return -(wanted * tf.math.log(given) + (1 - wanted) * tf.math.log(1 - given))
        case _:
            return tf.square(given - wanted)
