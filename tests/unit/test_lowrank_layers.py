"""What stands in a layer's place, as values."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from green_edge.compress.graph.values import Graph, Node, Width
from green_edge.compress.lowrank.factors import patch_ladder, product
from green_edge.compress.lowrank.layers import (
    Choice,
    as_kernels,
    as_places,
    forms,
    pieces,
    place_order,
    refusal,
    swapped,
)
from support.mac_prices import macs

CONV: dict[str, Any] = {
    "name": "conv",
    "filters": 16,
    "kernel_size": (3, 3),
    "strides": (2, 2),
    "dilation_rate": (1, 1),
    "padding": "same",
    "groups": 1,
    "use_bias": False,
    "activation": "relu",
}


def conv(**changes: Any) -> Node:
    return Node("conv", "Conv2D", CONV | changes, (-1,), (4, 4, 16), Width(16))


def graph_of(*nodes: Node) -> Graph:
    return Graph(None, nodes, ((8, 8, 12),), (len(nodes) - 1,), (), ())


def test_a_spatial_split_is_a_column_and_then_a_row() -> None:
    first, last = pieces(conv(), Choice("spatial", (5,)), (8, 8, 12), {"conv"})
    assert first.config["kernel_size"] == [3, 1]
    assert first.config["strides"] == [2, 1]
    assert (first.name, first.shape, first.config["activation"]) == ("conv_in", (4, 8, 5), "linear")
    assert last.config["kernel_size"] == [1, 3]
    assert last.config["strides"] == [1, 2]
    assert (last.name, last.shape, last.config["activation"]) == ("conv", (4, 4, 16), "relu")
    assert (first.config["use_bias"], last.config["use_bias"]) == (False, True)


def test_a_channel_split_leaves_out_the_side_that_stays_whole() -> None:
    def sizes(*ranks: int) -> list[tuple[str, list[int], int]]:
        parts = pieces(conv(), Choice("channel", ranks), (8, 8, 12), {"conv"})
        return [
            (part.name, list(part.config["kernel_size"]), part.config["filters"]) for part in parts
        ]

    first, core, last = ("conv_in", [1, 1], 4), ("conv_core", [3, 3], 8), ("conv", [1, 1], 16)
    assert sizes(4, 8) == [first, core, last]
    assert sizes(4, 16) == [first, ("conv", [3, 3], 16)]
    assert sizes(12, 8) == [core, last]


def test_a_name_that_is_taken_is_not_given_twice() -> None:
    first, _ = pieces(conv(), Choice("spatial", (5,)), (8, 8, 12), {"conv", "conv_in"})
    assert first.name == "conv_in_2"


@pytest.mark.parametrize(
    ("form", "ranks"), [("spatial", (6, 16)), ("channel", (4, 7)), ("channel", (12, 7))]
)
def test_the_kernels_of_the_pieces_amount_to_the_approximation(form: Any, ranks: Any) -> None:
    kernel = np.random.default_rng(1).normal(size=(3, 3, 12, 16))
    factors = patch_ladder(as_places(kernel, conv(), form), None).factors(ranks)
    whole = as_kernels(factors, conv(), form)
    if form == "spatial":
        made = np.einsum("hwir,vxro->hxio", *whole)
    elif len(whole) == 2:
        made = np.einsum("hwir,abro->hwio", *whole)
    else:
        made = np.einsum("abir,hwrs,cdso->hwio", *whole)
    np.testing.assert_allclose(as_places(made, conv(), form), product(factors))


def test_patches_are_brought_into_the_order_of_the_form() -> None:
    kernel = np.random.default_rng(1).normal(size=(3, 3, 12, 16))
    patch = np.random.default_rng(2).normal(size=(3 * 3 * 12))
    order = place_order(conv(), "spatial", 12)
    flat = as_places(kernel, conv(), "spatial").reshape(-1, 16)
    np.testing.assert_allclose(patch[order] @ flat, patch @ kernel.reshape(-1, 16))


def test_a_swapped_graph_costs_what_its_pieces_do() -> None:
    dense = Node("out", "Dense", {"name": "out", "units": 10}, (1,), (10,), Width(10))
    flatten = Node("flat", "Flatten", {}, (0,), (256,), Width(256))
    graph = graph_of(conv(), flatten, dense)
    small = swapped(graph, {"conv": Choice("channel", (4, 8)), "out": Choice("dense", (3,))})
    assert [node.layer for node in small.nodes] == [
        "conv_in", "conv_core", "conv", "flat", "out_in", "out",
    ]  # fmt: skip
    assert small.outputs == (5,)
    assert macs(small) == 64 * 12 * 4 + 16 * 9 * 4 * 8 + 16 * 8 * 16 + 256 * 3 + 3 * 10


def test_a_shared_layer_is_swapped_at_each_of_its_calls() -> None:
    square = replace(conv(strides=(1, 1), filters=12), shape=(8, 8, 12), width=Width(12))
    graph = graph_of(square, replace(square, sources=(0,)))
    small = swapped(graph, {"conv": Choice("spatial", (5,))})
    assert [node.layer for node in small.nodes] == ["conv_in", "conv", "conv_in", "conv"]
    assert [node.sources for node in small.nodes] == [(-1,), (0,), (1,), (2,)]


def test_every_layer_that_cannot_be_split_says_why() -> None:
    assert refusal(conv()) is None
    assert forms(conv()) == ("spatial", "channel")
    assert forms(conv(kernel_size=(1, 1))) == ("pointwise",)
    assert forms(conv(kernel_size=(1, 5))) == ("channel",)
    reasons = {
        "grouped": conv(groups=4),
        "channels come first": conv(data_format="channels_first"),
        "under a constraint": conv(kernel_constraint={"class_name": "NonNeg"}),
        "depthwise": replace(conv(), kind="DepthwiseConv2D"),
        "transposed": replace(conv(), kind="Conv2DTranspose"),
        "recurrent": replace(conv(), kind="LSTM"),
        "looked up": replace(conv(), kind="Embedding"),
        "no rule": replace(conv(), kind="Fancy"),
    }
    for reason, node in reasons.items():
        assert reason in (refusal(node) or "")
