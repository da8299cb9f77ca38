"""Quantization-aware fine-tuning of real Keras 3 models, in the converter's child."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from green_edge.convert.converters import Converters
from green_edge.convert.formats import open_source
from green_edge.data.dataset import Array, Dataset, FineTuneSets
from green_edge.evaluate.predict import predict
from green_edge.tflite.read import read
from green_edge_wire.errors import ModelError
from support.outlier_keras import LEARNED, make_outlier
from support.tiny_keras import make_models

pytestmark = pytest.mark.tf


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_outlier(tmp_path_factory.mktemp("outlier"))


@pytest.fixture
def converters(tmp_path: Path) -> Iterator[Converters]:
    with Converters(tmp_path, timeout_s=200) as running:
        yield running


def sets(*arrays: Array, names: tuple[str, ...]) -> FineTuneSets:
    return FineTuneSets(names, arrays, tuple(array[:100] for array in arrays))


def accuracy(model: bytes, x: Array, y: Array) -> float:
    (scores,) = predict(model, Dataset({"image": x[LEARNED:]}))
    return float(np.mean(scores.argmax(axis=1) == y[LEARNED:]))


def test_fine_tuning_wins_back_what_an_outlier_channel_cost(
    folder: Path, converters: Converters
) -> None:
    source = open_source(folder / "outlier.keras")
    with np.load(folder / "digits.npz") as digits:
        x, y = digits["x"], digits["y"]
    taught = sets(x[:LEARNED], names=("image",))

    in_float = accuracy(converters.to_float(source), x, y)
    plain = accuracy(converters.to_int8(source, ("image",), [x[:100]]), x, y)
    tuned = converters.fine_tune(source, taught, seed=1, steps=60)
    assert plain < in_float - 0.5
    assert accuracy(tuned, x, y) > in_float - 0.02
    facts = read(tuned)
    assert {facts.inputs[0].dtype, facts.outputs[0].dtype} == {"int8"}
    assert [op.op for op in facts.ops] == [
        "CONV_2D", "CONV_2D", "RESHAPE", "FULLY_CONNECTED", "SOFTMAX"
    ]  # fmt: skip
    assert converters.fine_tune(source, taught, seed=1, steps=60) == tuned


def test_fine_tuning_narrows_ranges_together_where_an_outlier_runs_past_an_addition(
    tmp_path: Path,
) -> None:
    folder = make_outlier(tmp_path, "residual")
    (tmp_path / "work").mkdir()
    with np.load(folder / "digits.npz") as digits:
        x, y = digits["x"], digits["y"]
    with Converters(tmp_path / "work", timeout_s=200) as converters:
        source = open_source(folder / "residual.keras")
        plain = converters.to_int8(source, ("image",), [x[:100]])
        tuned = converters.fine_tune(source, sets(x[:LEARNED], names=("image",)), seed=1, steps=100)
        in_float = accuracy(converters.to_float(source), x, y)
    assert accuracy(plain, x, y) < in_float - 0.5
    assert accuracy(tuned, x, y) > in_float - 0.04


def test_several_inputs_meet_their_samples_by_name_and_other_layers_are_refused(
    tmp_path: Path,
) -> None:
    models = make_models(tmp_path)
    (tmp_path / "work").mkdir()
    draw = np.random.default_rng(0)
    a, b = (draw.normal(size=(64, n)).astype(np.float32) for n in (4, 3))
    with Converters(tmp_path / "work", timeout_s=200) as converters:
        source = open_source(models / "two.keras")
        tuned = converters.fine_tune(source, sets(b, a, names=("b", "a")), seed=0, steps=5)
        (in_float,) = predict(converters.to_float(source), Dataset({"a": a, "b": b}))
        (given,) = predict(tuned, Dataset({"a": a, "b": b}))
        assert np.abs(given - in_float).max() < 0.1 * np.abs(in_float).max()
        with pytest.raises(ModelError, match=r"no rule for layer .*LSTM"):
            converters.fine_tune(
                open_source(models / "lstm.keras"),
                sets(draw.normal(size=(8, 6, 4)).astype(np.float32), names=("x",)),
                seed=0,
                steps=5,
            )


def test_a_tflite_cannot_be_fine_tuned(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(b"\x1c\x00\x00\x00TFL3")
    source = open_source(tmp_path / "model.tflite")
    with (
        Converters(tmp_path, timeout_s=10) as converters,
        pytest.raises(ModelError, match="needs a Keras model"),
    ):
        converters.fine_tune(source, sets(np.zeros((4, 1)), names=("x",)), seed=0, steps=1)
