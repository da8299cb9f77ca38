"""Batches of training images; numpy alone, for peers that run in an environment of their own."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

BATCH = 128

Images = NDArray[np.float32]
Labels = NDArray[np.int64]


def batches(
    x: Images, y: Labels, rng: np.random.Generator, *, shift_px: int = 0
) -> Iterator[tuple[Images, Labels]]:
    """One epoch's whole batches, shuffled, each image moved by up to `shift_px` both ways."""
    order = rng.permutation(len(y))
    for start in range(0, len(order) - BATCH + 1, BATCH):
        rows = order[start : start + BATCH]
        yield (shifted(x[rows], shift_px, rng) if shift_px else x[rows]), y[rows]


def shifted(x: Images, most_px: int, rng: np.random.Generator) -> Images:
    """Copy of images (n, height, width, channels), each moved at random, zeros moving in."""
    n, height, width, _ = x.shape
    padded = np.pad(x, ((0, 0), (most_px, most_px), (most_px, most_px), (0, 0)))
    dy, dx = rng.integers(0, 2 * most_px + 1, (2, n))
    rows = np.arange(n)[:, None, None]
    ys = (dy[:, None] + np.arange(height))[:, :, None]
    xs = (dx[:, None] + np.arange(width))[:, None, :]
    moved: Images = padded[rows, ys, xs]
    return moved
