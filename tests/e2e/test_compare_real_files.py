"""Layers of files that the real converters made are all matched, whatever they inserted."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from green_edge.build.compare.comparison import CompareOptions, compare
from green_edge.convert.converters import Converters
from green_edge.convert.formats import open_source
from green_edge.data.dataset import Dataset
from green_edge.evaluate.layers import compare_layers
from support.quantized_pairs import float_file, net, samples
from support.tiny_keras import make_models

_DATA = os.environ.get("GREEN_EDGE_TEST_DATA")
_WITH_DATA = pytest.mark.skipif(
    _DATA is None, reason="set GREEN_EDGE_TEST_DATA to the folder of public models"
)
# A sound int8 layer changes the output by less than a fifth.
_SOUND_DB = 14.0


@pytest.fixture(scope="module")
def converters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Converters]:
    with Converters(tmp_path_factory.mktemp("work"), timeout_s=120) as shared:
        yield shared


def test_what_ai_edge_quantizer_makes_is_matched(converters: Converters) -> None:
    dataset = samples()
    int8 = converters.quantize(float_file(net()), ["image"], [dataset.inputs["image"]])
    report = compare_layers(float_file(net()), int8, dataset)
    assert report.unmatched == ()
    assert {error.name for error in report.layers if error.ops} == {
        "net/conv1", "net/depth", "net/conv2", "net/add", "net/mean", "net/scores",
    }  # fmt: skip
    assert report.layers[0].output_sqnr_db > _SOUND_DB


@pytest.mark.tf
def test_a_keras_model_is_compared_with_what_tensorflow_made_of_it(
    converters: Converters, tmp_path: Path
) -> None:
    folder = make_models(tmp_path)
    x = np.random.default_rng(5).random((40, 8, 8, 1)).astype(np.float32)
    np.savez(folder / "images.npz", x=x)
    int8 = converters.to_int8(open_source(folder / "tiny.keras"), ["image"], [x])
    (folder / "int8.tflite").write_bytes(int8)
    told: list[str] = []
    found = compare(
        CompareOptions(
            baseline=folder / "tiny.keras",
            new=folder / "int8.tflite",
            eval=str(folder / "images.npz"),
            runs=5,
        ),
        lambda doing, _share=None: told.append(doing),
    )
    assert found.unmatched == ()
    assert {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"} <= {e.op for e in found.layers}
    assert found.layers[0].output_sqnr_db > _SOUND_DB
    assert found.quality.n == 40
    assert told[0] == "converting tiny.keras to float .tflite"


@_WITH_DATA
@pytest.mark.parametrize(
    ("name", "high"), [("kws", 6.0), ("resnet8_cifar10", 255.0), ("vww_96", 1.0)]
)
def test_published_pairs_are_matched_whole(name: str, high: float) -> None:
    folder = Path(_DATA or "") / "mlperf_tiny"
    before, after = ((folder / f"{name}_{kind}.tflite").read_bytes() for kind in ("fp32", "int8"))
    shape = {"kws": (49, 10, 1), "resnet8_cifar10": (32, 32, 3), "vww_96": (96, 96, 3)}[name]
    x = np.random.default_rng(0).uniform(0, high, (4, *shape)).astype(np.float32)
    report = compare_layers(before, after, Dataset({"x": x}))
    assert report.unmatched == ()
    assert {error.ops for error in report.layers} <= {0, 1}
    assert report.layers[0].output_sqnr_db > _SOUND_DB
