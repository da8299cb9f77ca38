"""The pass `low-rank` on Keras models."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from green_edge.compress.graph.values import Graph
from green_edge.compress.scene import Samples, Scene
from green_edge.core.steps import Form, LowRank
from green_edge_wire.errors import ConfigError
from support.mac_prices import MacPrices

pytestmark = pytest.mark.tf

ALL: tuple[Form, ...] = ("dense", "pointwise", "spatial", "channel")


def make(layers: Any, shape: tuple[int, ...]) -> Graph:
    """A sequential graph with weights that are not those of the start."""
    import keras  # noqa: PLC0415 - seconds of import

    from green_edge.compress.graph.read import read  # noqa: PLC0415 - imports keras

    keras.utils.set_random_seed(7)
    made = keras.Sequential([keras.Input(shape), *layers])
    return read(randomised(made))


def randomised(model: Any) -> Any:
    draws = np.random.default_rng(2)
    model.set_weights(
        [
            draws.uniform(0.1, 1, each.shape) * (draws.random(each.shape) < 0.5)
            + 0.2 * draws.normal(size=each.shape) ** 2
            for each in model.get_weights()
        ]
    )
    return model


def scene_of(graph: Graph, samples: Samples, tmp_path: Path, multiple: int = 1) -> Scene:
    prices = MacPrices(graph, multiple=multiple)
    return Scene(samples, samples.take(slice(0, 32)), prices, None, 1, tmp_path, _silent)


def _silent(doing: str, share: float | None = None) -> None:
    del doing, share


def drawn(graph: Graph, n: int = 96) -> Samples:
    """Samples of few directions, as those of the world are."""
    shapes = graph.inputs
    return Samples(
        tuple(_few_directions(n, tuple(side or 0 for side in shape)) for shape in shapes)
    )


def _few_directions(n: int, shape: tuple[int, ...]) -> np.ndarray:
    draws = np.random.default_rng(11)
    few = draws.normal(size=(n, *shape[:-1], 5)) @ draws.normal(size=(5, shape[-1]))
    return (few + 0.1 * draws.normal(size=few.shape) + 1).astype(np.float32)


def split(graph: Graph, scene: Scene, **parameters: Any) -> tuple[Any, Graph]:
    from green_edge.compress.lowrank.split import apply, plan  # noqa: PLC0415 - imports keras

    made = plan(graph, LowRank(measure="macs", **parameters), scene)
    return made, apply(graph, made, scene)


def outputs(graph: Graph, samples: Samples) -> np.ndarray:
    x = samples.x[0] if len(samples.x) == 1 else list(samples.x)
    return np.asarray(graph.model.predict(x, verbose=0))


def one_layer(name: str) -> tuple[Graph, tuple[Form, ...]]:
    from keras import layers  # noqa: PLC0415 - seconds of import

    image = (9, 8, 12)
    cases: dict[str, tuple[Any, tuple[int, ...], tuple[Form, ...]]] = {
        "dense": (layers.Dense(40, name="it"), (30,), ALL),
        "dense over steps": (layers.Dense(40, name="it"), (5, 30), ALL),
        "1 x 1, strided": (layers.Conv2D(20, 1, strides=2, name="it"), image, ALL),
        "k x k": (layers.Conv2D(20, 3, padding="same", name="it"), image, ("spatial",)),
        "strided": (
            layers.Conv2D(20, (3, 5), strides=(2, 1), padding="same", use_bias=False, name="it"),
            image,
            ("spatial",),
        ),
        "strided, channels": (
            layers.Conv2D(20, (3, 2), strides=(1, 2), name="it"), image, ("channel",),
        ),
        "dilated": (layers.Conv2D(20, 3, dilation_rate=2, name="it"), image, ("spatial",)),
        "dilated, channels": (
            layers.Conv2D(20, 3, dilation_rate=2, padding="same", name="it"), image, ("channel",),
        ),
        "causal": (
            layers.Conv1D(20, 3, padding="causal", dilation_rate=2, name="it"), (16, 12), ALL,
        ),
        "1 x 1 of a series": (layers.Conv1D(20, 1, strides=2, name="it"), (16, 12), ALL),
        "separable": (
            layers.SeparableConv2D(
                20, 3, depth_multiplier=2, padding="same", activation="relu",
                pointwise_regularizer="l2", name="it",
            ),
            image,
            ALL,
        ),
        "separable series": (layers.SeparableConv1D(20, 3, strides=2, name="it"), (16, 12), ALL),
    }  # fmt: skip
    layer, shape, forms = cases[name]
    return make([layer], shape), forms


@pytest.mark.parametrize(
    "name",
    [
        "dense", "dense over steps", "1 x 1, strided", "k x k", "strided", "strided, channels",
        "dilated", "dilated, channels", "causal", "1 x 1 of a series", "separable",
        "separable series",
    ],
)  # fmt: skip
def test_what_stands_in_a_layers_place_gives_its_outputs_but_for_what_the_plan_says(
    name: str, tmp_path: Path
) -> None:
    graph, forms = one_layer(name)
    samples = drawn(graph)
    scene = scene_of(graph, samples, tmp_path)
    before = outputs(graph, samples)
    plan, small = split(graph, scene, energy=0.97, forms=forms)
    (split_layer,) = plan.splits
    assert [layer.name for layer in small.model.layers][-1] == "it"
    np.testing.assert_array_equal(outputs(graph, samples), before)
    error = np.mean((outputs(small, samples) - before) ** 2)
    lost = error / np.mean((before - before.mean(axis=tuple(range(before.ndim - 1)))) ** 2)
    assert 0.97 <= split_layer.offer.kept < 1
    # The windows of the same samples, but not all of them; the activation follows the split.
    assert lost <= 1.35 * (1 - split_layer.offer.kept) + 1e-4
    assert plan.reached == pytest.approx(scene.prices.share(small, small.sizes, "macs"))
    assert small.model.count_params() < graph.model.count_params() or "channel" in forms


def test_nearly_all_of_the_variance_gives_nearly_the_same_outputs(tmp_path: Path) -> None:
    for name in ("dense", "k x k", "strided, channels", "separable"):
        graph, forms = one_layer(name)
        samples = drawn(graph)
        plan, small = split(graph, scene_of(graph, samples, tmp_path), energy=0.9999, forms=forms)
        assert plan.splits or plan.skipped
        np.testing.assert_allclose(
            outputs(small, samples), outputs(graph, samples), rtol=0.05,
            atol=0.05 * np.abs(outputs(graph, samples)).max(),
        )  # fmt: skip


def small_network() -> Graph:
    from keras import layers  # noqa: PLC0415 - seconds of import

    return make(
        [
            layers.Conv2D(16, 3, padding="same", use_bias=False, name="first"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(name="relu"),
            layers.DepthwiseConv2D(3, name="depthwise"),
            layers.Conv2D(24, 3, groups=2, name="grouped"),
            layers.Flatten(name="flatten"),
            layers.Dense(32, activation="relu", name="hidden"),
            layers.Dense(4, activation="softmax", name="classes"),
        ],
        (9, 8, 6),
    )


def test_a_budget_is_met_and_the_plan_tells_all(tmp_path: Path) -> None:
    graph = small_network()
    scene = scene_of(graph, drawn(graph), tmp_path, multiple=4)
    plan, small = split(graph, scene, keep=0.75)
    assert plan.reached <= 0.75
    assert plan.reached == pytest.approx(scene.prices.share(small, small.sizes, "macs"))
    done = {each.offer.layer for each in plan.splits}
    skipped = {skip.layer: skip.reason for skip in plan.skipped}
    assert done | skipped.keys() == {"first", "depthwise", "grouped", "hidden", "classes"}
    assert not done & skipped.keys()
    assert "depthwise" in skipped["depthwise"]
    assert "grouped" in skipped["grouped"]
    text = "\n".join(plan.lines())
    assert all(name in text for name in done)
    assert max(map(len, plan.lines())) <= 80
    assert "out of reach" not in text


def test_a_budget_out_of_reach_is_told(tmp_path: Path) -> None:
    graph = small_network()
    plan, _ = split(graph, scene_of(graph, drawn(graph), tmp_path), keep=0.01)
    assert plan.reached > 0.01
    assert "out of reach" in "\n".join(plan.lines())


def test_the_same_samples_and_seed_give_the_same_weights(tmp_path: Path) -> None:
    graph = small_network()
    samples = drawn(graph)
    both = [split(graph, scene_of(graph, samples, tmp_path), energy=0.9)[1] for _ in range(2)]
    for one, other in zip(*(each.model.get_weights() for each in both), strict=True):
        np.testing.assert_array_equal(one, other)


def test_samples_tell_which_errors_matter(tmp_path: Path) -> None:
    graph, forms = one_layer("k x k")
    samples = drawn(graph)
    scene = scene_of(graph, samples, tmp_path)
    aware, small = split(graph, scene, energy=0.95, forms=forms)
    wanted = outputs(graph, samples)
    blind, plain = split(graph, scene, keep=aware.reached, forms=forms, data_aware=False)
    assert blind.reached <= aware.reached * 1.1
    assert np.square(outputs(small, samples) - wanted).sum() < 0.5 * (
        np.square(outputs(plain, samples) - wanted).sum()
    )


def test_a_budget_is_paid_where_the_outputs_suffer_least(tmp_path: Path) -> None:
    import keras  # noqa: PLC0415 - seconds of import

    from green_edge.compress.graph.read import read  # noqa: PLC0415 - imports keras

    image = keras.Input((40,))
    loud = keras.layers.Dense(40, name="loud")(image)
    quiet = keras.layers.Rescaling(0.01)(keras.layers.Dense(40, name="quiet")(image))
    model = randomised(keras.Model(image, keras.layers.Add()([loud, quiet])))
    model.get_layer("loud").set_weights(model.get_layer("quiet").get_weights())
    graph = read(model)
    samples = drawn(graph)
    plan, small = split(graph, scene_of(graph, samples, tmp_path), keep=0.7)
    assert [each.offer.layer for each in plan.splits] == ["quiet"]
    assert [(skip.layer, skip.reason) for skip in plan.skipped] == [
        ("loud", "left whole: the budget is met at less harm elsewhere")
    ]
    wanted = outputs(graph, samples)
    assert np.mean((outputs(small, samples) - wanted) ** 2) < 1e-4 * wanted.var()


def test_a_layer_that_is_used_twice_is_split_once(tmp_path: Path) -> None:
    import keras  # noqa: PLC0415 - seconds of import

    from green_edge.compress.graph.read import read  # noqa: PLC0415 - imports keras

    a, b = keras.Input((20,), name="a"), keras.Input((20,), name="b")
    shared = keras.layers.Dense(30, activation="relu", name="shared")
    graph = read(randomised(keras.Model([a, b], keras.layers.Add()([shared(a), shared(b)]))))
    samples = drawn(graph)
    plan, small = split(graph, scene_of(graph, samples, tmp_path), energy=0.99)
    assert [each.offer.layer for each in plan.splits] == ["shared"]
    calls = [node.layer for node in small.nodes if node.kind == "Dense"]
    assert sorted(calls) == ["shared", "shared", "shared_in", "shared_in"]
    wanted = outputs(graph, samples)
    assert np.mean((outputs(small, samples) - wanted) ** 2) < 0.02 * wanted.var()


def test_a_split_layer_can_be_split_again(tmp_path: Path) -> None:
    graph, _ = one_layer("dense")
    samples = drawn(graph)
    scene = scene_of(graph, samples, tmp_path)
    _, once = split(graph, scene, energy=0.999, forms=("dense",))
    plan, twice = split(once, scene, energy=0.7, forms=("dense",))
    assert plan.splits
    assert len({layer.name for layer in twice.model.layers}) == len(twice.model.layers)


def test_a_layer_that_the_model_does_not_have_is_an_error_with_the_nearest_name(
    tmp_path: Path,
) -> None:
    graph = small_network()
    with pytest.raises(ConfigError, match="hiddn") as error:
        split(graph, scene_of(graph, drawn(graph), tmp_path), layers=("hiddn",))
    assert "hidden" in (error.value.hint or "")


def test_only_the_layers_named_and_the_forms_allowed_are_looked_at(tmp_path: Path) -> None:
    graph = small_network()
    scene = scene_of(graph, drawn(graph), tmp_path)
    plan, _ = split(graph, scene, energy=0.9, layers=("hidden", "first"), forms=("dense",))
    assert [each.offer.layer for each in plan.splits] == ["hidden"]
    (skip,) = plan.skipped
    assert skip.layer == "first"
    assert "spatial or channel" in skip.reason


def test_samples_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    import keras  # noqa: PLC0415 - seconds of import

    from green_edge.compress.lowrank.split import plan  # noqa: PLC0415 - imports keras
    from green_edge_wire.errors import ModelError  # noqa: PLC0415 - beside its use

    graph = make([keras.layers.Dense(16), keras.layers.Dense(4, name="last")], (8,))
    samples = drawn(graph)
    samples.x[0][3] = np.nan
    with pytest.raises(ModelError, match="no finite numbers"):
        plan(graph, LowRank(energy=0.9), scene_of(graph, samples, tmp_path))
