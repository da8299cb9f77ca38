"""Channels are taken out of Keras models where that costs the least for what it saves."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from green_edge.compress.graph.values import Graph
from green_edge.compress.scene import Samples, Scene
from green_edge.core.steps import Criterion, Prune
from support.size_prices import SizePrices

pytestmark = pytest.mark.tf
CRITERIA: tuple[Criterion, ...] = ("taylor", "l1", "l2", "bn-scale", "activation")
SLACK = (2, 3, 5, 7, 11, 13)


@pytest.fixture(scope="module")
def graph() -> Graph:
    """Two convolutions of 16 channels; the first has six channels of no use."""
    import keras  # noqa: PLC0415 - seconds of import

    from green_edge.compress.graph.read import read  # noqa: PLC0415 - imports keras

    layers = keras.layers
    keras.utils.set_random_seed(5)
    image = keras.Input((8, 8, 2))
    x = layers.Conv2D(16, 3, use_bias=False, name="first")(image)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.ReLU()(x)
    x = layers.Conv2D(16, 3, activation="relu", name="second")(x)
    x = layers.Flatten()(x)
    model = keras.Model(image, layers.Dense(4, activation="softmax", name="classes")(x))
    norm, second = model.get_layer("norm"), model.get_layer("second")
    first = model.get_layer("first")
    norm.gamma.assign(np.where(np.isin(np.arange(16), SLACK), 0.0, 1.0))
    first.kernel.assign(np.where(np.isin(np.arange(16), SLACK), 1e-3, first.kernel))
    # Larger weights behind them, so that it is not these that give them away.
    second.kernel.assign(second.kernel * 2)
    # Sure of its classes, so that no change is for the better.
    model.get_layer("classes").kernel.assign(model.get_layer("classes").kernel * 20)
    return read(model)


def scene(graph: Graph, folder: Path, *, labels: bool = True, liked: int = 1) -> Scene:
    draw = np.random.default_rng(1)
    x = draw.normal(size=(256, 8, 8, 2)).astype(np.float32)
    y = np.argmax(np.asarray(graph.model(x)), axis=-1) if labels else None
    samples = Samples((x,), y)
    return Scene(
        train=samples.take(slice(0, 128)),
        held=samples.take(slice(128, 256)),
        prices=SizePrices(graph.model.count_params(), liked),
        teacher=graph.model,
        seed=3,
        folder=folder,
        tell=_silent,
    )


def _silent(doing: str, share: float | None = None) -> None:
    del doing, share


def pruned(graph: Graph, step: Prune, scene: Scene) -> tuple[Any, Graph]:
    from green_edge.compress.prune.plan import apply, plan  # noqa: PLC0415 - imports keras

    made = plan(graph, step, scene)
    return made, apply(graph, made, scene)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_channels_of_no_use_go_first_and_nothing_changes(
    graph: Graph, tmp_path: Path, criterion: Criterion
) -> None:
    around = scene(graph, tmp_path)
    without = around.prices.share(graph, (10, 16), "macs")
    plan, left = pruned(graph, Prune(without, "macs", criterion), around)
    rest = tuple(unit for unit in range(16) if unit not in SLACK)
    assert plan.kept == {"first": rest}
    assert left.model.count_params() == pytest.approx(without * graph.model.count_params())
    x = around.held.x[0]
    np.testing.assert_allclose(left.model(x), graph.model(x), atol=1e-5)


def test_the_share_that_was_asked_for_is_met_and_the_given_graph_stays(
    graph: Graph, tmp_path: Path
) -> None:
    before = [weight.numpy() for weight in graph.model.weights]
    plan, left = pruned(graph, Prune(0.4, "macs"), scene(graph, tmp_path))
    assert plan.reached <= 0.4
    assert left.model.count_params() / graph.model.count_params() == pytest.approx(plan.reached)
    for weight, was in zip(graph.model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, was)


def test_channels_are_ranked_without_labels_too(graph: Graph, tmp_path: Path) -> None:
    around = scene(graph, tmp_path, labels=False)
    without = around.prices.share(graph, (10, 16), "macs")
    plan, _ = pruned(graph, Prune(without, "macs", "taylor"), around)
    assert plan.kept == {"first": tuple(unit for unit in range(16) if unit not in SLACK)}


def test_counts_are_at_the_multiple_that_kernels_like(graph: Graph, tmp_path: Path) -> None:
    plan, _ = pruned(graph, Prune(0.7, "macs"), scene(graph, tmp_path, liked=4))
    assert plan.kept
    assert all(len(kept) % 4 == 0 for kept in plan.kept.values())


def test_a_share_that_cannot_be_reached_is_told_and_gone_towards(
    graph: Graph, tmp_path: Path
) -> None:
    plan, left = pruned(graph, Prune(0.01, "macs", least=0.5), scene(graph, tmp_path))
    assert left.sizes == (8, 8)
    assert plan.reached > 0.01
    assert any("1.0% cannot be reached: every group keeps 50%" in line for line in plan.lines())


def test_a_model_whose_channels_cost_next_to_nothing_keeps_them_all(
    graph: Graph, tmp_path: Path
) -> None:
    around = replace(
        scene(graph, tmp_path), prices=SizePrices(graph.model.count_params(), floor=0.99)
    )
    plan, left = pruned(graph, Prune(0.5, "macs"), around)
    assert left.sizes == graph.sizes
    assert plan.reached == 1.0
    assert any("channels cost next to nothing here" in note for note in plan.notes)


def test_the_guard_holds_back_the_groups_whose_loss_would_rise(
    graph: Graph, tmp_path: Path
) -> None:
    plan, _ = pruned(graph, Prune(0.2, "macs", guard=1e-6), scene(graph, tmp_path))
    assert plan.kept == {"first": tuple(unit for unit in range(16) if unit not in SLACK)}
    assert any("guard of 1e-06" in line for line in plan.lines())


def test_a_model_that_is_cheap_enough_is_left_alone(graph: Graph, tmp_path: Path) -> None:
    plan, left = pruned(graph, Prune(1.0, "macs"), scene(graph, tmp_path))
    assert plan.kept == {}
    assert left.sizes == graph.sizes
    assert "no channels are removed" in plan.lines()


def test_two_plans_are_the_same_and_fit_a_terminal(graph: Graph, tmp_path: Path) -> None:
    from green_edge.compress.prune.plan import plan  # noqa: PLC0415 - imports keras

    step = Prune(0.5, "macs")
    lines = plan(graph, step, scene(graph, tmp_path)).lines()
    assert lines == plan(graph, step, scene(graph, tmp_path)).lines()
    assert max(map(len, lines)) <= 80


def test_a_layer_that_cannot_lose_channels_is_named_with_its_reason(
    graph: Graph, tmp_path: Path
) -> None:
    plan, _ = pruned(graph, Prune(0.5, "macs"), scene(graph, tmp_path))
    assert "classes" in [skip.layer for skip in plan.skipped]


def test_a_model_whose_loss_is_no_number_is_refused(graph: Graph, tmp_path: Path) -> None:
    from green_edge_wire.errors import ModelError  # noqa: PLC0415 - beside its use

    around = scene(graph, tmp_path)
    around.train.x[0][:] = np.nan
    with pytest.raises(ModelError, match="not finite"):
        pruned(graph, Prune(0.5, "macs", "taylor"), around)


@pytest.mark.parametrize("labels", [True, False])
@pytest.mark.parametrize("criterion", CRITERIA)
def test_tokens_recurrence_and_several_inputs_and_outputs_are_ranked(
    tmp_path: Path, criterion: Criterion, labels: bool
) -> None:
    import keras  # noqa: PLC0415 - seconds of import

    from green_edge.compress.graph.read import read  # noqa: PLC0415 - imports keras

    layers = keras.layers
    keras.utils.set_random_seed(2)
    tokens, values = keras.Input((6,), dtype="int32"), keras.Input((5,))
    read_on = layers.LSTM(8, name="lstm")(layers.Embedding(20, 8, name="words")(tokens))
    both = layers.Concatenate()(
        [read_on, layers.Dense(8, activation="relu", name="hidden")(values)]
    )
    outputs = [layers.Dense(1, activation="sigmoid")(both), layers.Dense(3)(both)]
    graph = read(keras.Model([tokens, values], outputs))
    draw = np.random.default_rng(4)
    x = (
        draw.integers(0, 20, (160, 6)).astype(np.int32),
        draw.normal(size=(160, 5)).astype(np.float32),
    )
    samples = Samples(x, draw.integers(0, 2, 160) if labels else None)
    around = Scene(
        train=samples.take(slice(0, 100)),
        held=samples.take(slice(100, 160)),
        prices=SizePrices(graph.model.count_params()),
        teacher=graph.model,
        seed=3,
        folder=tmp_path,
        tell=_silent,
    )
    plan, left = pruned(graph, Prune(0.6, "macs", criterion), around)
    assert plan.reached <= 0.6
    assert left.model.count_params() / graph.model.count_params() == pytest.approx(plan.reached)
