"""Training until more of it no longer helps, judged on validation images.

Adam; the learning rate falls when validation accuracy has not risen for some epochs, and training
ends when it has fallen so often without effect. The weights kept are those of the best epoch.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.fashion.batches import BATCH, batches
from benchmarks.fashion.data import FashionMnist, Labelled


@dataclass(frozen=True, slots=True)
class Schedule:
    """How to train.

    Attributes:
        rate: learning rate of the first epochs.
        fall: factor on the rate when there was no gain.
        patience: epochs without gain before it falls.
        falls: falls before the end.
        most_epochs: the end, whatever the gain.
    """

    rate: float = 2e-3
    fall: float = 0.25
    patience: int = 2
    falls: int = 3
    most_epochs: int = 40


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch gave."""

    rate: float
    validation_accuracy: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Curve:
    """A training.

    Attributes:
        epochs: all of them in order.
        best: index of the one whose weights were kept.
        ended: "no more gain", or "epoch limit" where there may have been more to gain.
    """

    epochs: tuple[Epoch, ...]
    best: int
    ended: str


def train(
    keras: Any,
    model: Any,
    data: FashionMnist,
    schedule: Schedule,
    seed: int,
    said: Callable[[str], None],
) -> Curve:
    """Train a model in place and leave the best epoch's weights in it."""
    rng = np.random.default_rng(seed)
    rate = schedule.rate
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    epochs: list[Epoch] = []
    best, best_weights, falls, since = 0, model.get_weights(), 0, 0
    while len(epochs) < schedule.most_epochs and falls <= schedule.falls:
        start = time.monotonic()
        steps = len(data.train.y) // BATCH
        stream = batches(data.train.x, data.train.y, rng)
        model.fit(stream, steps_per_epoch=steps, epochs=1, verbose=0)
        found = accuracy(model, data.validation)
        epochs.append(Epoch(rate, round(found, 4), round(time.monotonic() - start, 1)))
        said(f"epoch {len(epochs)}: rate {rate:.1e}, {found:.4f}, {epochs[-1].seconds} s")
        if len(epochs) == 1 or found > epochs[best].validation_accuracy:
            best, best_weights, since = len(epochs) - 1, model.get_weights(), 0
            continue
        since += 1
        if since >= schedule.patience:
            # From the best so far: what came after was no better.
            model.set_weights(best_weights)
            rate, falls, since = rate * schedule.fall, falls + 1, 0
            model.optimizer.learning_rate = rate
    model.set_weights(best_weights)
    ended = "no more gain" if falls > schedule.falls else "epoch limit"
    return Curve(tuple(epochs), best, ended)


def accuracy(model: Any, data: Labelled) -> float:
    """Share of images whose best class is the right one."""
    probabilities = model.predict(data.x, batch_size=500, verbose=0)
    return float(np.mean(np.argmax(probabilities, axis=1) == data.y))
