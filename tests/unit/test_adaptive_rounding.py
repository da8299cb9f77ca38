"""Rounding of weights in closed form, and layers as products of matrices."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from green_edge.convert.int8 import run
from green_edge.convert.int8.columns import as_rows, as_stored, columns, mean_column, shape_of
from green_edge.convert.int8.covariance import Covariance
from green_edge.convert.int8.graph import Graph, Layer
from green_edge.convert.int8.leastsquares import error, rounded
from support.outlier_models import planted
from support.tiny_models import tiny_float_conv, tiny_float_dense


def inputs(n: int, size: int, seed: int) -> NDArray[np.float64]:
    """Correlated columns, as neighbouring pixels are."""
    rng = np.random.default_rng(seed)
    return rng.normal(0, 1, (n, size)) @ rng.normal(0, 1, (size, size))


def test_rounding_that_makes_good_its_errors_beats_rounding_to_nearest_on_new_inputs() -> None:
    rng = np.random.default_rng(3)
    weights = rng.normal(0, 1, (8, 40))
    scales = np.full(8, 0.1)
    every = inputs(2000, 40, 4)
    seen, new = every[:1500], every[1500:]
    integers = rounded(weights, scales, seen.T @ seen / len(seen))
    nearest = np.round(weights / scales[:, None])
    unseen = new.T @ new / len(new)
    assert np.all(integers == np.round(integers))
    better = error(weights, integers, scales, unseen) / error(weights, nearest, scales, unseen)
    assert better.mean() < 0.5
    assert better.max() < 0.9


def test_no_row_becomes_worse_than_rounded_to_nearest() -> None:
    weights = np.random.default_rng(5).normal(0, 30, (30, 9))
    moments = np.cov(inputs(50, 9, 6).T)
    scales = np.full(30, 0.5)
    nearest = np.clip(np.round(weights / scales[:, None]), -127, 127)
    found = rounded(weights, scales, moments)
    bound = error(weights, nearest, scales, moments) * (1 + 1e-9)
    assert np.all(error(weights, found, scales, moments) <= bound)
    assert np.abs(found).max() <= 127


def test_columns_that_never_vary_are_rounded_to_nearest() -> None:
    weights = np.random.default_rng(7).normal(0, 1, (4, 6))
    moments = np.zeros((6, 6))
    moments[:3, :3] = np.eye(3)
    scales = np.full(4, 0.05)
    assert np.array_equal(rounded(weights, scales, moments)[:, 3:], np.round(weights / 0.05)[:, 3:])


def test_a_covariance_is_that_of_all_samples_and_zero_for_constants_of_any_size() -> None:
    rng = np.random.default_rng(8)
    samples = rng.normal(5, 1, (4, 10, 2, 3)).astype(np.float32)
    samples[..., 2] = 1e4 / 3
    gathered = Covariance(2, 3)
    for sample in samples:
        gathered.add(sample)
    found = gathered.result()
    for group in range(2):
        rows = samples[:, :, group, :2].reshape(-1, 2)
        assert found[group, :2, :2] == pytest.approx(np.cov(rows.T, bias=True), abs=1e-5)
    assert not found[:, 2].any()
    assert not found[:, :, 2].any()


@pytest.mark.parametrize("which", [0, 1, 2, 3])
def test_a_layer_s_rows_times_its_columns_are_what_the_runtime_computes(which: int) -> None:
    made = planted("none")
    graph = Graph(made.model)
    layer = graph.layers()[which]
    [[x, y]] = run.tensors(made.model, [[made.x[:1]]], [layer.x, layer.y])
    weights, bias = graph.constant(layer.weights), graph.constant(layer.bias or 0)
    assert weights is not None
    assert bias is not None
    shape = shape_of(layer, weights.shape, x.shape[-1])
    rows = as_rows(layer, weights, shape)
    seen = columns(layer, x, weights.shape, shape, 10**6)
    products = np.einsum("grc,pgc->pgr", rows, seen).reshape(y.shape) + bias
    expected = products if layer.activation == "NONE" else np.maximum(products, 0)
    assert y == pytest.approx(expected, abs=1e-4)
    assert np.array_equal(as_stored(layer, rows, weights.shape), weights)
    means = mean_column(layer, x, weights.shape, shape)
    assert means == pytest.approx(seen.mean(axis=0, dtype=np.float64), abs=1e-5)


def test_strides_and_dilation_move_the_window_as_tensorflow_does() -> None:
    graph = Graph(tiny_float_conv(size=7))
    [layer] = [layer for layer in graph.layers() if layer.op == "CONV_2D"]
    assert layer.window is not None
    x = np.arange(49, dtype=np.float32).reshape(1, 7, 7, 1)
    strided = Layer(**{**fields(layer), "window": type(layer.window)((2, 2), (2, 2), same=True)})
    shape = shape_of(layer, (4, 3, 3, 1), 1)
    seen = columns(strided, x, (4, 3, 3, 1), shape, 10**6)
    # 4x4 positions; reach 5, so 2 zeros before: position (1, 1) sees rows and columns 0, 2, 4.
    assert seen.shape == (16, 1, 9)
    assert seen[5, 0].tolist() == [0, 2, 4, 14, 16, 18, 28, 30, 32]


def fields(layer: Layer) -> dict[str, Any]:
    return {name: getattr(layer, name) for name in Layer.__dataclass_fields__}


def test_positions_are_spread_evenly_where_there_are_too_many() -> None:
    graph = Graph(tiny_float_conv(size=8))
    layer = graph.layers()[0]
    x = np.arange(64, dtype=np.float32).reshape(1, 8, 8, 1)
    shape = shape_of(layer, (4, 3, 3, 1), 1)
    seen = columns(layer, x, (4, 3, 3, 1), shape, 10)
    middles = seen[:, 0, 4]
    assert middles.tolist() == [0, 7, 14, 21, 28, 35, 42, 49, 56, 63]


def test_a_dense_layer_sees_its_whole_input_whatever_the_rank() -> None:
    layer = Graph(tiny_float_dense()).layers()[0]
    shape = shape_of(layer, (3, 4), 2)
    seen = columns(layer, np.arange(8, dtype=np.float32).reshape(2, 2, 2), (3, 4), shape, 1)
    assert seen[:, 0].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
