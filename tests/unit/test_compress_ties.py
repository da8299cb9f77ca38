"""What training must keep of the weights: zeros stay zero, equal values stay equal to the bit."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from green_edge.compress.graph.values import Graph, Kept, Tie
from green_edge_wire.errors import ModelError

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

from green_edge.compress import ties  # noqa: E402

pytestmark = pytest.mark.tf

_EMPTY = Graph(None, (), (), (), (), ())
_STEPS = 25


def _model() -> Any:
    keras.utils.set_random_seed(3)
    inputs = keras.Input((9, 9, 3))
    x = keras.layers.Conv2D(7, 3, name="conv")(inputs)
    x = keras.layers.DepthwiseConv2D(3, depth_multiplier=2, name="depth")(x)
    x = keras.layers.Conv2DTranspose(5, 3, name="up")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(4, name="dense")(x))


def _trained(model: Any, kept: tuple[Tie, ...]) -> None:
    graph = replace(_EMPTY, model=model, ties=kept)
    variables = model.trainable_variables
    held = ties.prepare(graph, variables)
    optimizer = keras.optimizers.Adam(1e-2)
    optimizer.build(variables)
    draw = np.random.default_rng(0)
    x = tf.constant(draw.normal(size=(16, 9, 9, 3)), tf.float32)
    y = tf.constant(draw.integers(0, 4, 16))

    @tf.function  # type: ignore[untyped-decorator]
    def step() -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(
                keras.losses.sparse_categorical_crossentropy(y, model(x), from_logits=True)
            )
        optimizer.apply(held(tape.gradient(loss, [v.value for v in variables])), variables)
        held.settle()

    for _ in range(_STEPS):
        step()


def _levels(weights: Any) -> Any:
    return (np.round(weights * 10) / 10).astype(np.float32)


def test_zeros_stay_zero_and_the_other_weights_learn() -> None:
    model = _model()
    kernel = model.get_layer("conv").kernel
    before = np.where(np.abs(kernel.numpy()) < 0.1, 0, kernel.numpy())
    kernel.assign(before)
    _trained(model, (Tie("conv", "kernel", "zeros"),))
    after = kernel.numpy()
    assert (after[before == 0] == 0).all()
    assert (after[before != 0] != before[before != 0]).all()


@pytest.mark.parametrize("layer", ["conv", "depth", "up", "dense"])
def test_equal_weights_of_a_layer_stay_equal_to_the_bit_and_move(layer: str) -> None:
    model = _model()
    kernel = model.get_layer(layer).kernel
    before = _levels(kernel.numpy())
    kernel.assign(before)
    _trained(model, (Tie(layer, "kernel", "values"),))
    after = kernel.numpy()
    for value in np.unique(before):
        assert len(np.unique(after[before == value])) == 1
    assert not np.array_equal(before, after)


@pytest.mark.parametrize(
    ("layer", "axes"), [("conv", (3,)), ("depth", (2, 3)), ("up", (2,)), ("dense", (1,))]
)
def test_equal_weights_of_an_output_channel_stay_equal_and_channels_part(
    layer: str, axes: tuple[int, ...]
) -> None:
    model = _model()
    kernel = model.get_layer(layer).kernel
    before = _levels(kernel.numpy())
    kernel.assign(before)
    _trained(model, (Tie(layer, "kernel", "channel-values"),))

    def rows(array: Any) -> Any:
        moved = np.moveaxis(array, axes, range(len(axes)))
        return moved.reshape(int(np.prod(moved.shape[: len(axes)])), -1)

    for row, trained in zip(rows(before), rows(kernel.numpy()), strict=True):
        for value in np.unique(row):
            assert len(np.unique(trained[row == value])) == 1
    assert len(np.unique(kernel.numpy())) > len(np.unique(before))


def test_zeros_and_values_of_one_variable_are_kept_together() -> None:
    model = _model()
    kernel = model.get_layer("conv").kernel
    before = _levels(kernel.numpy())
    kernel.assign(before)
    both: tuple[Kept, ...] = ("zeros", "values")
    _trained(model, tuple(Tie("conv", "kernel", kept) for kept in both))
    after = kernel.numpy()
    assert np.array_equal(after == 0, before == 0)
    assert len(np.unique(after)) == len(np.unique(before))


def test_infinite_gradients_leave_zeros_zero_and_absent_gradients_are_passed_on() -> None:
    model = _model()
    kernel = model.get_layer("dense").kernel
    kernel.assign(np.where(kernel.numpy() < 0, 0, kernel.numpy()))
    graph = replace(_EMPTY, model=model, ties=(Tie("dense", "kernel", "zeros"),))
    held = ties.prepare(graph, [kernel, model.get_layer("dense").bias])
    gradient, none = held([tf.fill(kernel.shape, np.inf), None])
    assert (gradient.numpy()[kernel.numpy() == 0] == 0).all()
    assert none is None


def test_the_gradient_of_some_rows_of_an_embedding_moves_all_that_is_equal() -> None:
    inputs = keras.Input((2,), dtype="int32")
    model = keras.Model(inputs, keras.layers.Embedding(3, 2, name="words")(inputs))
    table = model.get_layer("words").embeddings
    table.assign([[1.0, 2.0], [3.0, 1.0], [2.0, 4.0]])
    graph = replace(_EMPTY, model=model, ties=(Tie("words", "embeddings", "values"),))
    rows = tf.IndexedSlices(tf.constant([[4.0, 8.0]]), tf.constant([0]), tf.constant([3, 2]))
    (gradient,) = ties.prepare(graph, [table])([rows])
    assert gradient.numpy().tolist() == [[2.0, 4.0], [0.0, 2.0], [4.0, 0.0]]


def test_variables_without_ties_get_their_gradients_as_they_are() -> None:
    model = _model()
    held = ties.prepare(replace(_EMPTY, model=model), model.trainable_variables)
    gradients = [tf.ones(v.shape) for v in model.trainable_variables]
    assert all(a is b for a, b in zip(held(gradients), gradients, strict=True))


def test_a_tie_of_a_variable_that_is_not_there_is_an_error() -> None:
    model = _model()
    graph = replace(_EMPTY, model=model, ties=(Tie("dense", "kernels", "zeros"),))
    with pytest.raises(ModelError, match="no kernel kernels"):
        ties.prepare(graph, model.trainable_variables)
