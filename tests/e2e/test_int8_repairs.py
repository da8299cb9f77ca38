"""Calibration methods and repairs on planted faults, by the real child, without TensorFlow."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from green_edge.convert.converters import Converters, Wide
from green_edge.convert.int8.graph import Graph
from green_edge.convert.int8.ready import packed, unshared
from green_edge.core.recipe import CALIBRATIONS, Calibration
from green_edge.core.report import Skip
from green_edge.tflite.read import read
from green_edge_wire.errors import ModelError
from support.outlier_models import (
    CHANNEL,
    FIRST,
    SECOND,
    SUM,
    THIRD,
    Planted,
    accuracy,
    outputs,
    planted,
)
from support.tiny_models import tiny_float_two_heads, tiny_int8_dense

INPUTS = ["image"]


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Converters]:
    with Converters(tmp_path_factory.mktemp("repairs"), timeout_s=120) as shared:
        yield shared


def loss(tflite: bytes, made: Planted) -> float:
    """Accuracy lost against the float model, in percentage points."""
    return 100 * (accuracy(made.model, made) - accuracy(tflite, made))


def test_equalisation_wins_a_planted_outlier_channel_back(tools: Converters) -> None:
    made = planted("channel")
    plain = tools.quantize(made.model, INPUTS, [made.calibration])
    assert loss(plain, made) > 5
    even = tools.equalise(made.model)
    assert even.done == (f"{FIRST} -> {SECOND}", f"{SECOND} -> {THIRD}", f"{THIRD} -> scores")
    assert even.skipped == (Skip("scores", "its output is the model's"),)
    assert np.abs(outputs(even.content, made.x) - outputs(made.model, made.x)).max() < 1e-5
    repaired = tools.quantize(even.content, INPUTS, [made.calibration])
    assert loss(repaired, made) <= 0.5


def test_after_equalisation_no_channel_stands_out(tools: Converters) -> None:
    made = planted("channel")
    graph = Graph(tools.equalise(made.model).content)
    weights = graph.constant(graph.layers()[0].weights)
    assert weights is not None
    sizes = np.abs(weights).max(axis=(1, 2, 3))
    assert sizes[CHANNEL] < 10 * np.median(sizes)


def test_clipping_the_range_wins_back_what_rare_spikes_cost(tools: Converters) -> None:
    made = planted("spikes")
    lost = {
        method: loss(tools.quantize(made.model, INPUTS, [made.calibration], ranges=method), made)
        for method in CALIBRATIONS
    }
    assert lost["minmax"] > 5
    assert lost["percentile"] < lost["minmax"] / 2
    assert lost["entropy"] <= 1.5
    assert lost["mse"] <= lost["minmax"]


@pytest.mark.parametrize("dtype", ["float32", "int16"])
def test_wide_layers_win_back_what_no_equalisation_can(tools: Converters, dtype: str) -> None:
    made = planted("residual")
    plain = tools.quantize(made.model, INPUTS, [made.calibration])
    assert loss(plain, made) > 5
    reasons = tools.equalise(made.model).skipped
    assert reasons[0] == Skip(FIRST, "its output goes to several operations")
    wide = Wide((FIRST, SECOND, SUM, THIRD), "float32" if dtype == "float32" else "int16")
    mixed = tools.quantize(made.model, INPUTS, [made.calibration], wide=wide)
    assert loss(mixed, made) < (0.5 if dtype == "float32" else 2.5)
    facts = read(mixed)
    assert [spec.dtype for spec in (*facts.inputs, *facts.outputs)] == ["int8", "int8"]
    assert dtype in {tensor.dtype for tensor in facts.tensors if tensor.name.startswith(THIRD)}


def test_a_wide_layer_that_is_the_model_s_last_keeps_its_output_int8(tools: Converters) -> None:
    made = planted("none")
    wide = Wide(("scores",), "float32")
    mixed = tools.quantize(made.model, INPUTS, [made.calibration], wide=wide)
    assert read(mixed).outputs[0].dtype == "int8"
    assert "DEQUANTIZE" in {op.op for op in read(mixed).ops}


def test_a_wide_layer_that_is_not_there_is_named(tools: Converters) -> None:
    made = planted("none")
    with pytest.raises(ModelError, match="no operation gives a tensor 'nowhere'"):
        tools.quantize(made.model, INPUTS, [made.calibration], wide=Wide(("nowhere",)))


Repair = Callable[[Converters, Planted, bytes], bytes]


def by_bias(tools: Converters, made: Planted, int8: bytes) -> bytes:
    return tools.correct_bias(made.model, int8, INPUTS, [made.calibration]).content


def by_rounding(tools: Converters, made: Planted, int8: bytes) -> bytes:
    return tools.round_adaptively(made.model, int8, INPUTS, [made.calibration]).content


@pytest.mark.parametrize("repair", [by_bias, by_rounding])
def test_biases_spoiled_in_the_int8_file_are_made_good(tools: Converters, repair: Repair) -> None:
    made = planted("none")
    plain = tools.quantize(made.model, INPUTS, [made.calibration])
    graph = Graph(unshared(plain))
    for layer in graph.layers():
        bias = graph.constant(layer.bias or 0)
        assert bias is not None
        # A third of the output's range, alternating.
        step = graph.scales(layer.y)[0] * 85 / (graph.scales(layer.weights) * graph.scales(layer.x))
        bias += (step * np.resize([1, -1], bias.shape)).astype(np.int32)
    spoiled = graph.content()
    assert loss(spoiled, made) > 5
    assert loss(repair(tools, made, spoiled), made) <= 0.5


def test_rounding_brings_the_output_closer_where_weights_were_rounded_badly(
    tools: Converters,
) -> None:
    made = planted("none")
    plain = tools.quantize(made.model, INPUTS, [made.calibration])
    graph = Graph(unshared(plain))
    for layer in graph.layers():
        weights = graph.constant(layer.weights)
        assert weights is not None
        weights[...] = np.clip(weights.astype(int) // 12 * 12, -127, 127)
    coarse = graph.content()

    def error(tflite: bytes) -> float:
        return float(np.std(outputs(tflite, made.x) - outputs(made.model, made.x)))

    by_mean = error(by_bias(tools, made, coarse))
    assert by_mean < 0.7 * error(coarse)
    assert error(by_rounding(tools, made, coarse)) < 0.5 * by_mean


@pytest.mark.parametrize("repair", [by_bias, by_rounding])
def test_a_repair_changes_nothing_but_weights_and_biases(tools: Converters, repair: Repair) -> None:
    made = planted("none")
    plain = tools.quantize(made.model, INPUTS, [made.calibration])
    repaired = repair(tools, made, plain)
    assert len(repaired) == len(unshared(plain))
    before, after = read(plain), read(repaired)
    assert after.ops == before.ops
    assert after.tensors == before.tensors


def test_layers_that_share_a_bias_get_one_each() -> None:
    shared = with_one_bias(tiny_float_two_heads())
    own = unshared(shared)
    assert len(own) > len(shared)
    first, second = (Graph(own).layers()[i] for i in (0, 1))
    graph = Graph(own)
    change = graph.constant(first.bias or 0)
    assert change is not None
    change += 1
    other = graph.constant(second.bias or 0)
    assert other is not None
    assert not other.any()
    x = np.ones((2, 4), np.float32)
    assert np.array_equal(outputs(own, x), outputs(shared, x))
    assert unshared(own) == own


def with_one_bias(tflite: bytes) -> bytes:
    """Two dense layers of 3 values each that take the same bias tensor."""
    from ai_edge_litert import schema_py_generated as schema  # noqa: PLC0415 - of this alone

    model = schema.ModelT.InitFromPackedBuf(tflite, 0)
    graph = model.subgraphs[0]
    weights, bias = graph.operators[1].inputs[1:]
    graph.operators[0].inputs = [graph.operators[0].inputs[0], weights, bias]
    graph.tensors[graph.operators[0].outputs[0]].shape = [1, 3]
    return packed(model)


def test_the_float_file_of_another_model_is_refused(tools: Converters) -> None:
    made, other = planted("none"), planted("none", seed=1)
    plain = tools.quantize(made.model, INPUTS, [made.calibration])
    with pytest.raises(ModelError, match="no layer of the int8 file can be repaired"):
        tools.correct_bias(other.model, plain, INPUTS, [made.calibration])


def test_a_model_with_int8_weights_is_not_quantized_again(tools: Converters) -> None:
    with pytest.raises(ModelError, match="quantized already"):
        tools.quantize(tiny_int8_dense(), ["x"], [np.zeros((4, 4), np.float32)])


@pytest.mark.parametrize("method", CALIBRATIONS)
def test_the_same_samples_give_the_same_bytes(tools: Converters, method: Calibration) -> None:
    made = planted("spread")
    results = set()
    for _ in range(2):
        int8 = tools.quantize(made.model, INPUTS, [made.calibration], ranges=method)
        results.add(by_bias(tools, made, by_rounding(tools, made, int8)))
    assert len(results) == 1
