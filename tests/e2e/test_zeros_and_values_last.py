"""Zeros and shared values last through training and through the conversion to int8 and float."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

keras = pytest.importorskip("keras")

from ai_edge_litert.interpreter import Interpreter, OpResolverType  # noqa: E402 - after Keras

from green_edge.compress.cluster import plan as cluster  # noqa: E402
from green_edge.compress.graph.read import read  # noqa: E402
from green_edge.compress.graph.values import Graph  # noqa: E402
from green_edge.compress.kernels import kernels_of  # noqa: E402
from green_edge.compress.recover import train as recover  # noqa: E402
from green_edge.compress.scene import Samples, Scene  # noqa: E402
from green_edge.compress.sparsity import plan as sparsity  # noqa: E402
from green_edge.convert import samples, tensorflow_lite  # noqa: E402
from green_edge.core.steps import Cluster, Recover, Sparsify  # noqa: E402
from green_edge.tflite.sparse import with_sparse_weights  # noqa: E402
from support.recovery import NoPrices, Told  # noqa: E402

# What the converter and Keras warn of themselves; a build runs them in a child of its own.
pytestmark = [pytest.mark.tf, pytest.mark.filterwarnings("ignore")]

_SHARE, _CLUSTERS = 0.75, 6
_KERNELS = ("first", "depth", "wide", "scores")


@pytest.fixture(scope="module")
def teacher() -> Any:
    layers = keras.layers
    keras.utils.set_random_seed(1)
    image = keras.Input((16, 16, 3), name="image")
    x = layers.Conv2D(16, 3, 2, use_bias=False, name="first")(layers.ZeroPadding2D(1)(image))
    x = layers.ReLU()(layers.BatchNormalization(name="norm")(x))
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu", name="depth")(x)
    x = layers.Conv2D(24, 1, use_bias=False, name="wide")(x)
    x = layers.ReLU()(layers.BatchNormalization(name="norm2")(x))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(5, activation="softmax", name="scores")(x))


@pytest.fixture(scope="module")
def scene(teacher: Any, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    x = np.random.default_rng(2).normal(size=(256, 16, 16, 3)).astype(np.float32)
    whole = Samples((x,), np.asarray(teacher(x)).argmax(axis=1))
    folder = tmp_path_factory.mktemp("recover")
    held = whole.take(slice(224, 256))
    return Scene(whole.take(slice(0, 224)), held, NoPrices(), teacher, 5, folder, Told())


def _trained(graph: Graph, scene: Scene) -> Graph:
    step = Recover(epochs=3, rate=3e-3, batch=32)
    return recover.apply(graph, recover.plan(graph, step, scene), scene)


@pytest.fixture(scope="module")
def sparse(teacher: Any, scene: Scene) -> tuple[Graph, Graph]:
    """Before and after training."""
    graph = read(teacher)
    before = sparsity.apply(graph, sparsity.plan(graph, Sparsify(_SHARE), scene), scene)
    return before, _trained(before, scene)


@pytest.fixture(scope="module")
def clustered(sparse: tuple[Graph, Graph], scene: Scene) -> tuple[Graph, Graph]:
    """Before and after training."""
    graph = sparse[1]
    step = Cluster(_CLUSTERS, per="channel")
    before = cluster.apply(graph, cluster.plan(graph, step, scene), scene)
    return before, _trained(before, scene)


def _rows(graph: Graph) -> dict[str, NDArray[Any]]:
    return {each.layer: each.rows(each.values()) for each in kernels_of(graph.model)[0]}


def test_zeros_are_where_they_were_after_training_and_the_rest_learned(
    sparse: tuple[Graph, Graph],
) -> None:
    before, after = map(_rows, sparse)
    for name in _KERNELS:
        assert np.array_equal(before[name] == 0, after[name] == 0), name
    assert not np.array_equal(before["wide"], after["wide"])


def test_what_was_equal_in_a_channel_is_equal_to_the_bit_after_training(
    clustered: tuple[Graph, Graph],
) -> None:
    before, after = map(_rows, clustered)
    for name in _KERNELS:
        for old, new in zip(before[name], after[name], strict=True):
            pairs = np.unique(np.stack([old, new]), axis=1)
            assert pairs.shape[1] == len(np.unique(old)) == len(np.unique(new)), name
    assert not np.array_equal(before["wide"], after["wide"])


def test_int8_has_no_more_values_in_a_channel_and_the_same_zeros(
    clustered: tuple[Graph, Graph], scene: Scene, tmp_path: Path
) -> None:
    graph = clustered[1]
    samples.write(tmp_path / "samples.npz", [scene.train.x[0][:32]])
    saved = _saved(graph, tmp_path)
    tflite = tensorflow_lite.to_int8(saved, "keras", tmp_path / "samples.npz", ["image"])
    codes = _int8_rows(tflite)
    for name, rows in _rows(graph).items():
        stored = codes[rows.shape]
        assert (stored[rows == 0] == 0).all(), name
        for row, codes_of_row in zip(rows, stored, strict=True):
            assert len(np.unique(codes_of_row)) <= len(np.unique(row)) <= _CLUSTERS


def test_the_float_file_stores_its_zeros_away_and_gives_the_same_outputs(
    sparse: tuple[Graph, Graph], scene: Scene, tmp_path: Path
) -> None:
    model = tensorflow_lite.to_float(_saved(sparse[1], tmp_path), "keras")
    stored = with_sparse_weights(model)
    assert (stored.kernels, stored.reasons) == (1, ())
    assert len(stored.content) < len(model)
    before, after = (_scores(each, scene.train.x[0][:1]) for each in (model, stored.content))
    # Sparse kernels sum in another order.
    np.testing.assert_allclose(after, before, atol=1e-6)


def _saved(graph: Graph, folder: Path) -> Path:
    path = folder / "model.keras"
    graph.model.save(path)
    return path


def _scores(tflite: bytes, x: NDArray[np.float32]) -> NDArray[np.float32]:
    net = Interpreter(model_content=tflite)
    net.allocate_tensors()
    net.set_tensor(net.get_input_details()[0]["index"], x)
    net.invoke()
    return np.asarray(net.get_tensor(net.get_output_details()[0]["index"]))


def _int8_rows(tflite: bytes) -> dict[tuple[int, ...], NDArray[np.int8]]:
    """Int8 kernels, a row for each output channel; here all are of different shapes."""
    net = Interpreter(
        model_content=tflite,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    net.allocate_tensors()
    found = {}
    for each in net.get_tensor_details():
        scales = each["quantization_parameters"]["scales"]
        if each["dtype"] == np.int8 and len(scales) > 1:
            axis = each["quantization_parameters"]["quantized_dimension"]
            rows = np.moveaxis(net.get_tensor(each["index"]), axis, 0).reshape(len(scales), -1)
            found[rows.shape] = rows
    return found
