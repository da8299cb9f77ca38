"""Ranges from calibration samples, then distillation from the float model in seeded steps."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from green_edge.convert.aware.layers import FakeQuantize
from green_edge.convert.aware.student import Student

Array = NDArray[Any]

_BATCH = 32
_WEIGHTS_RATE = 1e-4
_RANGES_RATE = 1e-2
_CHECK_EVERY = 50
_HELD_BACK_SHARE = 8
_MOST_HELD_BACK = 256
_MOST_VALUES = 200_000
_LEVELS = 255
# Logarithms of a half, a quarter and so on down to 1/1024.
_SHIFTS = tuple(-math.log(2) * i for i in range(1, 11))
_BULK_SHARE = 0.9
# What a range may be of its bulk, when all ranges are capped together.
_CAPS = (64.0, 32.0, 16.0, 8.0, 4.0, 2.0, 1.0)
# Halvings in a row that may fail to help before a range is left as it was.
_PATIENCE = 3
_CLIPS = np.geomspace(0.05, 1.0, 40)
_LEAST_PROBABILITY = 1e-7


def start_ranges(student: Student, calibration: Sequence[Array], seed: int) -> None:
    """Give each activation the range with the least squared error on the calibration samples.

    Args:
        student: whose activations still watch.
        calibration: samples of each input, sample first.
        seed: of the draw of values where there are very many.
    """
    draw = np.random.default_rng(seed)
    watcher = keras.Model(student.model.inputs, list(student.watched))
    batches = _batches(len(calibration[0]))
    values: list[list[Array]] = [[] for _ in student.activations]
    share = -(-_MOST_VALUES // max(1, len(batches)))
    for rows in batches:
        outputs = _outputs(watcher, [array[rows] for array in calibration])
        for kept, output in zip(values, outputs, strict=True):
            kept.append(_some(np.asarray(output).ravel(), share, draw))
    for activation, kept in zip(student.activations, values, strict=True):
        whole = np.concatenate(kept)
        activation.start(*best_range(whole), bulk_of(whole))


def best_range(values: Array) -> tuple[float, float]:
    """Range that holds zero, clipped where that lowers the mean squared error of 8-bit rounding."""
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    if high - low == 0.0:
        return low, high

    def error(clip: float) -> float:
        least, step = low * clip, (high - low) * clip / _LEVELS
        codes = np.clip(np.round((values - least) / step), 0, _LEVELS)
        return float(np.mean((codes * step + least - values) ** 2))

    clip = min(_CLIPS, key=error)
    return low * clip, high * clip


def bulk_of(values: Array) -> float:
    """Size below which nine of ten values that are not zero stay."""
    sizes = np.abs(values[values != 0])
    return float(np.quantile(sizes, _BULK_SHARE)) if len(sizes) else 0.0


def distil(student: Student, teacher: Any, samples: Sequence[Array], steps: int, seed: int) -> None:
    """Teach the student the outputs of the float model; it never ends worse than it began.

    Weights and ranges learn at rates of their own that fall to zero along a cosine. The state with
    the least loss on held-back samples is kept.

    Args:
        student: with ranges.
        teacher: the float model.
        samples: of each input, sample first.
        steps: batches to learn from.
        seed: of the order of the samples.
    """
    n = len(samples[0])
    order = np.random.default_rng(seed).permutation(n)
    held = order[: min(_MOST_HELD_BACK, max(1, n // _HELD_BACK_SHARE))]
    learned = order[len(held) :] if n > len(held) else order
    loss = _Loss(teacher, [array[held[:_BATCH]] for array in samples])
    _clip(student, loss, [array[learned[:_MOST_HELD_BACK]] for array in samples])
    weights, ranges = _variables(student)
    optimizers = (
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(_WEIGHTS_RATE, steps)),
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(_RANGES_RATE, steps)),
    )

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def learn(batch: Sequence[Any]) -> None:
        with tf.GradientTape() as tape:
            value = loss(student.model, batch)
        gradients = tape.gradient(value, [v.value for v in (*weights, *ranges)])
        optimizers[0].apply(gradients[: len(weights)], weights)
        optimizers[1].apply(gradients[len(weights) :], ranges)

    for optimizer, variables in zip(optimizers, (weights, ranges), strict=True):
        optimizer.build(variables)
    best, kept = math.inf, student.model.get_weights()
    rows = _endless(learned, np.random.default_rng(seed + 1))
    for step in range(steps + 1):
        if step % _CHECK_EVERY == 0 or step == steps:
            found = _mean_loss(loss, student.model, [array[held] for array in samples])
            if found < best:
                best, kept = found, student.model.get_weights()
        if step < steps:
            chosen = next(rows)
            learn([tf.constant(array[chosen]) for array in samples])
    student.model.set_weights(kept)


def _clip(student: Student, loss: "_Loss", samples: Sequence[Array]) -> None:
    """Narrow ranges as long as that brings the outputs nearer to the teacher's.

    A channel that is far greater than the others would keep the whole range, and gradients reach
    it too late. Where it passes through several ranges, as along a residual connection, narrowing
    one of them helps nothing: so all are capped together first, then each is tried by itself.
    """
    compiled = tf.function(lambda batch: loss(student.model, batch))
    batch = [tf.constant(array) for array in samples]

    def measure(shifts: Sequence[float]) -> float:
        for activation, shift in zip(student.activations, shifts, strict=True):
            activation.shift = shift
        return float(compiled(batch))

    best = [0.0] * len(student.activations)
    least = measure(best)
    for cap in _CAPS:
        tried = [_capped(activation, cap) for activation in student.activations]
        found = measure(tried)
        if found < least:
            least, best = found, tried
    for i in range(len(best)):
        failed = 0
        for shift in _SHIFTS:
            tried = [*best[:i], best[i] + shift, *best[i + 1 :]]
            found = measure(tried)
            failed = 0 if found < least else failed + 1
            if found < least:
                least, best = found, tried
            elif failed == _PATIENCE:
                break
    measure(best)


def _capped(activation: FakeQuantize, cap: float) -> float:
    """Shift that brings a range down to a multiple of its bulk; 0 for one that is within it."""
    most = max(activation.high, -activation.low)
    if not activation.bulk or most <= cap * activation.bulk:
        return 0.0
    return math.log(cap * activation.bulk / most)


class _Loss:
    """Distance of a student's outputs to the teacher's, each output in its own measure."""

    def __init__(self, teacher: Any, sample: Sequence[Array]) -> None:
        self._teacher = teacher
        outputs = [np.asarray(o) for o in _outputs(teacher, sample)]
        self._shares = [_is_distribution(output) for output in outputs]
        self._spreads = [float(np.var(output)) or 1.0 for output in outputs]

    def __call__(self, model: Any, batch: Sequence[Any]) -> Any:
        wanted, given = _outputs(self._teacher, batch), _outputs(model, batch)
        parts = []
        for want, give, shares, spread in zip(
            wanted, given, self._shares, self._spreads, strict=True
        ):
            if shares:
                parts.append(tf.reduce_mean(_divergence(want, give)))
            else:
                parts.append(tf.reduce_mean(tf.square(want - give)) / spread)
        return tf.add_n(parts)


def _outputs(model: Any, arrays: Sequence[Any]) -> list[Any]:
    """Outputs of a model as a list, as it gives them when it runs: no dropout, fixed statistics."""
    inputs = arrays[0] if len(arrays) == 1 else list(arrays)
    outputs: list[Any] = keras.tree.flatten(model(inputs, training=False))
    return outputs


def _divergence(wanted: Any, given: Any) -> Any:
    """Kullback-Leibler divergence over the last axis."""
    want = tf.maximum(wanted, _LEAST_PROBABILITY)
    give = tf.maximum(given, _LEAST_PROBABILITY)
    return tf.reduce_sum(want * (tf.math.log(want) - tf.math.log(give)), axis=-1)


def _is_distribution(output: Array) -> bool:
    """Whether every row is a softmax's: not negative, adding up to 1."""
    if output.ndim < 2 or output.shape[-1] < 2:
        return False
    return bool((output >= 0).all() and np.allclose(output.sum(axis=-1), 1.0, atol=1e-3))


