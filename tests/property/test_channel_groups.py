"""Channels that are removed together, on random graphs of every kind of layer."""

from collections.abc import Iterator
from random import Random
from typing import Any

import keras
import numpy as np
import pytest

from green_edge.compress.graph.read import read
from green_edge.compress.graph.rebuild import masked, remove
from green_edge.compress.graph.trace import calls, variables
from green_edge.compress.graph.values import Graph
from support import random_keras

pytestmark = pytest.mark.tf

# More of them find nothing that these do not; they take seconds each.
SEEDS = [*range(8), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(8, 40))]


@pytest.fixture(autouse=True)
def _double_precision() -> Iterator[None]:
    """Else large values between the layers hide how well the outputs agree."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("make", [random_keras.image_model, random_keras.sequence_model])
def test_a_masked_and_a_removed_graph_agree_in_every_tensor(make: Any, seed: int) -> None:
    model = make(seed)
    inputs = random_keras.samples(model, seed)
    graph = read(model)
    _check_same(model(inputs), graph.model(inputs))
    _check_every_kernel_is_told(graph)

    kept = _some(graph, seed)
    hidden = masked(graph, kept)
    smaller = remove(graph, kept)
    _check_same(hidden.model(inputs), smaller.model(inputs))
    _check_same(hidden.model(inputs), remove(hidden, kept).model(inputs))
    _check_widths(graph, smaller, kept)
    _check_inner_tensors(hidden, smaller, inputs)


def _some(graph: Graph, seed: int) -> dict[str, list[int]]:
    draw = Random(seed)  # noqa: S311 - a seed, not a secret
    return {
        group.name: sorted(draw.sample(range(group.size), draw.randint(1, group.size)))
        for group in graph.groups
        if draw.random() < 0.8
    }


def _check_same(one: Any, other: Any) -> None:
    for first, second in zip(keras.tree.flatten(one), keras.tree.flatten(other), strict=True):
        np.testing.assert_allclose(np.array(first), np.array(second), rtol=1e-5, atol=1e-6)


def _check_every_kernel_is_told(graph: Graph) -> None:
    told = {skip.layer for skip in graph.fixed}
    told |= {each.layer for group in graph.groups for each in group.slices if each.role != "takes"}
    kernels = {
        layer.name
        for layer in graph.model.layers
        if any("kernel" in name or name == "embeddings" for name in variables(layer))
    }
    assert kernels <= told
    assert all(skip.reason for skip in graph.fixed)


def _check_widths(graph: Graph, smaller: Graph, kept: dict[str, list[int]]) -> None:
    counts = [len(kept.get(group.name, range(group.size))) for group in graph.groups]
    for before, after in zip(graph.nodes, smaller.nodes, strict=True):
        assert before.layer == after.layer
        assert before.width.size(counts) == after.shape[-1]
        assert before.width.size(graph.sizes) == before.shape[-1]


def _check_inner_tensors(hidden: Graph, smaller: Graph, inputs: Any) -> None:
    """What a layer gives is what it gave before at the channels of `origin`."""
    names = [name for name, places in smaller.origin.items() if places]
    before, after = (_first_outputs(graph.model, names)(inputs) for graph in (hidden, smaller))
    for name, wide, thin in zip(names, before, after, strict=True):
        np.testing.assert_allclose(
            np.array(wide)[..., list(smaller.origin[name])],
            np.array(thin),
            rtol=1e-5,
            atol=1e-6,
            err_msg=name,
        )


def _first_outputs(model: Any, names: list[str]) -> Any:
    nodes = {node.operation.name: node for node in reversed(list(calls(model)))}
    return keras.Model(model.input, [nodes[name].outputs[0] for name in names])
