"""Changes of the inputs: what they do, and that seed and step alone decide."""

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from green_edge.compress.recover.augment import changed, changes_of  # noqa: E402 - TensorFlow
from green_edge.compress.scene import Samples  # noqa: E402
from green_edge.core.report import Skip  # noqa: E402
from green_edge.core.steps import Augment  # noqa: E402

pytestmark = pytest.mark.tf


def images(n: int = 64) -> np.ndarray:
    return np.random.default_rng(1).uniform(1.0, 2.0, (n, 20, 10, 3)).astype(np.float32)


def made(x: np.ndarray, *kinds: Augment, seed: int = 7, step: int = 3) -> np.ndarray:
    changes, skipped = changes_of(Samples((x,)), kinds, [("x", "float32")])
    assert not skipped
    inputs, _, _ = changed(changes, [tf.constant(x)], seed, step)
    found: np.ndarray = inputs[0].numpy()
    return found


def shifted(image: np.ndarray, down: int, right: int) -> np.ndarray:
    moved = np.roll(image, (down, right), (0, 1))
    for axis, by in ((0, down), (1, right)):
        gone = slice(0, by) if by > 0 else slice(image.shape[axis] + by, None)
        if by:
            moved[(slice(None),) * axis + (gone,)] = 0.0
    return moved


def test_a_shifted_image_is_the_image_moved_by_up_to_a_tenth_with_zeros_moving_in() -> None:
    x = images()
    seen = set()
    for image, moved in zip(x, made(x, "shift"), strict=True):
        matching = [
            (down, right)
            for down in range(-2, 3)
            for right in range(-1, 2)
            if np.array_equal(shifted(image, down, right), moved)
        ]
        assert len(matching) == 1
        seen.add(matching[0])
    assert {down for down, _ in seen} == {-2, -1, 0, 1, 2}
    assert {right for _, right in seen} == {-1, 0, 1}


def test_a_series_is_shifted_along_its_steps_alone() -> None:
    x = images()[:, :, :, 0]
    moved = made(x, "shift")
    rows = {tuple(np.flatnonzero((sample == 0).all(axis=1))) for sample in moved}
    assert rows == {(), (0,), (0, 1), (19,), (18, 19)}


def test_a_flipped_image_is_its_mirror_image_half_of_the_time() -> None:
    x = images(200)
    turned = made(x, "flip")
    mirrored = [np.array_equal(a[:, ::-1], b) for a, b in zip(x, turned, strict=True)]
    same = [np.array_equal(a, b) for a, b in zip(x, turned, strict=True)]
    assert sum(mirrored) + sum(same) == 200
    assert 70 < sum(mirrored) < 130


def test_noise_is_a_twentieth_of_the_spread() -> None:
    x = images()
    assert np.std(made(x, "noise") - x) == pytest.approx(0.05 * np.std(x), rel=0.05)


def test_a_mixed_sample_is_the_greater_part_of_itself_and_the_rest_of_another() -> None:
    x = images()
    changes, _ = changes_of(Samples((x,)), ("mix",), [("x", "float32")])
    inputs, rows, share = changed(changes, [tf.constant(x)], 1, 1)
    of_itself = share.numpy()[:, None, None, None]
    wanted = of_itself * x + (1 - of_itself) * x[rows.numpy()]
    assert inputs[0].numpy() == pytest.approx(wanted, abs=1e-5)
    assert (share.numpy() >= 0.5).all()
    assert (rows.numpy() != np.arange(len(x))).all()


def test_the_same_seed_and_step_draw_the_same_and_others_do_not() -> None:
    x = images()
    kinds: tuple[Augment, ...] = ("shift", "noise", "mix")
    assert np.array_equal(made(x, *kinds), made(x, *kinds))
    assert not np.array_equal(made(x, *kinds), made(x, *kinds, step=4))
    assert not np.array_equal(made(x, *kinds), made(x, *kinds, seed=8))


def test_what_an_input_does_not_allow_is_told_with_its_reason() -> None:
    tokens, table = np.zeros((4, 9), np.int32), np.zeros((4, 5), np.float32)
    samples = Samples((tokens, table))
    inputs = [("tokens", "int32"), ("table", "float32")]
    changes, skipped = changes_of(samples, ("shift", "noise", "mix"), inputs)
    assert changes.inputs == ((), ("noise",))
    assert not changes.mix
    assert Skip("tokens", "mix: the input is made of whole numbers") in skipped
    assert Skip("table", "shift: the input has neither height and width nor steps") in skipped
