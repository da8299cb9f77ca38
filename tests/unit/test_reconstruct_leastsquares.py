"""Ridge least squares from sums over batches."""

import numpy as np
import pytest

from green_edge.compress.reconstruct.leastsquares import Change, Sums

_NONE = 1e-12


def _data(
    groups: int = 2, rows: int = 200, columns: int = 5, outputs: int = 3
) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(1)
    x = draw.normal(size=(groups, rows, columns)) + draw.normal(size=(groups, 1, columns))
    r = draw.normal(size=(groups, rows, outputs)) + 2.0
    return x.astype(np.float32), r.astype(np.float32)


def _solved(x: np.ndarray, r: np.ndarray, ridge: float, *, bias: bool, batches: int = 1) -> Change:
    sums = Sums(x.shape[0], x.shape[2], r.shape[2])
    for some, rest in zip(
        np.array_split(x, batches, axis=1), np.array_split(r, batches, axis=1), strict=True
    ):
        sums.add(some, rest)
    return sums.solved(ridge, bias=bias)


def test_without_a_ridge_it_is_ordinary_least_squares_in_every_group() -> None:
    x, r = _data()
    change = _solved(x, r, _NONE, bias=True)
    for group in range(2):
        ones = np.concatenate([x[group], np.ones((200, 1))], axis=1)
        wanted = np.linalg.lstsq(ones, r[group], rcond=None)[0]
        np.testing.assert_allclose(change.weights[group], wanted[:-1], atol=1e-6)
        np.testing.assert_allclose(change.bias[group], wanted[-1], atol=1e-6)


def test_without_a_bias_nothing_is_added_to_the_outputs() -> None:
    x, r = _data(groups=1)
    change = _solved(x, r, _NONE, bias=False)
    wanted = np.linalg.lstsq(x[0], r[0], rcond=None)[0]
    np.testing.assert_allclose(change.weights[0], wanted, atol=1e-6)
    assert not change.bias.any()


def test_batches_add_up_to_what_all_at_once_give() -> None:
    x, r = _data()
    whole, parts = (_solved(x, r, 1e-2, bias=True, batches=b) for b in (1, 7))
    np.testing.assert_allclose(parts.weights, whole.weights, rtol=1e-9)
    np.testing.assert_allclose(parts.bias, whole.bias, rtol=1e-9)


def test_a_greater_ridge_stays_nearer_to_the_weights_there_are() -> None:
    x, r = _data()
    sizes = [np.linalg.norm(_solved(x, r, ridge, bias=True).weights) for ridge in (1e-3, 1.0, 1e6)]
    assert sizes[0] > sizes[1] > sizes[2]
    assert sizes[2] == pytest.approx(0.0, abs=1e-5)


def test_the_ridge_does_not_depend_on_the_unit_of_the_inputs() -> None:
    x, r = _data()
    once, thousandfold = (_solved(x * s, r, 0.1, bias=True) for s in (1.0, np.float32(1000.0)))
    np.testing.assert_allclose(thousandfold.weights * 1000.0, once.weights, rtol=1e-4)


def test_inputs_that_never_change_leave_the_weights_as_they_are() -> None:
    x, r = _data()
    change = _solved(np.zeros_like(x), r, 1e-3, bias=True)
    assert not change.weights.any()
    np.testing.assert_allclose(change.bias, r.mean(axis=1), rtol=1e-5)
