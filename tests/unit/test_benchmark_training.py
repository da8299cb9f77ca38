"""The loop that trains the benchmarks' networks, with a model whose accuracy is scripted."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from benchmarks.fashion import data, weights
from benchmarks.fashion.batches import BATCH, batches, shifted
from benchmarks.fashion.data import FashionMnist, Labelled
from benchmarks.fashion.training import Schedule, train
from numpy.typing import NDArray

from green_edge_wire.errors import GreenEdgeError


class Scripted:
    """Is right about as many of ten images as the script says for the epoch."""

    def __init__(self, right: list[int]) -> None:
        self._right = right
        self.epochs = 0
        self.state = 0
        self.optimizer: Any = None

    def compile(self, optimizer: Any, loss: str) -> None:
        assert loss
        self.optimizer = optimizer

    def fit(self, stream: Iterator[Any], **_kwargs: object) -> None:
        assert sum(1 for _ in stream) == 2
        self.epochs += 1
        self.state = self.epochs

    def predict(self, x: NDArray[np.float32], **_kwargs: object) -> NDArray[np.float32]:
        right = self._right[self.epochs - 1]
        chosen = [0] * right + [1] * (len(x) - right)
        return np.eye(2, dtype=np.float32)[chosen]

    def get_weights(self) -> list[int]:
        return [self.state]

    def set_weights(self, state: list[int]) -> None:
        (self.state,) = state


KERAS = SimpleNamespace(
    optimizers=SimpleNamespace(Adam=lambda rate: SimpleNamespace(learning_rate=rate))
)


def images(n: int) -> Labelled:
    return Labelled(np.zeros((n, 28, 28, 1), np.float32), np.zeros(n, np.int64))


DATA = FashionMnist(images(2 * BATCH + 5), images(10), images(3))


def test_training_ends_when_a_lower_rate_no_longer_helps_and_keeps_the_best_epoch() -> None:
    model = Scripted([5, 7, 6, 6, 8, 8, 8, 7, 7, 9])
    schedule = Schedule(rate=1.0, fall=0.5, patience=2, falls=1)
    curve = train(KERAS, model, DATA, schedule, 0, lambda _text: None)
    assert [epoch.rate for epoch in curve.epochs] == [1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5]
    assert (curve.best, curve.ended) == (4, "no more gain")
    assert model.state == 5


def test_training_that_still_gains_at_the_limit_says_so() -> None:
    model = Scripted([1, 2, 3])
    curve = train(KERAS, model, DATA, Schedule(most_epochs=3), 0, lambda _text: None)
    assert (curve.best, curve.ended) == (2, "epoch limit")


def test_batches_hold_every_image_once_and_repeat_with_the_seed() -> None:
    x = np.arange(2 * BATCH, dtype=np.float32).reshape(-1, 1, 1, 1)
    y = np.arange(2 * BATCH)
    first = [*batches(x, y, np.random.default_rng(1))]
    again = [*batches(x, y, np.random.default_rng(1))]
    seen = np.concatenate([labels for _, labels in first])
    assert sorted(seen) == [*y]
    assert not np.array_equal(seen, y)
    for (images_a, labels_a), (images_b, labels_b) in zip(first, again, strict=True):
        assert np.array_equal(images_a, images_b)
        assert np.array_equal(labels_a, labels_b)
        assert np.array_equal(images_a.ravel(), labels_a)


def test_a_shifted_image_is_the_same_image_elsewhere() -> None:
    x = np.zeros((200, 8, 8, 1), np.float32)
    x[:, 3, 4] = 1
    moved = shifted(x, 2, np.random.default_rng(0))
    rows, columns = np.nonzero(moved.sum(axis=(0, 3)))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (1, 5, 2, 6)
    assert np.array_equal(moved.sum(axis=(1, 2, 3)), np.ones(200))


class Layer:
    def __init__(self, name: str, *arrays: NDArray[np.float32]) -> None:
        self.name = name
        self._arrays = [*arrays]

    def get_weights(self) -> list[NDArray[np.float32]]:
        return self._arrays

    def set_weights(self, arrays: list[NDArray[np.float32]]) -> None:
        self._arrays = arrays


def test_weights_come_back_by_layer_whatever_the_order_of_layers(tmp_path: Path) -> None:
    kernel, bias = np.ones((2, 3), np.float32), np.full(3, 2, np.float32)
    weights.save(
        SimpleNamespace(layers=[Layer("a", kernel, bias), Layer("b", bias)]), tmp_path / "w.npz"
    )
    other = SimpleNamespace(layers=[Layer("b", bias * 0), Layer("a", kernel * 0, bias * 0)])
    weights.load(other, tmp_path / "w.npz")
    assert np.array_equal(other.layers[0].get_weights()[0], bias)
    assert np.array_equal(other.layers[1].get_weights()[0], kernel)
    assert [path.name for path in tmp_path.iterdir()] == ["w.npz"]


def test_without_the_images_the_package_to_install_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GREEN_EDGE_FASHION_MNIST", str(tmp_path))
    with pytest.raises(GreenEdgeError, match="apt install dataset-fashion-mnist"):
        data.load()
