"""Repairs of int8 files that the TF converter made: it shares tensors and leaves biases out."""

from pathlib import Path

import numpy as np
import pytest

from green_edge.build.subject import to_float
from green_edge.convert.converters import Converters
from green_edge.convert.formats import open_source
from green_edge.convert.int8.graph import Graph
from green_edge.convert.int8.match import match
from green_edge.convert.int8.ready import with_biases
from green_edge.convert.int8.run import in_file_order, tensors
from green_edge.tflite.read import read
from support.tiny_keras import make_models

pytestmark = pytest.mark.tf


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_models(tmp_path_factory.mktemp("keras"))


@pytest.mark.parametrize(("name", "shapes"), [("tiny.keras", [(8, 8, 1)]), ("two.keras", [4, 3])])
def test_every_layer_is_found_and_the_output_gets_no_worse(
    models: Path, tmp_path: Path, name: str, shapes: list[tuple[int, ...] | int]
) -> None:
    rng = np.random.default_rng(5)
    samples = [rng.random((60, *np.atleast_1d(shape))).astype(np.float32) for shape in shapes]
    source = open_source(models / name)
    with Converters(tmp_path, timeout_s=120) as tools:
        model = to_float(tools, source)
        inputs = model.names.inputs
        plain = tools.to_int8(source, inputs, samples)
        found = match(Graph(model.content), Graph(with_biases(plain)))
        assert len(found.pairs) == len(Graph(model.content).layers())
        assert found.skipped == ()
        corrected = tools.correct_bias(model.content, plain, inputs, samples).content
        rounded = tools.round_adaptively(model.content, plain, inputs, samples).content

    def error(tflite: bytes) -> float:
        fed = [dict(zip(inputs, row, strict=True)) for row in zip(*samples, strict=True)]
        pairs = zip(
            tensors(tflite, in_file_order(tflite, fed)),
            tensors(model.content, in_file_order(model.content, fed)),
            strict=True,
        )
        graph = Graph(tflite)
        wrong = [graph.real(graph.outputs[0], own[0]) - wanted[0] for own, wanted in pairs]
        return float(np.sqrt(np.mean(np.square(wrong))))

    step = read(plain).outputs[0].scale
    assert step is not None
    # Outputs are whole steps, so half of one is all that a repair can promise.
    for repaired in (corrected, rounded):
        assert len(repaired) == len(with_biases(plain))
        assert error(repaired) <= error(plain) + step / 2