def _variables(student: Student) -> tuple[list[Any], list[Any]]:
    ranges = [v for a in student.activations for v in a.trainable_variables]
    own = {id(v) for v in ranges}
    return [v for v in student.model.trainable_variables if id(v) not in own], ranges


def _mean_loss(loss: _Loss, model: Any, samples: Sequence[Array]) -> float:
    total, n = 0.0, len(samples[0])
    for rows in _batches(n):
        batch = [array[rows] for array in samples]
        total += float(loss(model, batch)) * len(batch[0])
    return total / n


def _batches(n: int) -> list[slice]:
    return [slice(first, min(first + _BATCH, n)) for first in range(0, n, _BATCH)]


def _endless(rows: NDArray[np.intp], draw: np.random.Generator) -> Any:
    """Batches of rows, shuffled anew whenever all were seen; all of one size."""
    size = min(_BATCH, len(rows))
    while True:
        order = draw.permutation(rows)
        for first in range(0, len(order) - size + 1, size):
            yield order[first : first + size]


def _some(values: Array, most: int, draw: np.random.Generator) -> Array:
    """At most so many of the values, the least and the greatest always among them."""
    if len(values) <= most:
        return values
    ends = np.array([values.min(), values.max()])
    return np.concatenate([values[draw.integers(0, len(values), most)], ends])
