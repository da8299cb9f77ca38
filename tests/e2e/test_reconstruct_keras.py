"""Layers that lost channels, refitted on samples without labels."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from green_edge.compress.graph.values import Graph, Tie
from green_edge.compress.scene import Samples, Scene
from green_edge.core.steps import Measure, Reconstruct

pytestmark = pytest.mark.tf


@dataclass(frozen=True)
class _Told:
    said: list[str] = field(default_factory=list)

    def __call__(self, doing: str, share: float | None = None) -> None:
        del share
        self.said.append(doing)


class _NoPrices:
    def share(self, graph: Graph, kept: Sequence[int], measure: Measure) -> float:
        raise AssertionError((graph, kept, measure))

    def multiple(self) -> int:
        raise AssertionError


def _scene(teacher: Any, folder: Path, shape: tuple[int, ...] = (8, 8, 3)) -> Scene:
    draw = np.random.default_rng(3)
    x = draw.normal(size=(200, *shape)).astype(np.float32)
    samples = Samples((x,))
    return Scene(
        samples.take(slice(0, 150)), samples.take(slice(150, None)), _NoPrices(), teacher, 1,
        folder, _Told(),
    )  # fmt: skip


def _network(norm: bool = True) -> Any:
    """A network whose layers give every channel twice."""
    import keras  # noqa: PLC0415 - seconds of import

    keras.utils.set_random_seed(5)
    layers = keras.layers
    image = keras.Input((8, 8, 3), name="image")
    x = image
    for i, filters in enumerate((8, 12)):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=not norm, name=f"conv{i}")(x)
        if norm:
            x = layers.BatchNormalization(name=f"norm{i}")(x)
        x = layers.ReLU(name=f"relu{i}")(x)
        x = layers.DepthwiseConv2D(3, strides=2, name=f"depthwise{i}")(x)
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    x = layers.Dense(10, activation="relu", name="hidden")(x)
    x = layers.Dense(4, activation="softmax", name="class")(x)
    model = keras.Model(image, x)
    draw = np.random.default_rng(9)
    for layer in model.layers:
        if layer.name.startswith("norm"):
            shape = layer.gamma.shape
            layer.set_weights([draw.uniform(0.5, 1.5, shape) for _ in range(4)])
        if layer.name == "class":
            layer.kernel.assign(layer.kernel * 4.0)
        elif layer.weights:
            layer.set_weights([_twice(layer, weights) for weights in layer.get_weights()])
    return model


def _twice(layer: Any, weights: np.ndarray) -> np.ndarray:
    """The second half of the output channels as the first."""
    axis = -2 if layer.name.startswith("depthwise") and weights.ndim > 1 else -1
    half = np.take(weights, range(weights.shape[axis] // 2), axis)
    return np.concatenate([half, half], axis)


def _graph(model: Any, kept: dict[str, Sequence[int]]) -> Graph:
    from green_edge.compress.graph.read import read  # noqa: PLC0415 - imports Keras
    from green_edge.compress.graph.rebuild import remove  # noqa: PLC0415 - imports Keras

    return remove(read(model), kept)


def _refitted(graph: Graph, scene: Scene, step: Reconstruct | None = None) -> Graph:
    from green_edge.compress.reconstruct.plan import plan  # noqa: PLC0415 - imports Keras
    from green_edge.compress.reconstruct.refit import apply  # noqa: PLC0415 - imports Keras

    step = step or Reconstruct(ridge=1e-6)
    return apply(graph, plan(graph, step, scene), scene)


def _error(graph: Graph, scene: Scene) -> float:
    (x,) = scene.held.x
    return float(np.abs(np.asarray(graph.model(x)) - np.asarray(scene.teacher(x))).max())


@pytest.mark.parametrize("norm", [True, False])
def test_channels_that_others_repeat_can_go_without_a_trace(norm: bool, tmp_path: Path) -> None:
    model = _network(norm)
    scene = _scene(model, tmp_path)
    pruned = _graph(model, {"conv0": range(4), "conv1": range(6, 12), "hidden": range(5)})
    assert _error(pruned, scene) > 0.03
    assert _error(_refitted(pruned, scene), scene) < 1e-3


def test_the_graph_that_came_in_and_the_original_stay_as_they_were(tmp_path: Path) -> None:
    model = _network()
    scene = _scene(model, tmp_path)
    pruned = _graph(model, {"conv0": range(4)})
    before = [*model.get_weights(), *pruned.model.get_weights()]
    _refitted(pruned, scene)
    after = [*model.get_weights(), *pruned.model.get_weights()]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_offset_of_a_normalisation_that_training_moved_is_mended(tmp_path: Path) -> None:
    model = _network()
    scene = _scene(model, tmp_path)
    pruned = _graph(model, {"conv0": range(4)})
    for i in range(2):
        norm = pruned.model.get_layer(f"norm{i}")
        norm.set_weights([weights * 1.5 for weights in norm.get_weights()])
    assert _error(_refitted(pruned, scene), scene) < 1e-3


def test_outputs_come_nearer_where_channels_are_truly_missing(tmp_path: Path) -> None:
    model = _network()
    scene = _scene(model, tmp_path)
    pruned = _graph(model, {"conv0": range(3), "conv1": range(5)})
    assert _error(_refitted(pruned, scene), scene) < 0.8 * _error(pruned, scene)


def test_a_model_that_lost_nothing_keeps_its_weights(tmp_path: Path) -> None:
    model = _network()
    scene = _scene(model, tmp_path)
    graph = _graph(model, {})
    for one, other in zip(
        graph.model.get_weights(), _refitted(graph, scene).model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_too_few_samples_do_no_harm(tmp_path: Path) -> None:
    model = _network()
    scene = _scene(model, tmp_path)
    pruned = _graph(model, {"conv0": range(3), "conv1": range(5)})
    refitted = _refitted(pruned, scene, Reconstruct(samples=1, ridge=1e-9))
    (x,) = scene.held.x
    wanted = np.asarray(model(x))
    errors = [np.mean((np.asarray(g.model(x)) - wanted) ** 2) for g in (refitted, pruned)]
    assert errors[0] <= errors[1]


def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    model = _network()
    scene = _scene(model, tmp_path)
    pruned = _graph(model, {"conv0": range(3)})
    step = Reconstruct(samples=60)
    one, other = (_refitted(pruned, scene, step).model.get_weights() for _ in range(2))
    for mine, theirs in zip(one, other, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_what_has_no_closed_form_is_listed_with_its_reason(tmp_path: Path) -> None:
    import keras  # noqa: PLC0415 - seconds of import

    from green_edge.compress.graph.read import read  # noqa: PLC0415 - imports Keras
    from green_edge.compress.reconstruct.plan import plan  # noqa: PLC0415 - imports Keras

    layers = keras.layers
    series = keras.Input((6, 3), name="series")
    shared = layers.Dense(3, name="shared")
    x = shared(shared(series))
    x = layers.LSTM(4, name="memory", return_sequences=True)(x)
    x = layers.Conv1DTranspose(4, 2, name="wider")(x)
    x = layers.Dense(5, name="sparse")(layers.Flatten(name="flat")(x))
    model = keras.Model(series, layers.Dense(2, name="class")(x))
    graph = read(model, ties=(Tie("sparse", "kernel", "zeros"),))
    found = plan(graph, Reconstruct(), _scene(model, tmp_path, (6, 3)))
    assert {skip.layer: skip.reason for skip in found.skipped} == {
        "shared": "it is called 2 times: no one input to fit it on",
        "memory": "its weights act on its own earlier outputs",
        "wider": "no least squares for Conv1DTranspose",
        "sparse": "its zeros would be lost",
    }
    assert [refit.layer for refit in found.refits] == ["class"]
    assert all(len(line) <= 80 for line in found.lines())
