import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from green_edge.build.compare.page import plot
from green_edge.build.compare.words import decibel, error_percent, harm
from green_edge.build.words import short_name
from green_edge.cli import compare
from green_edge.evaluate.latency import median_ratio, ratio
from green_edge.evaluate.layers import LayerError
from green_edge.evaluate.predict import predict
from green_edge_wire.errors import ConfigError, ModelError
from support.bundles import tiny_bundle
from support.quantized_pairs import float_file, int8_file, net, samples
from support.tiny_models import dense_weights, tiny_float_dense, tiny_float_two_heads


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A float model, a sound int8 one and one whose `conv2` is broken, with labelled samples."""
    (tmp_path / "float.tflite").write_bytes(float_file(net()))
    (tmp_path / "int8.tflite").write_bytes(int8_file(net()))
    (tmp_path / "broken.tflite").write_bytes(int8_file(net(), fault="weights", layer="conv2"))
    dataset = samples(200, seed=9)
    (scores,) = predict(float_file(net()), dataset)
    np.savez(tmp_path / "test.npz", x=dataset.inputs["image"], y=np.argmax(scores, axis=1))
    np.savez(tmp_path / "bare.npz", x=dataset.inputs["image"])
    return tmp_path


def _run(folder: Path, new: str, *options: str, eval_set: str = "test.npz") -> Result:
    arguments = [str(folder / "float.tflite"), str(folder / new)]
    where = ["--eval", str(folder / eval_set), "--runs", "5"]
    return CliRunner().invoke(compare.command, [*arguments, *where, *options])


def _document(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def test_the_document_has_the_keys_of_the_interface(folder: Path) -> None:
    document = _document(_run(folder, "int8.tflite", "--json"))
    assert {"a", "b", "quality", "layers", "size_bytes", "macs", "latency_ratio"} <= set(document)
    quality = document["quality"]
    assert set(quality) == {"metric", "a", "b", "difference", "low", "high", "n", "paired"}
    assert {"name", "op", "sqnr_db", "worst_channel"} <= set(document["layers"][0])
    assert set(document["size_bytes"]) == set(document["macs"]) == {"a", "b"}
    assert set(document["latency_ratio"]) == {"median", "low", "high"}
    assert "gate" not in document
    assert document["predicted"] == []


def test_a_planted_bad_layer_is_named_first(folder: Path) -> None:
    document = _document(_run(folder, "broken.tflite", "--json"))
    worst = document["layers"][0]
    assert (worst["name"], worst["op"], worst["worst_channel"]) == ("net/conv2", "CONV_2D", 2)
    quality = document["quality"]
    assert quality["metric"] == "accuracy"
    assert (quality["a"], quality["n"]) == (1.0, 200)
    assert quality["difference"] == pytest.approx(quality["b"] - quality["a"])
    assert quality["low"] < quality["difference"] < quality["high"] < 0


def test_without_labels_the_baseline_stands_in_for_them(folder: Path) -> None:
    document = _document(_run(folder, "int8.tflite", "--json", eval_set="bare.npz"))
    assert document["quality"]["metric"].startswith("fidelity")
    assert document["quality"]["a"] == 1.0
    assert "agreement with the baseline" in document["notes"][0]


def test_no_runs_no_latency(folder: Path) -> None:
    document = _document(_run(folder, "int8.tflite", "--json", "--runs", "0"))
    assert "latency_ratio" not in document


def test_the_text_fits_80_columns_and_says_whose_latency_it_is(folder: Path) -> None:
    result = _run(folder, "broken.tflite", "--layers", "3")
    assert result.exit_code == 0, result.output
    table = result.stdout.splitlines()[2:]
    assert max(map(len, table)) <= 80
    first = next(line for line in table if "CONV_2D" in line)
    assert "net/conv2" in first
    assert "3 of 7 layers" in result.stdout
    assert "this machine's" in result.stdout


def test_the_page_needs_nothing_else_and_plots_each_layer(folder: Path) -> None:
    page = folder / "page.html"
    result = _run(folder, "broken.tflite", "--html", str(page), "--json")
    _document(result)
    assert f"wrote {page}" in result.stderr
    content = page.read_text(encoding="utf-8")
    assert "http" not in content
    assert "<script" not in content
    assert content.count('<circle class="own"') == 7
    assert content.index("net/conv2") < content.index("net/depth")


def test_a_page_that_cannot_be_written_is_an_error_of_the_option(folder: Path) -> None:
    result = _run(folder, "int8.tflite", "--html", str(folder / "none" / "page.html"))
    assert isinstance(result.exception, ConfigError)
    assert "--html" in str(result.exception)


def test_a_bundle_brings_its_model(folder: Path) -> None:
    (folder / "dense.tflite").write_bytes(tiny_float_dense(seed=1))
    (folder / "tiny.gedge").write_bytes(tiny_bundle())
    x = np.random.default_rng(3).uniform(-1, 1, (20, 4)).astype(np.float32)
    np.savez(folder / "x.npz", x=x)
    arguments = [str(folder / "dense.tflite"), str(folder / "tiny.gedge")]
    options = ["--eval", str(folder / "x.npz"), "--runs", "0", "--json"]
    document = _document(CliRunner().invoke(compare.command, [*arguments, *options]))
    assert [layer["op"] for layer in document["layers"]] == ["FULLY_CONNECTED", "QUANTIZE"]


def test_a_quantized_baseline_is_said_to_be_one(folder: Path) -> None:
    arguments = [str(folder / "int8.tflite"), str(folder / "broken.tflite")]
    options = ["--eval", str(folder / "test.npz"), "--runs", "0", "--json"]
    document = _document(CliRunner().invoke(compare.command, [*arguments, *options]))
    assert document["layers"][0]["name"] == "net/conv2"
    assert document["layers"][1]["output_sqnr_db"] == 120.0
    assert "quantized itself" in document["notes"][0]


def test_what_is_no_model_is_named(folder: Path) -> None:
    (folder / "notes.txt").write_text("hello", encoding="utf-8")
    result = _run(folder, "notes.txt")
    assert isinstance(result.exception, ModelError)
    assert "notes.txt" in str(result.exception)
    assert isinstance(_run(folder, "int8.tflite", eval_set="none.npz").exception, ConfigError)


def test_models_with_other_inputs_cannot_be_compared(folder: Path) -> None:
    (folder / "dense.tflite").write_bytes(tiny_float_dense())
    result = _run(folder, "dense.tflite")
    assert isinstance(result.exception, ModelError)
    assert "dense.tflite: input 'x' takes (1, 4)" in str(result.exception)


# --- words and figures ---------------------------------------------------------------------------


def test_a_fused_name_is_shown_by_its_telling_end() -> None:
    fused = "model/model/re_lu_1/Relu;model/batch_norm/FusedBatchNormV3;model/conv/Conv2D"
    assert short_name(fused) == "re_lu_1/Relu"
    assert short_name("x") == "x"
    assert short_name("a" * 50, 20) == ".." + "a" * 18


def test_twenty_decibels_are_a_tenth_of_the_error() -> None:
    assert error_percent(20.0) == pytest.approx(10.0)
    assert error_percent(40.0) == pytest.approx(1.0)
    assert (decibel(31.44), decibel(120.0), decibel(-0.01)) == ("31.4", "none", "0.0")
    assert (harm(40.0), harm(120.0)) == ("1 %", "none")


def test_a_layer_without_error_stands_at_the_top_of_the_plot() -> None:
    layers = [
        LayerError(1, "bad", "CONV_2D", 12.0, 0, 3.0, 1.0, 4, 1),
        LayerError(0, "good", "RESHAPE", 120.0, 0, 120.0, 120.0, 4, 1),
    ]
    laid = plot(layers)
    assert [point.worst for point in laid.points] == [False, True]
    assert laid.points[0].own_y == min(y for y, _ in laid.ticks)


def test_the_ratio_of_a_model_to_itself_is_about_one() -> None:
    found = ratio(tiny_float_dense(), tiny_float_dense(), runs=60)
    assert found.low <= found.median <= found.high
    assert 0.5 < found.median < 2.0


def test_the_median_ratio_has_an_interval_by_order_statistics() -> None:
    # Of 100 values, the 40th and the 61st bound the median with 95 % confidence.
    found = median_ratio(np.arange(1.0, 101.0))
    assert (found.median, found.low, found.high) == (50.5, 40.0, 61.0)


def test_outputs_beyond_the_labelled_one_are_judged_too(tmp_path: Path) -> None:
    sound = tiny_float_two_heads()
    # The head of five values, which is not the author's first, gives nothing but zeros.
    own = dense_weights(4, 5, 1)
    (tmp_path / "float.tflite").write_bytes(sound)
    (tmp_path / "spoilt.tflite").write_bytes(sound.replace(own.tobytes(), bytes(own.nbytes)))
    x = np.random.default_rng(0).uniform(-1, 1, (50, 4)).astype(np.float32)
    np.savez(tmp_path / "test.npz", x=x, y=np.argmax(x @ dense_weights(seed=0).T, axis=1))
    np.savez(tmp_path / "bare.npz", x=x)
    labelled = _document(_run(tmp_path, "spoilt.tflite", "--json"))
    assert labelled["quality"]["b"] == 1.0
    assert labelled["notes"][0].startswith("warning: only the first output was judged by the label")
    same = _document(_run(tmp_path, "float.tflite", "--json"))
    assert same["notes"][0].endswith("the others' fidelity to the baseline is 100.0 %")
    bare = _document(_run(tmp_path, "spoilt.tflite", "--json", eval_set="bare.npz"))
    assert bare["quality"]["b"] < 0.3
