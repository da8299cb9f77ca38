"""What the outputs of a pruned model are held against, for each kind of output."""

from typing import Any

import numpy as np
import pytest

from green_edge.compress.scene import Samples

pytestmark = pytest.mark.tf
X = np.random.default_rng(6).normal(size=(200, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def dense() -> Any:
    """Makes a model of one layer, always with the same weights."""
    import keras  # noqa: PLC0415 - seconds of import

    def make(units: int, activation: str | None) -> Any:
        keras.utils.set_random_seed(8)
        return keras.Sequential([keras.Input((4,)), keras.layers.Dense(units, activation)])

    return make


def loss(model: Any, samples: Samples, teacher: Any) -> float:
    from green_edge.compress.prune.aims import aims_of, outputs_of  # noqa: PLC0415 - imports keras

    aims = aims_of(samples, teacher)
    return float(aims.loss(outputs_of(model, samples.x), aims.wanted))


def test_classes_cost_the_same_before_and_after_the_softmax(dense: Any) -> None:
    y = np.arange(200) % 3
    shares, logits = dense(3, "softmax"), dense(3, None)
    wanted = -np.mean(np.log(np.asarray(shares(X))[np.arange(200), y]))
    assert loss(shares, Samples((X,), y), shares) == pytest.approx(wanted, rel=1e-4)
    assert loss(logits, Samples((X,), y), logits) == pytest.approx(wanted, rel=1e-4)


def test_a_sigmoid_is_held_against_its_labels(dense: Any) -> None:
    model = dense(1, "sigmoid")
    y = (X[:, 0] > 0).astype(np.int64)
    given = np.asarray(model(X))[:, 0]
    wanted = -np.mean(np.where(y == 1, np.log(given), np.log(1 - given)))
    assert loss(model, Samples((X,), y), model) == pytest.approx(wanted, rel=1e-4)


def test_values_cost_their_squares_in_units_of_the_variance(dense: Any) -> None:
    model = dense(3, None)
    y = 5 * np.asarray(model(X)) + 1
    wanted = np.mean((y - np.asarray(model(X))) ** 2) / np.var(y)
    assert loss(model, Samples((X,), y), model) == pytest.approx(wanted, rel=1e-4)


def test_without_labels_the_teacher_s_own_outputs_cost_least(dense: Any) -> None:
    teacher, other = dense(3, "softmax"), dense(3, "softmax")
    other.layers[0].kernel.assign(other.layers[0].kernel * 2)
    samples = Samples((X,))
    assert loss(teacher, samples, teacher) < loss(other, samples, teacher)


def test_drawn_classes_come_as_often_as_the_teacher_holds_them_likely(dense: Any) -> None:
    from green_edge.compress.prune.aims import aims_of, drawn  # noqa: PLC0415 - imports keras

    aims = aims_of(Samples((X,)), dense(3, "softmax"))
    draws = [drawn(aims, seed).wanted[0] for seed in range(50)]
    assert np.isin(draws, (0, 1)).all()
    # Of 50 x 200 draws the share strays by less than 0.02 (four standard errors).
    np.testing.assert_allclose(
        np.mean(draws, axis=(0, 1)), np.mean(aims.wanted[0], axis=0), atol=0.02
    )
