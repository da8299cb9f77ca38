"""Small Keras models that forgot something, and a clock whose every reading is a minute later."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from green_edge.compress.graph.values import Graph
from green_edge.compress.scene import Prices, Samples, Scene
from green_edge.core.steps import Measure
from support.clock import ManualClock


class TickingClock(ManualClock):
    """So that every step of a training is told and every state it may save is saved."""

    def monotonic_ns(self) -> int:
        self.advance_s(60.0)
        return super().monotonic_ns()


class Told:
    """What was told; from the given one on, being told ends the program."""

    def __init__(self, end_after: int | None = None) -> None:
        self.lines: list[tuple[str, float | None]] = []
        self._end_after = end_after

    def __call__(self, doing: str, share: float | None = None) -> None:
        self.lines.append((doing, share))
        if len(self.lines) == self._end_after:
            raise KeyboardInterrupt


class NoPrices(Prices):
    """Recovery asks for none."""

    def share(self, graph: Graph, kept: Sequence[int], measure: Measure) -> float:
        del graph, kept, measure
        raise AssertionError

    def multiple(self) -> int:
        raise AssertionError


def classifier(seed: int = 3, *, dropout: float = 0.05) -> Any:
    """Image (8, 8, 1) to three classes, each as frequent; with normalisation and dropout."""
    layers = keras.layers
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1), name="image"),
            layers.Conv2D(6, 3, padding="same", use_bias=False, name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(name="relu"),
            layers.GlobalAveragePooling2D(name="mean"),
            layers.Dropout(dropout, name="dropout"),
            layers.Dense(3, activation="softmax", name="scores"),
        ]
    )
    norm, head = model.get_layer("norm"), model.get_layer("scores")
    seen = np.asarray(model.get_layer("conv")(_images(500, seed)))
    norm.moving_mean.assign(seen.mean(axis=(0, 1, 2)))
    norm.moving_variance.assign(seen.var(axis=(0, 1, 2)))
    kernel = 10.0 * np.random.default_rng(seed).normal(size=(6, 3))
    before = keras.Model(model.inputs[0], model.get_layer("mean").output)
    means = np.asarray(before(_images(500, seed))).mean(axis=0)
    head.set_weights([kernel, -means @ kernel])
    return model


def _images(n: int, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0.5, 1.0, (n, 8, 8, 1)).astype(np.float32)


def images(teacher: Any, n: int, seed: int) -> Samples:
    """Images whose labels are what the teacher says of them."""
    x = _images(n, seed)
    y: NDArray[np.int64] = np.asarray(teacher(x)).argmax(axis=1)
    return Samples((x,), y)


def weights(model: Any) -> list[NDArray[Any]]:
    return [np.asarray(weight) for weight in model.weights]


def scene(
    teacher: Any, train: Samples, held: Samples, folder: Path, tell: Told | None = None
) -> Scene:
    """With seed 5."""
    return Scene(train, held, NoPrices(), teacher, 5, folder, tell or Told())
