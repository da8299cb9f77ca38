"""The training itself: seeded steps of Adam on a Keras model, in place.

The same model, samples and seed give the same bits on the same machine and versions, and so does a
training that was interrupted and taken up again. Written out rather than left to `Model.fit`, which
takes twice the time when it is to be repeatable.
"""

import functools
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from green_edge.compress.recover import batch_norm, checkpoints
from green_edge.compress.recover.augment import Changes, changed
from green_edge.compress.recover.checkpoints import Arrays, State
from green_edge.compress.recover.features import Point
from green_edge.compress.recover.losses import Output, Wanted, loss
from green_edge.compress.scene import Samples, Tell
from green_edge.compress.ties import Held
from green_edge.core.steps import Recover
from green_edge_wire.clock import Clock
from green_edge_wire.errors import ModelError
from green_edge_wire.units import NS_PER_S

_WARM_SHARE = 0.05
# From here on the rate has fallen to a seventh, and a state is what the training will end near.
_SETTLED_SHARE = 0.75
# Looks at the held samples: so many an epoch, but in a long training no more than so many in all.
_CHECKS_AN_EPOCH = 2
_MOST_CHECKS = 40
# Of so many held samples at a time.
_HELD_BATCH = 256
# Steps between states that a loss that is no number goes back to, and that a checkpoint may hold.
_SNAPSHOT_STEPS = 50
_CHECKPOINT_NS = 30 * NS_PER_S
_TELL_NS = NS_PER_S
_MOST_RETURNS = 3
# For the statistics of normalisations at the end: what a short training averages is noisier.
_STATISTICS_SAMPLES = 2_048


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """What is to be learned.

    Attributes:
        step: rate, weights of the losses and temperature.
        batch: samples a step.
        steps: of the whole training.
        per_epoch: steps in which all samples are seen once.
        outputs: kinds of the model's outputs.
        points: where inner tensors are compared.
        changes: of the inputs.
        train: samples to learn from.
        held: samples that choose the state that is kept; may be none.
        seed: of order, changes and dropout.
    """

    step: Recover
    batch: int
    steps: int
    per_epoch: int
    outputs: tuple[Output, ...]
    points: tuple[Point, ...]
    changes: Changes
    train: Samples
    held: Samples
    seed: int

    def rows(self, step: int) -> NDArray[np.int64]:
        """Samples of a step: every epoch is shuffled anew, and its broken last batch left out."""
        epoch, place = divmod(step, self.per_epoch)
        order = _order(self.seed, epoch, self.train.n)
        return order[place * self.batch : (place + 1) * self.batch]

    @property
    def judged_from(self) -> int:
        """Step from which on states are candidates for the one that is kept.

        With labels the samples held back are some that the original was trained on: it remembers
        them, so that any training seems to harm, and only states near the end compare fairly.
        """
        taught = self.step.labels > 0 and self.train.y is not None
        return math.ceil(_SETTLED_SHARE * self.steps) if taught else 0

    def rate(self, step: int) -> float:
        """Learning rate of a step: up in the first twentieth, then down along a cosine."""
        warm = max(1, math.ceil(_WARM_SHARE * self.steps))
        if step < warm:
            return self.step.rate * (step + 1) / warm
        gone = (step - warm) / max(1, self.steps - warm)
        return self.step.rate * 0.5 * (1.0 + math.cos(math.pi * gone))


@functools.lru_cache(maxsize=1)
def _order(seed: int, epoch: int, n: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, epoch)).permutation(n)


