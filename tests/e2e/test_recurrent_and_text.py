"""Recurrent Keras layers and token ids through the real TF converter, judged by running them."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from green_edge.convert.converters import Converters
from green_edge.convert.formats import open_source
from green_edge.convert.int8 import run
from green_edge.convert.signature import names
from green_edge.convert.worker import child_environment
from green_edge.tflite.model import TfliteModel
from green_edge.tflite.read import read
from green_edge_wire.errors import ModelError
from support.recurrent_keras import WORDS
from support.tiny_keras import make_models

pytestmark = pytest.mark.tf

Samples = list[NDArray[Any]]

FUSED = "UNIDIRECTIONAL_SEQUENCE_LSTM"
# LSTMs of a network that become one operation each.
ONE_OPERATION = {
    "lstm.keras": 1,
    "stacked.keras": 2,
    "backwards.keras": 1,
    "bidirectional.keras": 2,
    "legacy.h5": 2,
    "text.keras": 1,
    "long_lstm.keras": 1,
}
UNROLLED = ("gru.keras", "cells.keras", "other.keras", "states.keras")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_models(tmp_path_factory.mktemp("recurrent"), "support.recurrent_keras")


@pytest.fixture(scope="module")
def converters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Converters]:
    with Converters(tmp_path_factory.mktemp("work"), timeout_s=120) as shared:
        yield shared


def samples_for(facts: TfliteModel, n: int = 40) -> Samples:
    """Seeded samples of each input of a float model."""
    rng = np.random.default_rng(4)
    return [
        (
            rng.integers(0, WORDS, (n, *spec.sample_shape))
            if spec.dtype == "int32"
            else rng.normal(size=(n, *spec.sample_shape))
        ).astype(spec.dtype)
        for spec in facts.inputs
    ]


def answers(content: bytes, samples: Samples) -> list[NDArray[np.float64]]:
    """Real-valued outputs, sample first, one array an output."""
    fed = ([array[i : i + 1] for array in samples] for i in range(len(samples[0])))
    outputs = [np.concatenate(rows) for rows in zip(*run.tensors(content, fed), strict=True)]
    return [
        (array.astype(np.float64) - (spec.zero_point or 0)) * (spec.scale or 1.0)
        for array, spec in zip(outputs, read(content).outputs, strict=True)
    ]


def error(got: NDArray[np.float64], wanted: NDArray[np.float64]) -> float:
    """Root mean square error as a share of the wanted answers' own size."""
    return float(np.sqrt(np.mean((got - wanted) ** 2) / np.mean(wanted**2)))


def both(models: Path, converters: Converters, name: str) -> tuple[bytes, bytes, float]:
    """Float and int8 form of a model, and the error of the second."""
    source = open_source(models / name)
    content = converters.to_float(source)
    samples = samples_for(read(content))
    int8 = converters.to_int8(source, names(content).inputs, samples)
    return content, int8, error(answers(int8, samples)[0], answers(content, samples)[0])


@pytest.mark.parametrize("name", ONE_OPERATION)
def test_an_lstm_becomes_one_operation_that_answers_as_the_float_model(
    models: Path, converters: Converters, name: str
) -> None:
    content, int8, lost = both(models, converters, name)
    for form in (content, int8):
        ops = Counter(op.op for op in read(form).ops)
        assert ops[FUSED] == ONE_OPERATION[name]
        assert ops["WHILE"] == 0
        assert ops["READ_VARIABLE"] == 0
    assert lost < 0.06


@pytest.mark.parametrize("name", [*UNROLLED, "masked.keras"])
def test_what_no_kernel_computes_is_unrolled(
    models: Path, converters: Converters, name: str
) -> None:
    _, int8, lost = both(models, converters, name)
    facts = read(int8)
    assert not {FUSED, "WHILE"} & {op.op for op in facts.ops}
    assert len(facts.ops) > 40
    assert lost < 0.06


def test_a_fused_lstm_answers_as_keras_does(
    models: Path, converters: Converters, tmp_path: Path
) -> None:
    for name in ("bidirectional", "masked"):
        content = converters.to_float(open_source(models / f"{name}.keras"))
        samples = samples_for(read(content), 5)
        np.save(tmp_path / "x.npy", samples[0])
        program = (
            "import sys, json, numpy, keras; m = keras.models.load_model(sys.argv[1]);"
            "y = numpy.asarray(m(numpy.load(sys.argv[2]))); print(json.dumps(y.tolist()))"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, str(models / f"{name}.keras"), str(tmp_path / "x.npy")],
            env=child_environment({"PATH": ""}),
            check=True,
            capture_output=True,
        )
        wanted = np.array(json.loads(done.stdout.splitlines()[-1]))
        np.testing.assert_allclose(answers(content, samples)[0], wanted, atol=1e-5)


def test_a_long_gru_is_refused_with_what_to_change(models: Path, converters: Converters) -> None:
    with pytest.raises(ModelError, match=r"'gru\w*' \(300 steps\); 128 steps at most") as caught:
        converters.to_float(open_source(models / "long_gru.keras"))
    assert "use LSTM" in str(caught.value.hint)


def test_token_ids_stay_int32_through_both_quantizers_and_outputs_keep_their_order(
    models: Path, converters: Converters
) -> None:
    source = open_source(models / "mixed.keras")
    content = converters.to_float(source)
    samples = samples_for(read(content))
    wanted = answers(content, samples)
    assert names(content).inputs == ("ids", "more")
    for int8 in (
        converters.to_int8(source, names(content).inputs, samples),
        converters.quantize(content, names(content).inputs, samples),
    ):
        facts = read(int8)
        assert [spec.dtype for spec in facts.inputs] == ["int32", "int8"]
        assert [spec.shape for spec in facts.outputs] == [(1, 3), (1, 1)]
        got = answers(int8, samples)
        assert max(error(a, b) for a, b in zip(got, wanted, strict=True)) < 0.06


def test_ids_declared_as_real_numbers_are_refused(models: Path, converters: Converters) -> None:
    with pytest.raises(ModelError, match="takes token ids as real numbers") as caught:
        converters.to_float(open_source(models / "real_ids.keras"))
    assert "dtype='int32'" in str(caught.value.hint)
