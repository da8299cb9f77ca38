"""Which samples the passes learn from, and what their labels are."""

import numpy as np
import pytest

from green_edge.build.learning import lessons
from green_edge.build.sets import Sets
from green_edge.data.dataset import Dataset
from green_edge_wire.errors import ConfigError


def sets(y: object, n: int = 20) -> Sets:
    found = Dataset({"x": np.arange(n, dtype=np.float32)[:, None]}, np.asarray(y))
    return Sets(found, found, labelled=True, training=lambda: found, notes=())


def test_one_in_ten_is_held_back_and_none_is_learned_from() -> None:
    found = lessons(sets(np.arange(20) % 3), ("x",), seed=0)
    assert (found.train.n, found.held.n) == (18, 2)
    assert not set(found.train.x[0].ravel()) & set(found.held.x[0].ravel())


def test_rows_of_a_single_one_are_classes() -> None:
    found = lessons(sets(np.eye(2)[np.arange(20) % 2]), ("x",), seed=0)
    assert found.train.y is not None
    assert found.train.y.tolist() == (found.train.x[0].ravel() % 2).tolist()
    assert found.train.y.dtype.kind == "i"


def test_the_few_that_are_held_back_have_labels_like_all_others() -> None:
    # One row says several classes, and it is not among those held back.
    y = np.eye(3)[np.arange(20) % 3]
    held = lessons(sets(y), ("x",), seed=0).held.x[0].ravel()
    y[next(i for i in range(20) if i not in held)] = 1.0
    found = lessons(sets(y), ("x",), seed=0)
    assert found.train.y is not None
    assert found.held.y is not None
    assert found.held.y.tolist() == np.eye(3)[held.astype(int) % 3].tolist()
    assert found.train.y.dtype == found.held.y.dtype == np.float32


def test_a_single_sample_is_too_few() -> None:
    with pytest.raises(ConfigError, match="it needs 2 samples at least"):
        lessons(sets([1], 1), ("x",), seed=0)
