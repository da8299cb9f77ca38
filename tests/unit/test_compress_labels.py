"""Labels of a training set, held against the first output of the model."""

from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from green_edge.compress.graph.read import read  # noqa: E402 - needs Keras
from green_edge.compress.graph.values import Graph  # noqa: E402
from green_edge.compress.labels import fitting  # noqa: E402
from green_edge.compress.scene import Samples  # noqa: E402
from green_edge_wire.errors import ConfigError  # noqa: E402

pytestmark = pytest.mark.tf

X = np.zeros((3, 2), np.float32)


def graph(units: int, activation: str) -> Graph:
    given = keras.Input((2,))
    return read(keras.Model(given, keras.layers.Dense(units, activation)(given)))


def fitted(y: Any, units: int, activation: str) -> Any:
    made = fitting(Samples((X,), np.asarray(y)), graph(units, activation)).y
    assert made is not None
    return made


def test_whole_numbers_are_classes_of_an_output_of_several_values() -> None:
    assert fitted([0, 3, 1], 4, "softmax").tolist() == [0, 3, 1]
    assert fitted([[0], [3], [1]], 4, "linear").dtype.kind == "i"


def test_classes_of_sigmoids_are_targets_of_zero_and_one() -> None:
    assert fitted([0, 2, 1], 3, "sigmoid").tolist() == np.eye(3)[[0, 2, 1]].tolist()
    both = [[0, 1], [1, 1], [0, 0]]
    assert fitted(both, 2, "sigmoid").tolist() == both
    assert fitted([0, 1, 1], 1, "sigmoid").tolist() == [[0], [1], [1]]


def test_anything_else_takes_the_shape_of_the_output() -> None:
    assert fitted([1.5, 2.5, 0.0], 1, "linear").shape == (3, 1)
    assert fitted([7, 8, 9], 1, "linear").dtype == np.float32
    assert fitting(Samples((X,)), graph(1, "linear")).y is None


@pytest.mark.parametrize(
    ("y", "units", "activation", "said"),
    [
        ([0, 1, 4], 4, "softmax", "labels go from 0 to 4, but the model's first output has 4 cl"),
        ([0, 1, -1], 4, "softmax", "labels go from -1 to 1, .* counted from 0"),
        ([0.0, 1.0, 2.0], 4, "softmax", r"labels of shape \(\) do not fit .* as whole numbers"),
        ([[0.0] * 3] * 3, 4, "linear", r"labels of shape \(3,\) do not fit .* \(4,\)"),
        ([0, 1, 2], 1, "sigmoid", "labels go from 0 to 2, but .* a sigmoid"),
        ([0.0, np.nan, 1.0], 1, "linear", "labels are NaN or infinite"),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    y: list[Any], units: int, activation: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        fitted(y, units, activation)
    assert caught.value.place == "--train"
