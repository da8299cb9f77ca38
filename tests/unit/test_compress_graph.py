"""What is read of a Keras model, and the changes to it."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from green_edge.compress.graph import files, rebuild
from green_edge.compress.graph.read import read
from green_edge.compress.graph.values import Graph, Tie
from green_edge_wire.errors import ModelError
from support import random_keras

pytestmark = pytest.mark.tf


def residual() -> Any:
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, padding="same", name="stem")(inputs)
    y = layers.BatchNormalization(name="norm")(layers.Conv2D(4, 3, padding="same", name="a")(x))
    y = layers.Conv2D(8, 1, name="b")(layers.ReLU(name="relu")(y))
    x = layers.Flatten(name="flat")(layers.Add(name="sum")([x, y]))
    return random_keras.randomized(keras.Model(inputs, layers.Dense(3, name="head")(x)), 1)


def outputs(graph: Graph, seed: int = 0) -> Any:
    return np.array(graph.model(random_keras.samples(graph.model, seed)))


def test_an_addition_ties_the_channels_of_both_its_sides() -> None:
    graph = read(residual())

    assert [(group.name, group.size) for group in graph.groups] == [("stem", 8), ("a", 4)]
    places = {(each.layer, each.variable, each.axis): each for each in graph.groups[0].slices}
    assert {key for key, each in places.items() if each.role == "makes"} == {
        ("stem", "kernel", 3),
        ("stem", "bias", 0),
        ("b", "kernel", 3),
        ("b", "bias", 0),
    }
    assert places["head", "kernel", 0].indices[1] == tuple(range(1, 512, 8))


def test_a_layer_whose_channels_cannot_go_is_listed_with_the_reason() -> None:
    inputs = keras.Input((6, 5))
    x = layers.LayerNormalization()(layers.Dense(4, name="normed")(inputs))
    x = layers.Dense(4, activation="softmax", name="mixed")(x)
    x = layers.Conv1D(4, 3, data_format="channels_last", name="free")(x)
    graph = read(keras.Model(inputs, layers.Dense(2, name="last")(x)))

    reasons = {skip.layer: skip.reason for skip in graph.fixed}
    assert set(reasons) == {"normed", "mixed", "last"}
    assert "averages over them" in reasons["normed"]
    assert "softmax" in reasons["mixed"]
    assert reasons["last"] == "they reach the output"


def test_a_layer_without_a_rule_keeps_its_channels_and_those_it_takes() -> None:
    class Mixer(layers.Dense):  # type: ignore[misc]
        """A layer that could do anything."""

    inputs = keras.Input((5,))
    x = Mixer(4, name="own")(layers.Dense(4, name="before")(inputs))
    graph = read(keras.Model(inputs, layers.Dense(2)(layers.Dense(3, name="after")(x))))

    assert [group.name for group in graph.groups] == ["after"]
    reasons = {skip.layer: skip.reason for skip in graph.fixed}
    assert reasons["own"] == reasons["before"] == "Mixer is a layer of its own"


def test_widths_tell_how_often_a_channel_is_counted_on_an_axis() -> None:
    graph = read(residual())
    flat = next(node for node in graph.nodes if node.layer == "flat")

    assert flat.width.size(graph.sizes) == 512
    assert flat.width.size([3, 4]) == 3 * 64


def test_nested_models_are_taken_apart_under_names_of_their_own() -> None:
    nested = keras.Sequential([keras.Input((5,)), layers.Dense(5, name="same")], name="inner")
    inputs = keras.Input((5,))
    x = nested(layers.Dense(5, name="same")(nested(inputs)))
    model = keras.Model(inputs, layers.Dense(1)(x))
    graph = read(model)

    assert [node.layer for node in graph.nodes[:3]] == ["same", "same_1", "same"]
    given = random_keras.samples(model, 0)
    np.testing.assert_allclose(np.array(model(given)), outputs(graph), rtol=1e-5)


def test_a_subclassed_model_is_refused() -> None:
    class Code(keras.Model):  # type: ignore[misc]
        """Its layers are code."""

    with pytest.raises(ModelError, match="no functional or sequential"):
        read(Code())


def test_removing_leaves_the_graph_it_was_given_alone_and_tells_where_channels_came_from() -> None:
    graph = read(residual(), ties=[Tie("b", "kernel", "values")])
    before = outputs(graph)
    smaller = rebuild.remove(graph, {"stem": [1, 4, 6], "a": [0, 3]})
    again = rebuild.remove(smaller, {"stem": [0, 2]})

    np.testing.assert_array_equal(before, outputs(graph))
    assert smaller.sizes == (3, 2)
    assert smaller.origin["norm"] == (0, 3)
    assert again.origin["sum"] == (1, 6)
    assert again.ties == graph.ties


@pytest.mark.parametrize("kept", [{"nobody": [0]}, {"stem": []}, {"stem": [8]}])
def test_a_group_that_is_not_there_or_left_empty_is_refused(kept: dict[str, list[int]]) -> None:
    graph = read(residual())
    with pytest.raises(ModelError, match="group"):
        rebuild.remove(graph, kept)
    with pytest.raises(ModelError, match="group"):
        rebuild.masked(graph, kept)


def test_layers_can_take_the_place_of_one() -> None:
    graph = read(residual())
    thin, wide = layers.Conv2D(2, 1, name="a_in"), layers.Conv2D(4, 3, padding="same", name="a")
    wide(thin(keras.Input((8, 8, 8))))
    swapped = rebuild.replaced(graph, {"a": [thin, wide]})

    assert [node.layer for node in swapped.nodes[:3]] == ["stem", "a_in", "a"]
    assert [group.name for group in swapped.groups] == ["stem", "a_in", "a"]
    assert "a_in" not in swapped.origin
    assert swapped.origin["a"] == (0, 1, 2, 3)
    np.testing.assert_array_equal(rebuild.weights(swapped, "a_in", "kernel"), thin.kernel.numpy())


def test_weights_are_read_and_changed_on_a_copy() -> None:
    graph = read(residual())
    old = rebuild.weights(graph, "a", "bias")
    changed = rebuild.with_weights(graph, {("a", "bias"): old + 1})

    np.testing.assert_array_equal(rebuild.weights(graph, "a", "bias"), old)
    np.testing.assert_array_equal(rebuild.weights(changed, "a", "bias"), old + 1)
    with pytest.raises(ModelError, match="no variable 'gamma'"):
        rebuild.weights(graph, "a", "gamma")
    with pytest.raises(ModelError, match="no layer 'c'"):
        rebuild.weights(graph, "c", "bias")


def test_policies_regularizers_and_training_flags_survive() -> None:
    inputs = keras.Input((5,))
    hidden = layers.Dense(
        4, dtype="mixed_bfloat16", kernel_regularizer="l2", kernel_constraint="non_neg", name="h"
    )
    frozen = layers.Dense(2, trainable=False, dtype="float32", name="frozen")
    smaller = rebuild.remove(read(keras.Model(inputs, frozen(hidden(inputs)))), {"h": [0, 2]})

    made = smaller.model.get_layer("h")
    assert made.units == 2
    assert made.dtype_policy.name == "mixed_bfloat16"
    assert made.kernel_regularizer is not None
    assert made.kernel_constraint is not None
    assert not smaller.model.get_layer("frozen").trainable


def test_whole_heads_and_sizes_of_keys_and_values_of_an_attention_can_go() -> None:
    inputs = keras.Input((6, 8))
    x = layers.MultiHeadAttention(4, 6, value_dim=5, name="mha")(inputs, inputs)
    graph = read(random_keras.randomized(keras.Model(inputs, layers.Dense(2)(x)), 3))
    kept = {"mha heads": [0, 2], "mha keys": [1, 2, 5], "mha values": [0, 4], "mha": [0, 1, 7]}
    smaller = rebuild.remove(graph, kept)

    layer = smaller.model.get_layer("mha")
    assert (layer.num_heads, layer.key_dim, layer.value_dim) == (2, 3, 2)
    np.testing.assert_allclose(outputs(smaller), outputs(rebuild.masked(graph, kept)), atol=1e-5)


def test_inputs_keep_their_names_and_structure() -> None:
    inputs = {"left": keras.Input((3,), name="left"), "right": keras.Input((3,), name="right")}
    x = layers.Add()([layers.Dense(4)(inputs["left"]), layers.Dense(4)(inputs["right"])])
    graph = read(keras.Model(inputs, {"score": layers.Dense(1)(x)}))

    given = {"left": np.ones((2, 3)), "right": np.zeros((2, 3))}
    assert graph.model(given)["score"].shape == (2, 1)
    assert graph.inputs == ((3,), (3,))


def test_a_graph_comes_back_from_its_folder(tmp_path: Path) -> None:
    graph = rebuild.remove(
        read(residual(), ties=[Tie("b", "kernel", "zeros")]), {"stem": [1, 4, 6]}
    )
    files.save(graph, tmp_path / "step")
    back = files.load(tmp_path / "step")

    assert back.origin == graph.origin
    assert back.ties == graph.ties
    assert back.groups == graph.groups
    np.testing.assert_array_equal(outputs(back), outputs(graph))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MobileNetV2", "EfficientNetB0", "DenseNet121", "ResNet50"])
def test_well_known_networks_shrink_everywhere_but_at_their_output(name: str) -> None:
    build = getattr(keras.applications, name)
    graph = read(build(weights=None, input_shape=(32, 32, 3), classes=4))
    smaller = rebuild.remove(graph, {group.name: range(group.size // 2) for group in graph.groups})

    assert [skip.reason for skip in graph.fixed] == ["they reach the output"]
    assert smaller.model.count_params() < 0.4 * graph.model.count_params()


def test_nested_models_may_be_called_by_keyword_by_names_and_in_inference_alone() -> None:
    first, second = keras.Input((4,), name="q"), keras.Input((4,), name="p")
    pair = keras.Model([first, second], layers.Subtract()([layers.Dense(6)(first), second[:, :1]]))
    inputs = keras.Input((3,))
    both = {"p": layers.Dense(4, name="p_in")(inputs), "q": layers.Dense(4, name="q_in")(inputs)}
    inner = keras.Sequential([keras.Input((6,)), layers.BatchNormalization(), layers.Dense(5)])
    x = inner(inputs=pair(both), training=False)
    model = random_keras.randomized(keras.Model(inputs, x), 4)

    graph = read(model)

    given = random_keras.samples(model, 0)
    np.testing.assert_allclose(outputs(graph), np.array(model(given)), rtol=1e-5)


def test_inputs_that_are_named_by_a_dictionary_become_a_list_in_the_models_order() -> None:
    first, second = keras.Input((3,), name="first"), keras.Input((4,), name="a")
    given = {"first": first, "a": second}
    x = layers.Concatenate()([layers.Dense(5)(first), layers.Dense(6)(second)])
    model = random_keras.randomized(keras.Model(given, layers.Dense(2)(x)), 5)

    graph = read(model)

    assert [tensor.name for tensor in graph.model.inputs] == [t.name for t in model.inputs]
    values = random_keras.samples(model, 0)
    by_name = dict(zip(sorted(given), values, strict=True))
    np.testing.assert_allclose(np.array(graph.model(values)), np.array(model(by_name)), rtol=1e-5)


def test_units_of_recurrent_layers_go_where_tokens_are_masked() -> None:
    tokens = keras.Input((6,), dtype="int32")
    x = layers.Embedding(9, 8, mask_zero=True, name="words")(tokens)
    x = layers.LSTM(6, return_sequences=True, name="lstm")(x)
    x = layers.Bidirectional(layers.GRU(5), name="both")(x)
    model = random_keras.randomized(keras.Model(tokens, layers.Dense(2, name="last")(x)), 6)
    graph = read(model)

    assert [group.name for group in graph.groups] == ["words", "lstm", "both"]
    assert [skip.layer for skip in graph.fixed] == ["last"]
    kept = {"words": [0, 3, 7], "lstm": [1, 4], "both": [0, 2, 3]}
    hidden, smaller = rebuild.masked(graph, kept), rebuild.remove(graph, kept)
    np.testing.assert_allclose(outputs(hidden), outputs(smaller), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_refused_by_the_layers_name(value: float) -> None:
    model = residual()
    model.get_layer("a").bias.assign(np.array([0, 0, value, 0]))
    with pytest.raises(ModelError, match="'a': bias"):
        read(model)
