"""What the lowering tells of a graph is what the TF converter makes of the model."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from green_edge.compress.graph.values import Graph
from green_edge.compress.lowering import lower, macs, params
from green_edge.compress.price import TargetPrices
from green_edge.convert.converters import Converters
from green_edge.convert.formats import open_source
from green_edge.targets.registry import find
from green_edge.tflite.model import TfliteModel
from green_edge.tflite.read import read as read_tflite

pytestmark = [
    pytest.mark.tf,
    # Of Keras, which reads TensorFlow's variables as NumPy 1 has it.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]
NAMES = (
    "residual",
    "concatenation",
    "separable",
    "transposed",
    "prelu",
    "fashion resnet",
    "ds-cnn",
)
MORE = ("gate", "one axis", "grouped", "dense", "lstm", "gru", "attention", "fashion cnn")
TARGETS = ("pi4", "pi5", "zero2")


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    import keras  # noqa: PLC0415 - seconds of import
    from benchmarks.fashion import networks  # noqa: PLC0415

    from support import lowered_keras as made  # noqa: PLC0415 - TensorFlow

    return made.mixed() | {
        "fashion resnet": networks.small_resnet(keras),
        "fashion cnn": networks.dense_cnn(keras),
        "ds-cnn": made.ds_cnn(),
    }


@pytest.fixture(scope="module")
def converters(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with Converters(tmp_path_factory.mktemp("convert"), timeout_s=200) as running:
        yield running


def graph_of(model: Any) -> Graph:
    from green_edge.compress.graph.read import read  # noqa: PLC0415
    from support.lowered_keras import with_weights  # noqa: PLC0415 - TensorFlow

    return read(with_weights(model, 3))


def removed(graph: Graph) -> tuple[Graph, list[int]]:
    """About half of the units of each group gone, and how many are left."""
    from green_edge.compress.graph.rebuild import remove  # noqa: PLC0415 - TensorFlow

    rng = np.random.default_rng(5)
    left = [max(1, int(group.size * rng.uniform(0.3, 0.9))) for group in graph.groups]
    kept = {group.name: range(n) for group, n in zip(graph.groups, left, strict=True)}
    return remove(graph, kept), left


def converted(graph: Graph, converters: Converters, folder: Path) -> TfliteModel:
    path = folder / "model.keras"
    graph.model.save(path)
    rng = np.random.default_rng(2)
    shapes = [tuple(tensor.shape[1:]) for tensor in graph.model.inputs]
    samples = [rng.normal(size=(4, *shape)).astype(np.float32) for shape in shapes]
    names = [tensor.name for tensor in graph.model.inputs]
    return read_tflite(converters.to_int8(open_source(path), names, samples))


def check(graph: Graph, file: TfliteModel) -> None:
    assert not lower(graph, "int8").unknown
    assert macs(graph) == file.macs
    # Unrolled layers have biases apart that are one here.
    assert params(graph) == pytest.approx(file.params, rel=0.1)
    for name in TARGETS:
        found = TargetPrices(graph, [find(name)]).deviation(graph, file)
        assert found == pytest.approx(0, abs=0.02), name


@pytest.mark.parametrize(
    "name", [*NAMES, *(pytest.param(name, marks=pytest.mark.slow) for name in MORE)]
)
def test_the_price_is_that_of_the_converted_file_before_and_after_channels_went(
    name: str, models: dict[str, Any], converters: Converters, tmp_path: Path
) -> None:
    graph = graph_of(models[name])
    check(graph, converted(graph, converters, tmp_path))

    smaller, left = removed(graph)
    check(smaller, converted(smaller, converters, tmp_path))
    assert macs(graph, left) == macs(smaller)
    assert params(graph, left) == params(smaller)
    whole = TargetPrices(graph, [find("pi4")])
    assert whole.share(graph, left, "instructions") == pytest.approx(
        whole.share(smaller, smaller.sizes, "instructions")
    )


@pytest.mark.slow
def test_the_price_of_mobilenet_is_that_of_the_converted_file(
    converters: Converters, tmp_path: Path
) -> None:
    from support.lowered_keras import mobilenet  # noqa: PLC0415 - TensorFlow

    graph = graph_of(mobilenet())
    check(graph, converted(graph, converters, tmp_path))
    smaller, _ = removed(graph)
    check(smaller, converted(smaller, converters, tmp_path))


def test_both_directions_of_a_recurrent_layer_are_priced_with_the_units_that_are_left(
    models: dict[str, Any],
) -> None:
    graph = graph_of(models["both ways"])
    smaller, left = removed(graph)
    assert macs(graph, left) == macs(smaller) < macs(graph)
    assert params(graph, left) == params(smaller)


def test_attention_over_an_image_has_no_rule_and_is_named() -> None:
    import keras  # noqa: PLC0415 - seconds of import

    layers = keras.layers
    image = keras.Input((4, 4, 8))
    mixed = layers.MultiHeadAttention(2, 4, attention_axes=(1, 2), name="mixed")(image, image)
    graph = graph_of(keras.Model(image, layers.Conv2D(3, 1)(mixed)))
    assert lower(graph, "int8").unknown == ("mixed",)
