"""Which weights stay: the largest, everywhere or of every four along the inputs of an output."""

import numpy as np
import pytest

from green_edge.compress.sparsity.masks import mask

_ROWS = np.random.default_rng(2).normal(size=(5, 12)).astype(np.float32)


def test_the_smallest_weights_of_a_layer_go_wherever_they_are() -> None:
    kept = mask(_ROWS, "unstructured", 0.7)
    assert kept.sum() == round(0.3 * _ROWS.size)
    assert np.abs(_ROWS[~kept]).max() < np.abs(_ROWS[kept]).min()


def test_no_sparsity_keeps_all() -> None:
    assert mask(_ROWS, "unstructured", 0.0).all()


def test_higher_sparsity_only_adds_zeros() -> None:
    once = mask(_ROWS, "unstructured", 0.4)
    again = mask(_ROWS * once, "unstructured", 0.6)
    assert not (again & ~once).any()


@pytest.mark.parametrize(("pattern", "left"), [("2:4", 2), ("1:4", 1)])
def test_so_many_of_every_four_inputs_of_an_output_stay_and_they_are_the_largest(
    pattern: "str", left: int
) -> None:
    kept = mask(_ROWS, pattern, 0.0)  # type: ignore[arg-type]
    blocks = kept.reshape(-1, 4)
    assert (blocks.sum(axis=1) == left).all()
    sizes = np.abs(_ROWS).reshape(-1, 4)
    for block, size in zip(blocks, sizes, strict=True):
        assert size[block].min() > size[~block].max()


def test_the_last_block_of_a_row_may_be_short() -> None:
    kept = mask(_ROWS[:, :10], "2:4", 0.0)
    assert kept.shape == (5, 10)
    assert (kept.sum(axis=1) == 6).all()
    assert mask(_ROWS[:, :9], "2:4", 0.0)[:, 8].all()


def test_of_equal_weights_the_first_stay() -> None:
    kept = mask(np.ones((1, 4)), "2:4", 0.0)
    assert kept.tolist() == [[True, True, False, False]]
