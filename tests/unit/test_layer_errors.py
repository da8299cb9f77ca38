"""Planted faults are found where they were planted, by either figure, in files of any make."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from green_edge.data.dataset import Dataset
from green_edge.evaluate.layers import (
    MOST_DB,
    LayerError,
    LayerReport,
    compare_layers,
    layer_errors,
)
from green_edge.tflite.read import read
from support.quantized_pairs import (
    CHANNEL,
    LAYERS,
    Fault,
    Net,
    float_file,
    int8_file,
    net,
    samples,
    with_outlier,
)
from support.tiny_models import tiny_float_conv, tiny_float_dense, tiny_int8_dense


def _errors(of: Net, fault: Fault | None = None, layer: str = "") -> tuple[LayerError, ...]:
    return layer_errors(float_file(of), int8_file(of, fault=fault, layer=layer), samples())


def _by_name(errors: tuple[LayerError, ...]) -> Mapping[str, LayerError]:
    # The network's input, where the rounding of the image stands, is one of the layers.
    return {error.name: error for error in errors}


HEALTHY = _by_name(_errors(net()))


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("fault", ["clipped", "weights", "bias"])
def test_a_planted_fault_is_ranked_first(fault: Fault, layer: str) -> None:
    broken = int8_file(net(), fault=fault, layer=layer)
    report = compare_layers(float_file(net()), broken, samples())
    assert report.rescaled == ()
    errors = report.layers
    assert errors[0].name == f"net/{layer}"
    assert errors[0].output_sqnr_db < errors[1].output_sqnr_db - 10
    assert min(errors, key=lambda error: error.sqnr_db) is errors[0]


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("fault", ["weights", "bias"])
def test_a_fault_in_one_channel_is_told_by_the_channel(fault: Fault, layer: str) -> None:
    assert _errors(net(), fault, layer)[0].worst_channel == CHANNEL


def test_an_outlier_channel_is_ranked_first_though_it_is_itself_exact() -> None:
    outlier = _by_name(_errors(with_outlier(net(), "depth")))
    errors = _errors(with_outlier(net(), "depth"))
    assert errors[0].name == "net/depth"
    assert errors[0].worst_channel != CHANNEL
    assert outlier["net/depth"].sqnr_db < HEALTHY["net/depth"].sqnr_db - 10


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("fault", ["clipped", "weights", "bias"])
def test_no_layer_is_blamed_for_another_ones_fault(fault: Fault, layer: str) -> None:
    for name, error in _by_name(_errors(net(), fault, layer)).items():
        if name != f"net/{layer}":
            assert abs(error.output_sqnr_db - HEALTHY[name].output_sqnr_db) < 3


def test_the_rounding_of_the_input_is_a_layer() -> None:
    image = HEALTHY["net/image"]
    assert (image.op, image.ops, image.index) == ("QUANTIZE", 0, 0)
    assert 35 < image.sqnr_db < 50


def test_a_model_does_not_differ_from_itself() -> None:
    content = int8_file(net())
    report = compare_layers(content, content, samples())
    assert {error.sqnr_db for error in report.layers} == {MOST_DB}
    assert {error.output_sqnr_db for error in report.layers} == {MOST_DB}
    assert report.unmatched == ()


def test_own_error_is_what_numpy_computes() -> None:
    # A float row of weights against its int8 one, on inputs that int8 holds exactly.
    x = np.round(np.random.default_rng(2).uniform(-3, 3, (16, 4)) * 32).astype(np.float32) / 32
    files = tiny_float_dense(), tiny_int8_dense()
    (error,) = (e for e in layer_errors(*files, Dataset({"x": x})) if e.op == "FULLY_CONNECTED")
    scale = np.float32(read(files[1]).tensors[1].scale)
    weights = np.frombuffer(_constant(files[0], "w"), np.float32).reshape(3, 4)
    steps = np.round(x @ (np.round(weights / scale) * scale).T * 8)
    wanted = x.astype(np.float64) @ weights.T
    noise = np.clip(steps, -128, 127) / 8 - wanted
    ratio = np.mean(np.sum(noise**2, axis=0) / np.sum(wanted**2, axis=0))
    assert error.sqnr_db == pytest.approx(-10 * np.log10(ratio), abs=0.05)
    assert error.sqnr_db > 20


def _constant(content: bytes, name: str) -> bytes:
    from ai_edge_litert import schema_py_generated as schema  # noqa: PLC0415 - for this test alone

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    tensor = next(t for t in model.subgraphs[0].tensors if t.name == name.encode())
    return bytes(model.buffers[tensor.buffer].data)


def test_the_figures_do_not_depend_on_the_batches_they_are_taken_in() -> None:
    few = compare_layers(float_file(net()), int8_file(net()), samples(), samples=3)
    assert few.samples == 3
    same = compare_layers(float_file(net()), int8_file(net()), samples(), samples=3)
    assert few == same


def test_progress_ends_at_the_whole() -> None:
    told: list[float] = []
    compare_layers(float_file(net()), int8_file(net()), samples(), samples=2, progress=told.append)
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1.0)


# --- files of other makes ------------------------------------------------------------------------


def _healthy_again(report: LayerReport, within_db: float = 0.1) -> None:
    assert report.unmatched == ()
    found = {e.name.rpartition("/")[2]: e for e in report.layers}
    for name, error in HEALTHY.items():
        same = found[name.rpartition("/")[2]]
        assert same.output_sqnr_db == pytest.approx(error.output_sqnr_db, abs=within_db)
        assert same.op in {error.op, "RELU"}


def test_other_names_are_matched_by_structure() -> None:
    other = int8_file(replace(net(), prefix="functional_7/"))
    _healthy_again(compare_layers(float_file(net()), other, samples()))


def test_inputs_of_an_addition_may_be_swapped() -> None:
    other = int8_file(replace(net(), prefix="functional_7/", swapped_add=True))
    _healthy_again(compare_layers(float_file(net()), other, samples()))


@pytest.mark.parametrize("prefix", ["net/", "functional_7/"])
def test_an_activation_may_be_fused_in_one_file_alone(prefix: str) -> None:
    apart = float_file(replace(net(), relu_apart=True))
    report = compare_layers(apart, int8_file(replace(net(), prefix=prefix)), samples())
    _healthy_again(report)
    assert max(error.ops for error in report.layers) == 2


@pytest.mark.parametrize("prefix", ["net/", "functional_7/"])
def test_two_floats_of_one_net_hardly_differ(prefix: str) -> None:
    apart = float_file(replace(net(), prefix=prefix, relu_apart=True))
    report = compare_layers(float_file(net()), apart, samples())
    assert report.unmatched == ()
    assert min(error.output_sqnr_db for error in report.layers) > 100


def test_an_evened_out_tensor_is_compared_in_the_baselines_units() -> None:
    uneven = float_file(with_outlier(net(), "depth"))
    report = compare_layers(uneven, int8_file(net()), samples())
    assert report.rescaled == ("net/depth",)
    _healthy_again(report, within_db=2.0)


@pytest.mark.parametrize("layer", ["conv1", "conv2", "scores"])
def test_a_fault_beside_an_evened_out_tensor_is_still_found(layer: str) -> None:
    uneven = float_file(with_outlier(net(), "depth"))
    errors = layer_errors(uneven, int8_file(net(), fault="weights", layer=layer), samples())
    assert errors[0].name == f"net/{layer}"


def test_what_has_no_counterpart_is_listed_with_a_reason() -> None:
    image = Dataset({"image": np.random.default_rng(0).normal(size=(4, 8, 8, 1))})
    report = compare_layers(tiny_float_conv(classes=3), tiny_float_conv(classes=4), image)
    assert [(u.file, u.op) for u in report.unmatched] == [
        ("a", "FULLY_CONNECTED"),
        ("b", "FULLY_CONNECTED"),
    ]
    assert all("no such tensor" in entry.reason for entry in report.unmatched)
