"""Five hundred published inputs: MFCC maps of 49 frames by 10 coefficients, and their words."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from green_edge.tflite.read import read


@dataclass(frozen=True, slots=True, eq=False)
class Spoken:
    """Inputs and labels; the labels judge and never teach.

    Attributes:
        x: (n, 49, 10, 1), float32.
        y: index of the word of each.
    """

    x: NDArray[np.float32]
    y: NDArray[np.int64]


def load(folder: Path) -> Spoken:
    """All inputs, made real by the input scale of the published int8 model.

    Args:
        folder: with kws_inputs_public.npz and kws_int8.tflite.
    """
    with np.load(folder / "kws_inputs_public.npz") as file:
        codes, y = file["x_int8"], file["y"]
    (spec,) = read((folder / "kws_int8.tflite").read_bytes()).inputs
    x = (codes.astype(np.float32) - (spec.zero_point or 0)) * np.float32(spec.scale or 1.0)
    return Spoken(x.astype(np.float32), y)


def folds(n: int, count: int, seed: int) -> tuple[tuple[NDArray[np.intp], NDArray[np.intp]], ...]:
    """Pairs (rows to learn from, rows to judge); every row judges once."""
    parts = np.array_split(np.random.default_rng(seed).permutation(n), count)
    return tuple(
        (np.concatenate([part for j, part in enumerate(parts) if j != i]), parts[i])
        for i in range(count)
    )
