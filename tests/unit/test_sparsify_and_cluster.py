"""Zeros and shared values of Keras models: every kernel, on a copy, tied for what follows."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from green_edge.core.steps import Cluster, Pattern, Sparsify
from green_edge_wire.errors import ConfigError

pytest.importorskip("tensorflow")

from green_edge.compress.cluster import plan as cluster
from green_edge.compress.graph.read import read
from green_edge.compress.graph.rebuild import weights
from green_edge.compress.graph.values import Graph, Tie
from green_edge.compress.kernels import kernels_of
from green_edge.compress.sparsity import plan as sparsity
from support.kernel_kinds import KERNELS, every_kind, without_data

pytestmark = pytest.mark.tf

_WIDTH = 80


@pytest.fixture(scope="module")
def graph() -> Graph:
    return read(every_kind())


def _sparse(graph: Graph, folder: Path, step: Sparsify) -> Graph:
    scene = without_data(folder)
    return sparsity.apply(graph, sparsity.plan(graph, step, scene), scene)


def _clustered(graph: Graph, folder: Path, step: Cluster) -> Graph:
    scene = without_data(folder)
    return cluster.apply(graph, cluster.plan(graph, step, scene), scene)


def _rows(graph: Graph) -> dict[tuple[str, str], Any]:
    """Each kernel, a row for each output channel."""
    found, _ = kernels_of(graph.model)
    return {(each.layer, each.variable): each.rows(each.values()) for each in found}


def _others(graph: Graph) -> list[Any]:
    kernels = [id(each.handle) for each in kernels_of(graph.model)[0]]
    return [each.numpy() for each in graph.model.weights if id(each) not in kernels]


def test_every_kernel_gets_its_zeros_and_nothing_else_changes(graph: Graph, tmp_path: Path) -> None:
    made = _sparse(graph, tmp_path, Sparsify(sparsity=0.5))
    assert set(_rows(made)) == KERNELS
    for rows in _rows(made).values():
        assert np.mean(rows == 0) == round(0.5 * rows.size) / rows.size
    for before, after in zip(_others(graph), _others(made), strict=True):
        assert np.array_equal(before, after)
    assert set(made.ties) == {Tie(*name, "zeros") for name in KERNELS}


def test_the_given_graph_keeps_its_weights(graph: Graph, tmp_path: Path) -> None:
    before = [each.numpy() for each in graph.model.weights]
    _sparse(graph, tmp_path, Sparsify())
    _clustered(graph, tmp_path, Cluster(4))
    after = [each.numpy() for each in graph.model.weights]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    assert graph.ties == ()


@pytest.mark.parametrize(("pattern", "left"), [("2:4", 2), ("1:4", 1)])
def test_patterns_run_along_the_inputs_of_each_output_channel(
    graph: Graph, tmp_path: Path, pattern: Pattern, left: int
) -> None:
    made = _sparse(graph, tmp_path, Sparsify(pattern=pattern))
    # Four input channels: along them of each place and output, whatever the layout of the kernel.
    assert ((weights(made, "conv", "kernel") != 0).sum(axis=2) == left).all()
    up = weights(made, "up", "kernel")[..., :4]
    assert ((up != 0).sum(axis=3) <= 4).all()
    inputs = weights(made, "attention", "query/kernel")
    assert ((inputs[:4] != 0).sum(axis=0) == left).all()
    for rows in _rows(made).values():
        whole = rows[:, : rows.shape[1] // 4 * 4].reshape(-1, 4)
        assert ((whole != 0).sum(axis=1) <= left).all()


def test_layers_whose_other_weights_stay_are_told(graph: Graph, tmp_path: Path) -> None:
    plan = sparsity.plan(graph, Sparsify(), without_data(tmp_path))
    assert [(each.layer, each.reason) for each in plan.skipped] == []
    shaped = read(_with_an_alpha_for_each_pixel())
    plan = sparsity.plan(shaped, Sparsify(), without_data(tmp_path))
    assert [(each.layer, each.reason) for each in plan.skipped] == [("prelu", "alpha is no kernel")]


def _with_an_alpha_for_each_pixel() -> Any:
    import keras  # noqa: PLC0415

    image = keras.Input((4, 4, 2))
    x = keras.layers.PReLU(name="prelu")(keras.layers.Conv2D(2, 1, name="conv")(image))
    return keras.Model(image, x)


@pytest.mark.parametrize("share", [1.0, -0.1, float("nan")])
def test_a_sparsity_that_is_no_share_is_refused(graph: Graph, tmp_path: Path, share: float) -> None:
    with pytest.raises(ConfigError, match="sparsity must be in"):
        sparsity.plan(graph, Sparsify(sparsity=share), without_data(tmp_path))


def test_a_layer_has_so_many_values_and_its_shape(graph: Graph, tmp_path: Path) -> None:
    made = _clustered(graph, tmp_path, Cluster(8))
    before = _rows(graph)
    for name, rows in _rows(made).items():
        assert len(np.unique(rows)) == 8, name
        assert np.corrcoef(rows.ravel(), before[name].ravel())[0, 1] > 0.9
    assert set(made.ties) == {Tie(*name, "values") for name in KERNELS}


def test_each_output_channel_has_values_of_its_own(graph: Graph, tmp_path: Path) -> None:
    plan = cluster.plan(graph, Cluster(4, per="channel"), without_data(tmp_path))
    made = cluster.apply(graph, plan, without_data(tmp_path))
    rows = _rows(made)
    for name in {(each.layer, each.variable) for each in plan.kernels}:
        assert max(len(np.unique(row)) for row in rows[name]) <= 4
    assert len(np.unique(rows["conv", "kernel"])) > 4
    assert {each.layer: each.reason for each in plan.skipped} == {
        "memory": "lstm_cell/recurrent_kernel has 4 weights per channel, no more than there are"
        " clusters"
    }


@pytest.mark.parametrize("per", ["layer", "channel"])
def test_zeros_stay_zero_and_are_one_of_the_values(
    graph: Graph, tmp_path: Path, per: Literal["layer", "channel"]
) -> None:
    sparse = _sparse(graph, tmp_path, Sparsify(sparsity=0.6))
    made = _clustered(sparse, tmp_path, Cluster(4, per=per))
    assert {tie.kept for tie in made.ties if tie.layer == "conv"} == {
        "zeros", "values" if per == "layer" else "channel-values",
    }  # fmt: skip
    rows, before = _rows(made)["conv", "kernel"], _rows(sparse)["conv", "kernel"]
    assert np.array_equal(rows == 0, before == 0)
    assert max(len(np.unique(each)) for each in ([rows] if per == "layer" else rows)) <= 4


def test_fewer_than_two_clusters_are_refused(graph: Graph, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="clusters must be at least 2"):
        cluster.plan(graph, Cluster(1), without_data(tmp_path))


def test_a_layer_called_twice_has_one_line_in_the_plan(tmp_path: Path) -> None:
    import keras  # noqa: PLC0415

    x = keras.Input((4,))
    shared = keras.layers.Dense(4, name="shared")
    twice = read(keras.Model(x, shared(shared(x))))
    plan = cluster.plan(twice, Cluster(3), without_data(tmp_path))
    assert [each.layer for each in plan.kernels] == ["shared"]


def test_plans_say_what_is_saved_and_that_it_is_no_time(graph: Graph, tmp_path: Path) -> None:
    scene = without_data(tmp_path)
    zeros = sparsity.plan(graph, Sparsify(sparsity=0.75), scene)
    values = cluster.plan(graph, Cluster(4), scene)
    for plan in (zeros, values):
        lines = plan.lines()
        assert max(map(len, lines)) <= _WIDTH
        assert len(lines) == 1 + len(KERNELS) + 2
        assert plan.zipped[1] < plan.zipped[0]
        assert f"zipped: {plan.zipped[0]} -> {plan.zipped[1]} bytes" in lines[-2]
        assert "no speed gain" in lines[-1]
    assert "75.0%" in zeros.lines()[1]


def test_sparsity_that_rises_in_rounds_keeps_the_zeros_there_are(
    graph: Graph, tmp_path: Path
) -> None:
    once = _sparse(graph, tmp_path, Sparsify(sparsity=0.4))
    again = _sparse(once, tmp_path, Sparsify(sparsity=0.7))
    for name, rows in _rows(once).items():
        assert (_rows(again)[name][rows == 0] == 0).all()
    assert len(again.ties) == len(set(again.ties)) == len(KERNELS)


def test_clusters_of_a_pruned_layer_are_found_again(graph: Graph, tmp_path: Path) -> None:
    twice = _clustered(_clustered(graph, tmp_path, Cluster(8)), tmp_path, Cluster(8))
    once = _clustered(graph, tmp_path, Cluster(8))
    assert all(np.array_equal(_rows(once)[name], rows) for name, rows in _rows(twice).items())
    assert replace(twice, model=None).ties == once.ties
