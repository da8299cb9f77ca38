import pytest

from green_edge.targets.edgetpu.memory import fits, parameter_bytes, streamed_layers
from green_edge.targets.edgetpu.predict import predict
from support.op_graphs import OpGraph

_MIB = 1 << 20


def _bytes(graph: OpGraph) -> int:
    model = graph.model()
    return parameter_bytes(model, predict(model))


def _dense(inputs: int, outputs: int, *, channels: int = 1, bias: bool = True) -> OpGraph:
    graph = OpGraph()
    weights = graph.constant(outputs, inputs, channels=channels)
    biases = graph.constant(outputs, dtype="int32", all_zero=not bias)
    graph.op("FULLY_CONNECTED", [graph.feed(1, inputs), weights, biases], 1, outputs, version=4)
    return graph


def test_a_dense_layer_takes_its_weights_a_bias_and_a_multiplier_a_channel() -> None:
    # As stored in compiled files: 256x256 without bias, one scale a channel.
    assert _bytes(_dense(256, 256, channels=256, bias=False)) == 256 * 256 + 256 * 8
    assert _bytes(_dense(256, 256, channels=256)) == 256 * 256 + 256 * 12
    assert _bytes(_dense(256, 256)) == 256 * 256 + 256 * 4


def test_channels_are_padded_to_lanes_and_depth_to_four() -> None:
    graph = OpGraph()
    graph.conv(graph.feed(1, 8, 8, 3), 24)
    # 24 channels take 32 lanes, 3 input channels take 4.
    assert _bytes(graph) == 32 * (9 * 4 + 12)
    wide = OpGraph()
    wide.conv(wide.feed(1, 8, 8, 64), 96, window=1)
    # From 64 on lanes come in 64s.
    assert _bytes(wide) == 128 * (64 + 12)


def test_a_window_on_one_channel_is_padded_as_a_whole() -> None:
    graph = OpGraph()
    data = graph.feed(1, 300, 300, 1, dtype="uint8")
    weights = graph.constant(1, 15, 15, 1, dtype="uint8")
    bias = graph.constant(1, dtype="int32", all_zero=True)
    graph.op("CONV_2D", [data, weights, bias], 1, 300, 300, 1, dtype="uint8")
    assert _bytes(graph) == 16 * 228


def test_a_depthwise_layer_takes_four_bytes_a_tap() -> None:
    graph = OpGraph()
    data = graph.feed(1, 8, 8, 24)
    weights = graph.constant(1, 3, 3, 24, channels=24)
    bias = graph.constant(24, dtype="int32", channels=24)
    graph.op("DEPTHWISE_CONV_2D", [data, weights, bias], 1, 8, 8, 24, version=3)
    assert _bytes(graph) == 32 * (9 * 4 + 12)


def test_a_transposed_convolution_is_sized_as_a_convolution() -> None:
    graph = OpGraph()
    sizes, weights = graph.constant(values=(1, 16, 16, 24)), graph.constant(24, 3, 3, 5)
    bias = graph.constant(24, dtype="int32")
    data = graph.feed(1, 8, 8, 5)
    graph.op("TRANSPOSE_CONV", [sizes, weights, data, bias], 1, 16, 16, 24, version=3)
    assert _bytes(graph) == 32 * (9 * 8 + 4)


def test_a_recurrent_layer_is_sized_by_its_gates() -> None:
    graph = OpGraph()
    gates = [graph.constant(20, depth) for depth in (28, 20) for _ in range(4)]
    graph.op("UNIDIRECTIONAL_SEQUENCE_LSTM", [graph.feed(1, 28, 28), *gates], 1, 28, 20)
    assert _bytes(graph) == 4 * 32 * (28 + 20)


def test_constants_of_any_other_operation_count_too() -> None:
    graph = OpGraph()
    graph.op("MAXIMUM", [graph.feed(1, 8, 30), graph.constant(8, 30)], 1, 8, 30, version=2)
    assert _bytes(graph) == 8 * 32


def test_padding_channels_costs_a_convolution_with_the_identity() -> None:
    graph = OpGraph()
    padding = graph.constant(values=(0, 0, 0, 0, 0, 0, 0, 6))
    graph.op("PAD", [graph.feed(1, 16, 16, 42), padding], 1, 16, 16, 48, version=2)
    assert _bytes(graph) == 44 * 48


def test_what_stays_on_the_cpu_takes_nothing_of_the_chip() -> None:
    graph = OpGraph()
    first = graph.conv(graph.feed(1, 8, 8, 16), 16)
    alone = _bytes(graph)
    graph.conv(graph.op("LEAKY_RELU", [first], 1, 8, 8, 16), 64)
    assert _bytes(graph) == alone > 0


@pytest.mark.parametrize(
    ("count", "fit"),
    [(0, "fits"), (int(6.7 * _MIB), "fits"), (7 * _MIB, "borderline"), (8 * _MIB, "streams")],
)
def test_the_chip_holds_a_little_less_than_its_8_megabytes(count: int, fit: str) -> None:
    assert fits(count) == fit


@pytest.mark.parametrize(("inputs", "words"), [(5_904, None), (8_000, "may be"), (9_504, " is ")])
def test_a_long_input_of_a_dense_layer_is_warned_of(inputs: int, words: str | None) -> None:
    model = _dense(inputs, 10).model()
    found = streamed_layers(model, predict(model))
    assert bool(found) == (words is not None)
    if words is not None:
        assert words in found[0].what
        assert "pooling" in found[0].remedy
