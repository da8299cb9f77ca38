"""A training's state on disk comes back as it was, and only to the training it is of."""

from pathlib import Path

import numpy as np

from green_edge.compress.recover import checkpoints
from green_edge.compress.recover.checkpoints import State


def some_state(step: int = 50) -> State:
    draw = np.random.default_rng(step)
    model = tuple(draw.normal(size=(i + 1, 2)).astype(np.float32) for i in range(12))
    return State(step, 1, model, (np.array(3), *model), model[::-1], 0.125)


def same(one: State, other: State) -> bool:
    return (one.step, one.returns, one.best_loss) == (
        other.step,
        other.returns,
        other.best_loss,
    ) and all(
        np.array_equal(a, b) and a.dtype == b.dtype
        for part in ("model", "optimizer", "best")
        for a, b in zip(getattr(one, part), getattr(other, part), strict=True)
    )


def test_a_state_comes_back_to_the_bit(tmp_path: Path) -> None:
    checkpoints.save(tmp_path / "new", "key", some_state(50))
    checkpoints.save(tmp_path / "new", "key", some_state(100))
    found = checkpoints.load(tmp_path / "new", "key")
    assert found is not None
    assert same(found, some_state(100))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["training.npz"]


def test_another_training_does_not_take_it_up(tmp_path: Path) -> None:
    checkpoints.save(tmp_path, "key", some_state())
    assert checkpoints.load(tmp_path, "other key") is None


def test_what_is_done_leaves_nothing(tmp_path: Path) -> None:
    checkpoints.save(tmp_path, "key", some_state())
    checkpoints.drop(tmp_path)
    checkpoints.drop(tmp_path)
    assert checkpoints.load(tmp_path, "key") is None