def train(
    models: tuple[Any, Any], lesson: Lesson, ties: Held, folder: Path, tell: Tell, clock: Clock
) -> None:
    """Train a model; it is left in the best state that held samples saw.

    Without labels that may be the first one, see `Lesson.judged_from`.

    Args:
        models: the one that learns and its teacher; both give lists, the inner tensors of the
            lesson's points last.
        lesson: what is learned.
        ties: of the first model's trainable variables, in their order.
        folder: for checkpoints.
        tell: progress, about every second.
        clock: of progress and checkpoints.

    Raises:
        ModelError: the loss came out as no number again and again.
    """
    learner = _Learner(models, lesson, ties)
    key = learner.key()
    state = checkpoints.load(folder, key) or learner.state()
    learner.restore(state)
    told, saved = _Timer(clock, _TELL_NS), _Timer(clock, _CHECKPOINT_NS)
    began, first = clock.monotonic_ns(), state.step
    check_every = max(1, lesson.per_epoch // _CHECKS_AN_EPOCH, lesson.steps // _MOST_CHECKS)
    while learner.step < lesson.steps:
        if learner.step % check_every == 0 and learner.step >= lesson.judged_from:
            learner.check()
        latest = learner.state() if learner.step % _SNAPSHOT_STEPS == 0 else state
        value = learner.learn()
        if not math.isfinite(value):
            state = _gone_back(state)
            learner.restore(state)
            continue
        if latest is not state:
            # Good, since its loss is a number.
            state = latest
            if saved.due():
                checkpoints.save(folder, key, state)
        if told.due():
            spent = clock.monotonic_ns() - began
            tell(*_progress(learner.step, lesson.steps, value, spent / (learner.step - first)))
    learner.check()
    learner.keep_best()
    learner.refresh()
    learner.check()
    learner.keep_best()
    checkpoints.drop(folder)


def _gone_back(state: State) -> State:
    """The last good state, from which learning goes on at half the rate."""
    if state.returns == _MOST_RETURNS:
        raise ModelError(
            "the recovery's loss is not a number, even at an eighth of the rate",
            hint="look for NaN in the training samples and the model's weights, or lower `rate`",
        )
    return replace(state, returns=state.returns + 1)


def _progress(step: int, steps: int, value: float, step_ns: float) -> tuple[str, float]:
    left_s = (steps - step) * step_ns / NS_PER_S
    left = f"{left_s:.0f} s" if left_s < 100 else f"{left_s / 60:.0f} min"
    return f"recover: step {step} of {steps}, loss {value:.4f}, {left} left", step / steps


def run(model: Any, inputs: Sequence[Any], *, training: bool = False) -> list[Any]:
    """Outputs of a model that takes a list, as a list."""
    tensors: list[Any] = keras.tree.flatten(model(list(inputs), training=training))
    return tensors


class _Timer:
    """Whether a time is over since it last was."""

    def __init__(self, clock: Clock, period_ns: int) -> None:
        self._clock, self._period_ns = clock, period_ns
        self._last_ns = clock.monotonic_ns()

    def due(self) -> bool:
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._last_ns < self._period_ns:
            return False
        self._last_ns = now_ns
        return True


class _Learner:
    """A model between two steps of its training."""

    def __init__(self, models: tuple[Any, Any], lesson: Lesson, ties: Held) -> None:
        self._model, self._teacher = models
        self._lesson, self._ties = lesson, ties
        self._weights = list(self._model.trainable_variables)
        self._optimizer = keras.optimizers.Adam(lesson.step.rate)
        self._optimizer.build(self._weights)
        self._learn = tf.function(self._learn_batch, autograph=False)
        self._measure = tf.function(self._measure_batch, autograph=False)
        self._seed_draws()
        # What the teacher says of the held samples; the samples themselves may be too large.
        self._held = [(rows, self._wanted(rows)) for rows in _slices(lesson.held.n)]
        self._best: Arrays = self._values()
        self._best_loss = math.inf
        self._returns = 0
        self.step = 0

    def key(self) -> str:
        """Digest of where the training starts and how it goes."""
        lesson = self._lesson
        told = (lesson.step, lesson.batch, lesson.steps, lesson.seed, lesson.train.n, lesson.held.n)
        digest = hashlib.sha256(repr(told).encode())
        for value in self._values():
            digest.update(value.tobytes())
        return digest.hexdigest()

    def state(self) -> State:
        optimizer = tuple(_copied(v) for v in self._optimizer.variables)
        return State(
            self.step, self._returns, self._values(), optimizer, self._best, self._best_loss
        )

    def restore(self, state: State) -> None:
        _assign(self._model.variables, state.model)
        _assign(self._optimizer.variables, state.optimizer)
        self.step, self._returns = state.step, state.returns
        self._best, self._best_loss = state.best, state.best_loss

    def learn(self) -> float:
        """Learn from the next batch; returns its loss."""
        batch = self._batch(self._lesson.train, self._lesson.rows(self.step))
        self._optimizer.learning_rate = self._lesson.rate(self.step) / 2**self._returns
        value = float(self._learn(batch, tf.constant(self.step, tf.int64)))
        self.step += 1
        return value

    def check(self) -> None:
        """Remember the state when held samples like it best so far."""
        if not self._held:
            return
        total = 0.0
        for rows, outputs in self._held:
            batch = self._batch(self._lesson.held, rows)
            total += float(self._measure(batch, outputs)) * (rows.stop - rows.start)
        if total / self._lesson.held.n < self._best_loss:
            self._best_loss, self._best = total / self._lesson.held.n, self._values()

    def keep_best(self) -> None:
        """Go back to the state remembered."""
        if self._held:
            _assign(self._model.variables, self._best)

    def refresh(self) -> None:
        """Set the statistics of normalisations to those of the samples as they are."""
        lesson = self._lesson
        batch_norm.refresh(self._model, lesson.train, _STATISTICS_SAMPLES, lesson.seed)

    def _values(self) -> Arrays:
        return tuple(_copied(v) for v in self._model.variables)

    def _seed_draws(self) -> None:
        """Dropout draws from the lesson's seed, whatever it was made with."""
        weights = {id(weight) for weight in self._model.weights}
        draws = [v for v in self._model.variables if id(v) not in weights]
        for i, variable in enumerate(draws):
            variable.assign(np.array([self._lesson.seed % 2**31, i]))

    def _batch(self, samples: Samples, rows: Any) -> tuple[list[Any], tuple[Any, ...]]:
        inputs = [
            tf.cast(tf.convert_to_tensor(x[rows]), tensor.dtype)
            for x, tensor in zip(samples.x, self._model.inputs, strict=True)
        ]
        labels = () if samples.y is None else (tf.convert_to_tensor(samples.y[rows]),)
        return inputs, labels

    def _wanted(self, rows: slice) -> list[Any]:
        """The teacher's outputs for some of the held samples."""
        outputs, _ = self._split(run(self._teacher, self._batch(self._lesson.held, rows)[0]))
        if not all(np.isfinite(np.asarray(each)).all() for each in outputs):
            # No state could be told from another by them.
            raise ModelError(
                "the original model gives NaN or infinity for training samples",
                hint="look for NaN in the training samples and the model's weights",
            )
        return outputs

    def _split(self, tensors: list[Any]) -> tuple[list[Any], list[Any]]:
        """Outputs and inner tensors."""
        count = len(self._lesson.outputs)
        return tensors[:count], tensors[count:]

    def _learn_batch(self, batch: tuple[list[Any], tuple[Any, ...]], step: Any) -> Any:
        lesson = self._lesson
        inputs, labels = batch
        inputs, rows, share = changed(lesson.changes, inputs, lesson.seed, step)
        if rows is not None:
            labels = (*labels, *(tf.gather(each, rows) for each in labels))
        outputs, inner = self._split(run(self._teacher, inputs))
        wanted = Wanted(labels, share, outputs, inner)
        with tf.GradientTape() as tape:
            given = self._split(run(self._model, inputs, training=True))
            value = loss(lesson.step, lesson.outputs, lesson.points, given, wanted)
        gradients = tape.gradient(
            value,
            [weight.value for weight in self._weights],
            # Weights that no output depends on stay as they are.
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        self._optimizer.apply(self._ties(gradients), self._weights)
        self._ties.settle()
        return value

    def _measure_batch(self, batch: tuple[list[Any], tuple[Any, ...]], outputs: list[Any]) -> Any:
        step, kinds = self._lesson.step, self._lesson.outputs
        if not step.labels and not step.teacher:
            # Inner tensors are no end in themselves.
            step = replace(step, teacher=1.0)
        given = self._split(run(self._model, batch[0]))
        return loss(step, kinds, (), given, Wanted(batch[1], None, outputs, ()))


def _assign(variables: Sequence[Any], values: Arrays) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _copied(variable: Any) -> NDArray[Any]:
    return np.asarray(variable).copy()


def _slices(n: int) -> list[slice]:
    return [slice(i, min(i + _HELD_BATCH, n)) for i in range(0, n, _HELD_BATCH)]
