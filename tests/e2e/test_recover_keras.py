"""Recovery of small Keras models: it learns, repeats itself and goes on where it stopped."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from green_edge.compress.graph.read import read  # noqa: E402 - needs Keras
from green_edge.compress.graph.rebuild import masked, remove, with_weights  # noqa: E402
from green_edge.compress.graph.values import Graph  # noqa: E402
from green_edge.compress.recover import batch_norm, train  # noqa: E402
from green_edge.compress.scene import Samples, Scene  # noqa: E402
from green_edge.core.steps import BatchNorm, Recover  # noqa: E402
from green_edge_wire.errors import ConfigError  # noqa: E402
from support.recovery import (  # noqa: E402
    TickingClock,
    Told,
    classifier,
    images,
    scene,
    weights,
)

pytestmark = pytest.mark.tf

STEP = Recover(epochs=6, rate=2e-2, batch=16, augment=("noise",))


@pytest.fixture(scope="module")
def teacher() -> Any:
    return classifier()


@pytest.fixture
def around(teacher: Any, tmp_path: Path) -> Scene:
    return scene(teacher, images(teacher, 400, 1), images(teacher, 100, 2), tmp_path)


def shrunk(teacher: Any) -> Graph:
    return remove(read(teacher), {"conv": [0, 2, 3, 5]})


def taught(graph: Graph, step: Recover, around: Scene) -> Graph:
    return train.apply(graph, train.plan(graph, step, around), around, TickingClock())


def agreement(model: Any, samples: Samples) -> float:
    assert samples.y is not None
    return float(np.mean(np.asarray(model(samples.x[0])).argmax(axis=1) == samples.y))


def same(one: Graph, other: Graph) -> bool:
    pairs = zip(weights(one.model), weights(other.model), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("part", ["labels", "teacher"])
def test_each_part_of_the_loss_wins_back_what_removed_channels_cost(
    teacher: Any, around: Scene, part: str
) -> None:
    graph, before = shrunk(teacher), weights(shrunk(teacher).model)
    parts = {"labels": (1.0, 0.0), "teacher": (0.0, 1.0)}
    labels, distilled = parts[part]
    step = Recover(epochs=12, rate=2e-2, batch=16, labels=labels, teacher=distilled)
    judged = images(teacher, 300, 9)
    recovered = taught(graph, step, around)
    assert agreement(recovered.model, judged) > agreement(graph.model, judged) + 0.1
    assert all(np.array_equal(a, b) for a, b in zip(before, weights(graph.model), strict=True))


def test_inner_tensors_alone_come_nearer_to_the_originals(teacher: Any, around: Scene) -> None:
    original, graph = read(teacher), shrunk(teacher)
    step = Recover(epochs=4, rate=2e-2, batch=16, labels=0.0, teacher=0.0, features=1.0)
    plan = train.plan(graph, step, around)
    (point,) = plan.points
    assert point.channels == (0, 2, 3, 5)
    spoilt = with_weights(graph, {("norm", "gamma"): np.full(4, 0.3, np.float32)})
    recovered = train.apply(spoilt, plan, around)

    def apart(model: Any) -> float:
        x = around.held.x[0]
        given, wanted = (
            np.asarray(keras.Model(each.inputs[0], each.get_layer(point.layer).output)(x))
            for each in (model, original.model)
        )
        return float(np.mean((given - wanted[..., list(point.channels)]) ** 2))

    assert apart(recovered.model) < 0.2 * apart(spoilt.model)


def test_labels_are_not_needed(teacher: Any, around: Scene) -> None:
    blind = replace(around, train=replace(around.train, y=None), held=replace(around.held, y=None))
    graph = shrunk(teacher)
    plan = train.plan(graph, STEP, blind)
    assert [(skip.layer, skip.reason) for skip in plan.skipped] == [
        ("labels", "the training samples have none")
    ]
    assert plan.lines() == (
        "train on 400 samples: 150 steps of 16, rate 0.02",
        "loss: 1 x the original's outputs at temperature 2",
        "changes of the inputs: noise",
        "the best on 100 held samples is kept",
    )
    assert not same(train.apply(graph, plan, blind), graph)
    with pytest.raises(ConfigError, match="nothing to learn from"):
        train.plan(graph, replace(STEP, teacher=0.0), blind)


def test_two_runs_give_the_same_bits_and_another_seed_others(teacher: Any, around: Scene) -> None:
    first, second = (taught(shrunk(teacher), STEP, around) for _ in range(2))
    assert same(first, second)
    assert not same(first, taught(shrunk(teacher), STEP, replace(around, seed=6)))


def test_an_interrupted_training_goes_on_to_the_same_bits(
    teacher: Any, around: Scene, tmp_path: Path
) -> None:
    whole = taught(shrunk(teacher), STEP, replace(around, folder=tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        taught(shrunk(teacher), STEP, replace(around, tell=Told(end_after=70)))
    told = Told()
    assert same(taught(shrunk(teacher), STEP, replace(around, tell=told)), whole)
    # It had stopped after 70 of 150 steps, and the last state was saved before the 51st.
    assert told.lines[0][0].startswith("recover: step 51 of 150")
    assert not list(tmp_path.glob("*.npz"))


def test_held_samples_never_see_it_end_worse_than_it_began(teacher: Any, around: Scene) -> None:
    graph = read(teacher)
    wild = replace(STEP, rate=10.0, labels=0.0)
    assert same(taught(graph, wild, around), graph)


def test_whole_numbers_and_several_inputs_and_outputs_are_learned(tmp_path: Path) -> None:
    layers = keras.layers
    keras.utils.set_random_seed(2)
    words, table = keras.Input((5,), dtype="int32", name="words"), keras.Input((4,), name="table")
    told = layers.GlobalAveragePooling1D(name="mean")(layers.Embedding(20, 8, name="book")(words))
    both = layers.Concatenate(name="both")([told, layers.Dense(8, "relu", name="wide")(table)])
    yes = layers.Dense(1, "sigmoid", name="yes")(both)
    much = layers.Dense(2, name="much")(both)
    teacher = keras.Model([words, table], [yes, much])
    draw = np.random.default_rng(1)
    x = (draw.integers(0, 20, (300, 5)), draw.normal(size=(300, 4)))
    y = (np.asarray(teacher([x[0], x[1].astype(np.float32)])[0])[:, 0] > 0.5).astype(np.int64)
    samples = Samples(x, y)
    around = scene(teacher, samples.take(slice(0, 200)), samples.take(slice(200, 300)), tmp_path)
    graph = masked(read(teacher), {"wide": [0, 1, 2]})

    def apart(model: Any) -> float:
        pairs = zip(model([x[0], x[1]]), teacher([x[0], x[1]]), strict=True)
        return float(sum(np.mean((np.asarray(a) - np.asarray(b)) ** 2) for a, b in pairs))

    step = Recover(epochs=10, rate=1e-2, batch=20, augment=("mix", "noise"))
    plan = train.plan(graph, step, around)
    assert [output.kind for output in plan.outputs] == ["binary", "values"]
    assert plan.changes.inputs == ((), ("noise",))
    assert apart(train.apply(graph, plan, around).model) < 0.5 * apart(graph.model)


def test_a_short_training_leaves_statistics_of_what_the_model_is_now(
    teacher: Any, around: Scene
) -> None:
    spoilt = with_weights(shrunk(teacher), {("norm", "moving_mean"): np.full(4, 5.0, np.float32)})
    step = Recover(epochs=2, rate=1e-6, batch=16, labels=0.0)
    recovered = taught(spoilt, step, around)
    norm = recovered.model.get_layer("norm")
    seen = np.asarray(recovered.model.get_layer("conv")(around.train.x[0])).mean((0, 1, 2))
    assert np.asarray(norm.moving_mean) == pytest.approx(seen, abs=1e-3)
    assert norm.momentum == teacher.get_layer("norm").momentum


def test_statistics_become_those_of_the_samples(teacher: Any, around: Scene) -> None:
    graph = shrunk(teacher)
    plan = batch_norm.plan(graph, BatchNorm(samples=300), around)
    assert plan.lines() == ("statistics of 1 normalisations from 300 samples",)
    plan = batch_norm.plan(graph, BatchNorm(samples=5_000), around)
    changed = batch_norm.apply(graph, plan, around)
    seen = np.asarray(graph.model.get_layer("conv")(around.train.x[0]))
    norm = changed.model.get_layer("norm")
    assert np.asarray(norm.moving_mean) == pytest.approx(seen.mean((0, 1, 2)), abs=1e-5)
    assert np.asarray(norm.moving_variance) == pytest.approx(seen.var((0, 1, 2)), rel=1e-4)
    assert not np.array_equal(graph.model.get_layer("norm").moving_mean, norm.moving_mean)


def test_dropout_is_off_while_a_model_recovers_and_back_afterwards(tmp_path: Path) -> None:
    found = []
    for rate in (0.0, 0.9):
        model = classifier(dropout=rate)
        folder = tmp_path / str(rate)
        folder.mkdir()
        around = scene(model, images(model, 64, 1), images(model, 32, 2), folder)
        step = replace(STEP, epochs=2.0, augment=())
        left = train.apply(read(model), train.plan(read(model), step, around), around)
        assert left.model.get_layer("dropout").rate == rate
        found.append(weights(left.model))
    for without, with_dropout in zip(*found, strict=True):
        np.testing.assert_array_equal(without, with_dropout)
