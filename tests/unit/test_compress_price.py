"""What a graph costs on a target, told without a model."""

import pytest

from green_edge.compress.graph.values import ChannelGroup, Graph, Node, Slice, Width
from green_edge.compress.lowering import lower, macs, operations, parameter_bytes, params
from green_edge.compress.price import TargetPrices
from green_edge.targets import prediction
from green_edge.targets.registry import find
from green_edge_wire.errors import ModelError

FIXED = Width(3)
OPEN = Width(0, ((0, 1),))


def node(
    kind: str, source: int, shape: tuple[int | None, ...], width: Width, **config: object
) -> Node:
    return Node(f"{kind.lower()}{source}", kind, config, (source,), shape, width)


def conv(source: int, shape: tuple[int, ...], width: Width, size: int = 3) -> Node:
    one = (1, 1)
    return node(
        "Conv2D", source, shape, width, kernel_size=(size, size), strides=one, dilation_rate=one,
        padding="same", groups=1, use_bias=True, activation="linear",
    )  # fmt: skip


def graph(*nodes: Node, size: int = 16) -> Graph:
    slices = (Slice("conv2d-1", "kernel", 3, "makes", tuple((i,) for i in range(size))),)
    group = ChannelGroup("conv2d-1", size, slices)
    return Graph(None, nodes, ((8, 8, 3),), (len(nodes) - 1,), (group,), ())


def small(*between: Node) -> Graph:
    """A convolution of 16 channels, what comes between, a mean and a dense layer of 3."""
    nodes = [conv(-1, (8, 8, 16), OPEN), *between]
    nodes.append(node("GlobalAveragePooling2D", len(nodes) - 1, (16,), OPEN))
    nodes.append(node("Dense", len(nodes) - 1, (3,), FIXED, use_bias=True, activation="softmax"))
    return graph(*nodes)


NORMALISED = (
    node("BatchNormalization", 0, (8, 8, 16), OPEN),
    node("ReLU", 1, (8, 8, 16), OPEN, max_value=6.0),
)


def names(found: Graph) -> list[str]:
    return [shape.op for shape in operations(found)]


def test_normalisation_and_activation_become_part_of_the_convolution() -> None:
    assert names(small(*NORMALISED)) == ["CONV_2D", "MEAN", "FULLY_CONNECTED", "SOFTMAX"]


def test_a_normalisation_of_what_others_take_too_stays_apart() -> None:
    shared = Node("add", "Add", {}, (0, 1), (8, 8, 16), OPEN)
    found = names(small(NORMALISED[0], shared))
    assert found[:4] == ["CONV_2D", "MUL", "ADD", "ADD"]


def test_sizes_follow_the_units_that_are_left() -> None:
    first, mean, dense, _ = operations(small(*NORMALISED), [5])
    assert (first.output, first.weights) == ((1, 8, 8, 5), (5, 3, 3, 3))
    assert (mean.data, dense.weights) == ((1, 8, 8, 5), (3, 5))


def test_macs_params_and_bytes_are_those_of_the_file() -> None:
    found = small(*NORMALISED)
    assert macs(found) == 64 * 16 * 27 + 16 * 3
    assert params(found, [5]) == 5 * 27 + 5 + 3 * 5 + 3
    assert parameter_bytes(found, [5]) == 5 * 27 + 3 * 5 + 4 * (5 + 3)


def test_a_layer_without_a_rule_is_told_and_priced_by_its_bytes() -> None:
    found = small(node("MyLayer", 0, (8, 8, 16), OPEN))
    assert lower(found, "int8").unknown == ("mylayer0",)
    prices = TargetPrices(small(), [find("pi4")])
    assert prices.share(found, [16], "instructions") > 1


def test_an_open_axis_is_refused_with_the_remedy() -> None:
    nodes = (node("ReLU", -1, (None, 8, 16), OPEN),)
    with pytest.raises(ModelError, match="relu-1") as caught:
        operations(graph(*nodes))
    assert "keras.Input" in str(caught.value.hint)


@pytest.mark.parametrize("name", ["pi4", "pi5", "zero2"])
def test_shares_are_those_of_the_whole_prediction(name: str) -> None:
    found, target = small(*NORMALISED), find(name)
    prices = TargetPrices(found, [target])
    half, whole = (prediction.predict_shapes(operations(found, [n]), target) for n in (7, 16))
    told = {measure: prices.share(found, [7], measure) for measure in ("instructions", "macs")}
    assert told["instructions"] == pytest.approx(half.instructions / whole.instructions, rel=1e-4)
    assert told["macs"] == macs(found, [7]) / macs(found)
    energy = [each.ranges.energy_uj for each in (half, whole)]
    middle = [(each.low + each.high) / 2 for each in energy]
    assert prices.share(found, [7], "energy") == pytest.approx(middle[0] / middle[1], rel=0.05)


def test_multiples_are_told_with_their_source() -> None:
    prices = TargetPrices(small(), [find("pi5")])
    assert prices.multiple() in {8, 16}
    assert "cortex-a76" in prices.multiple_source


def test_without_a_cost_model_macs_price_and_it_is_said() -> None:
    found = small()
    prices = TargetPrices(found, [find("host")])
    for measure in ("instructions", "energy"):
        assert prices.share(found, [4], measure) == prices.share(found, [4], "macs")
    assert prices.multiple() == 1
    assert "MACs" in prices.notes[0]


def test_the_first_of_several_targets_with_a_cost_model_prices() -> None:
    found = small()
    prices = TargetPrices(found, [find("host"), find("pi4"), find("pi5")])
    alone = TargetPrices(found, [find("pi4")])
    assert prices.share(found, [9], "instructions") == alone.share(found, [9], "instructions")
    assert "pi4 prices" in prices.notes[0]


def test_an_edge_tpu_prices_by_its_cycles() -> None:
    prices = TargetPrices(small(), [find("coral-devboard")])
    # Fewer channels than a tile computes at once save nothing, fewer inputs do.
    assert prices.share(small(), [8], "instructions") == 1
    second = small(conv(0, (8, 8, 16), Width(16)))
    prices = TargetPrices(second, [find("coral-devboard")])
    assert prices.share(second, [8], "instructions") < 0.8
    assert prices.multiple() == 64
    assert "Edge TPU" in prices.notes[0]


def test_a_layer_that_no_rule_draws_is_named_as_such() -> None:
    odd = Node("odd", "LSTM", {"activation": "relu"}, (0,), (8, 16), OPEN)
    strange = Node("strange", "Sorted", {}, (1,), (8, 16), OPEN)
    found = graph(conv(-1, (8, 8, 16), OPEN), odd, strange)

    assert lower(found, "int8").unknown == ("odd", "strange")
    assert "odd, strange" in TargetPrices(found, [find("pi4")]).notes[-1]
    assert "reads" not in " ".join(TargetPrices(small(), [find("pi4")]).notes)


def test_a_bare_operation_named_like_one_of_the_schema_is_priced() -> None:
    found = small(node("Split", 0, (8, 8, 16), OPEN))
    prices = TargetPrices(found, [find("pi4")])
    assert prices.share(found, [4], "instructions") < prices.share(found, [16], "instructions")
