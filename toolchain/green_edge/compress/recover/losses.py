"""What recovery minimises: distance to the labels, to the original's outputs and inner tensors.

Where an output is a distribution, everything is told in logarithms of its shares: the labels' part
is the cross-entropy, the teacher's the divergence at a temperature (Hinton et al. 2015), times its
square, so that its gradients stay as large as the labels'. Any other output is told by squared
error over the variance of what is wanted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from green_edge.compress.recover.features import Point
from green_edge.core.steps import Recover

Array = NDArray[Any]

# `shares`: adds up to 1 over the last axis, as a softmax's does; `logits`: a softmax's input, which
# only labels that are class indices can tell; `binary`: each value a sigmoid's; `values`: the rest.
Kind = Literal["shares", "logits", "binary", "values"]

# Far below what decides anything, and its inverse is still a float32: a greater floor would cut the
# gradient off just where an output is most wrong.
_LEAST_SHARE = 1e-30
_LEAST_VARIANCE = 1e-12


@dataclass(frozen=True, slots=True)
class Output:
    """How an output of the model is told right from wrong.

    Attributes:
        kind: what its numbers are.
        variance: of the values that the original gives.
        indices: the labels are indices along the last axis; else they are as the output is.
    """

    kind: Kind
    variance: float = 1.0
    indices: bool = False


def output_of(values: Array, labels: Array | None, *, sigmoid: bool) -> Output:
    """What an output is, by some of the values that the original model gives.

    Args:
        values: (samples, ..., last axis).
        labels: of these samples, for the first output; None for the others or without labels.
        sigmoid: the layer that gives it ends in one.
    """
    variance = max(float(np.var(values)), _LEAST_VARIANCE)
    several = values.ndim > 1 and values.shape[-1] > 1
    if sigmoid:
        return Output("binary", variance)
    indices = (
        several
        and labels is not None
        and labels.dtype.kind in "iu"
        and labels.size * values.shape[-1] == values.size
    )
    if several and (values >= 0).all() and np.allclose(values.sum(axis=-1), 1.0, atol=1e-3):
        return Output("shares", variance, indices)
    return Output("logits" if indices else "values", variance, indices)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a batch should give.

    Attributes:
        labels: of the first output, an array as the data set holds it or None; with `mix`, those of
            the sample and those of what was mixed into it.
        share: of the first of two labels; (batch,), or None where nothing was mixed.
        outputs: the original's.
        inner: the original's at each point.
    """

    labels: tuple[Any, ...]
    share: Any
    outputs: Sequence[Any]
    inner: Sequence[Any]


def loss(
    step: Recover,
    outputs: Sequence[Output],
    points: Sequence[Point],
    given: tuple[Sequence[Any], Sequence[Any]],
    wanted: Wanted,
) -> Any:
    """The loss of a batch as a scalar tensor.

    Args:
        step: the weights of the parts.
        outputs: kinds of the outputs.
        points: where the inner tensors were taken.
        given: outputs and inner tensors of the model that learns.
        wanted: what they should be.
    """
    total = tf.zeros(())
    if step.labels and wanted.labels:
        total += step.labels * _labelled(outputs[0], given[0][0], wanted)
    if step.teacher:
        parts = [
            _taught(output, give, want, step.temperature)
            for output, give, want in zip(outputs, given[0], wanted.outputs, strict=True)
        ]
        total += step.teacher * tf.add_n(parts)
    if step.features and points:
        parts = [
            _apart(point, give, want)
            for point, give, want in zip(points, given[1], wanted.inner, strict=True)
        ]
        total += step.features * tf.add_n(parts) / len(parts)
    return total


def _labelled(output: Output, given: Any, wanted: Wanted) -> Any:
    errors = [_label_errors(output, given, labels) for labels in wanted.labels]
    if wanted.share is None:
        return tf.reduce_mean(errors[0])
    return tf.reduce_mean(wanted.share * errors[0] + (1.0 - wanted.share) * errors[1])


def _label_errors(output: Output, given: Any, labels: Any) -> Any:
    """Mean error of each sample, (batch,)."""
    if output.kind == "values":
        target = tf.reshape(tf.cast(labels, tf.float32), tf.shape(given))
        errors = tf.square(target - tf.cast(given, tf.float32)) / output.variance
    else:
        errors = -tf.reduce_sum(_shares(output, given, labels) * _logs(output, given), axis=-1)
    return tf.reduce_mean(tf.reshape(errors, (tf.shape(errors)[0], -1)), axis=-1)


def _shares(output: Output, given: Any, labels: Any) -> Any:
    """Labels as distributions over the last axis."""
    if output.kind == "binary":
        target = tf.reshape(tf.cast(labels, tf.float32), tf.shape(given))
        return tf.stack([target, 1.0 - target], axis=-1)
    if output.indices:
        # A trailing axis of one, as (samples, 1) has, is no axis of the output.
        shape = tf.shape(given)
        return tf.one_hot(tf.reshape(tf.cast(labels, tf.int64), shape[:-1]), shape[-1])
    return tf.reshape(tf.cast(labels, tf.float32), tf.shape(given))


def _taught(output: Output, given: Any, wanted: Any, temperature: float) -> Any:
    if output.kind == "values":
        return _squared(given, wanted) / output.variance
    want = tf.nn.log_softmax(_logs(output, wanted) / temperature)
    give = tf.nn.log_softmax(_logs(output, given) / temperature)
    divergence = tf.reduce_sum(tf.exp(want) * (want - give), axis=-1)
    return temperature**2 * tf.reduce_mean(divergence)


def _apart(point: Point, given: Any, wanted: Any) -> Any:
    """Squared distance over the mean square of what the original gives at the channels left."""
    want = tf.cast(tf.gather(wanted, tf.constant(point.channels), axis=-1), tf.float32)
    return _squared(given, want) / (tf.reduce_mean(tf.square(want)) + _LEAST_VARIANCE)


def _squared(given: Any, wanted: Any) -> Any:
    return tf.reduce_mean(tf.square(tf.cast(given, tf.float32) - tf.cast(wanted, tf.float32)))


def _logs(output: Output, values: Any) -> Any:
    """Logarithms of shares that add up to 1 over the last axis."""
    values = tf.cast(values, tf.float32)
    if output.kind == "logits":
        return tf.nn.log_softmax(values)
    if output.kind == "binary":
        values = tf.stack([values, 1.0 - values], axis=-1)
    return tf.math.log(tf.maximum(values, _LEAST_SHARE))
