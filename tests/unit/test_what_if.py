"""What changes when a layer gets other channels, or a model another type."""

from green_edge.build.estimate.what_if import (
    channel_groups,
    factored,
    folded,
    with_channels,
    with_dtype,
)
from green_edge.targets.cost.shape import shapes_of
from green_edge.tflite.model import TfliteModel
from green_edge.tflite.read import read
from support.estimates import network
from support.op_graphs import OpGraph


def _residual() -> TfliteModel:
    """Two convolutions added up, one after them; its output is the model's."""
    graph = OpGraph()
    image = graph.feed(1, 8, 8, 3)
    left, right = graph.conv(image, 24), graph.conv(image, 24)
    joined = graph.op("ADD", [left, right], 1, 8, 8, 24)
    graph.conv(joined, 10)
    return graph.model()


def test_layers_whose_outputs_are_added_up_share_their_channels() -> None:
    (group,) = channel_groups(_residual())
    assert (group.channels, group.makers) == (24, (0, 1))


def test_other_channels_reach_every_layer_that_makes_or_takes_them() -> None:
    model = _residual()
    shapes = shapes_of(with_channels(model, channel_groups(model)[0], 16))
    left, right, added, last = shapes
    assert left.weights == right.weights == (16, 3, 3, 3)
    assert left.output == added.data == added.weights == added.output == (1, 8, 8, 16)
    assert (last.data, last.weights, last.output) == ((1, 8, 8, 16), (10, 3, 3, 16), (1, 8, 8, 10))


def test_a_pooled_group_reaches_the_dense_layer() -> None:
    model = read(network(12, 20), static=False)
    first, second = channel_groups(model)
    assert (first.channels, second.channels) == (12, 20)
    dense = shapes_of(with_channels(model, second, 16))[-1]
    assert (dense.data, dense.weights) == ((1, 16), (10, 16))


def test_a_depthwise_layer_goes_with_its_input() -> None:
    graph = OpGraph()
    image = graph.feed(1, 8, 8, 3)
    wide = graph.conv(image, 24)
    filters = graph.constant(1, 3, 3, 24)
    deep = graph.op("DEPTHWISE_CONV_2D", [wide, filters], 1, 8, 8, 24)
    graph.conv(deep, 10)
    model = graph.model()
    shapes = shapes_of(with_channels(model, channel_groups(model)[0], 16))
    assert shapes[1].weights == (1, 3, 3, 16)
    assert shapes[2].weights == (10, 3, 3, 16)


def test_channels_that_are_joined_or_flattened_are_left_alone() -> None:
    graph = OpGraph()
    image = graph.feed(1, 4, 4, 3)
    left, right = graph.conv(image, 8), graph.conv(image, 8)
    joined = graph.op("CONCATENATION", [left, right], 1, 4, 4, 16)
    flat = graph.op("RESHAPE", [graph.conv(joined, 8)], 1, 128)
    graph.op("FULLY_CONNECTED", [flat, graph.constant(10, 128)], 1, 10)
    assert channel_groups(graph.model()) == ()


def test_another_type_leaves_out_what_turned_one_into_the_other() -> None:
    graph = OpGraph()
    image = graph.feed(1, 4, 4, 3, dtype="float32")
    graph.conv(graph.op("QUANTIZE", [image], 1, 4, 4, 3), 8)
    (alone,) = shapes_of(with_dtype(graph.model(), "float32"))
    assert (alone.op, alone.dtype, alone.weights_dtype) == ("CONV_2D", "float32", "float32")


def test_layers_that_share_a_stored_constant_keep_channels_of_their_own() -> None:
    graph = OpGraph()
    kept = graph.op("DEQUANTIZE", [graph.constant(24, dtype="float16")], 24, dtype="float32")
    data = graph.feed(1, 8, 8, 3, dtype="float32")
    for _ in range(2):
        data = graph.conv(data, 24)
        data = graph.op("ADD", [data, kept], 1, 8, 8, 24, dtype="float32")
    graph.conv(data, 10)
    assert len(channel_groups(graph.model())) == 1
    assert [group.makers for group in channel_groups(folded(graph.model()))] == [(1,), (3,)]


def test_a_factored_layer_has_as_many_weights_as_its_two_factors() -> None:
    dense = shapes_of(read(network(64, dense=100), static=False))[-1]
    first, second = factored(dense, 16)
    assert (first.weights, second.weights) == ((16, 64), (100, 16))
    assert first.output == second.data == (1, 16)
    assert (first.data, second.output) == (dense.data, dense.output)
