"""Samples on their way to the compress child: a folder with one file an array."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from green_edge.compress.scene import Samples
from green_edge_wire.errors import GreenEdgeError

TRAIN, HELD = "train", "held"


def write(folder: Path, train: Samples, held: Samples) -> None:
    """Write samples to learn from and samples held back, the arrays in the order of the inputs.

    Raises:
        GreenEdgeError: they cannot be written.
    """
    try:
        _write(folder / TRAIN, train)
        _write(folder / HELD, held)
    except OSError as error:
        hint = "make room there, or set TMPDIR to a folder on another disk"
        message = f"cannot write samples in {folder.parent}: {error.strerror or error}"
        raise GreenEdgeError(message, hint=hint) from error


def _write(folder: Path, samples: Samples) -> None:
    folder.mkdir(parents=True)
    for i, array in enumerate(samples.x):
        np.save(folder / f"x{i}.npy", array, allow_pickle=False)
    if samples.y is not None:
        np.save(folder / "y.npy", samples.y, allow_pickle=False)


@functools.lru_cache(maxsize=1)
def read(folder: Path, order: tuple[int, ...]) -> tuple[Samples, Samples]:
    """Samples to learn from, and those held back.

    Args:
        folder: as `write` left it.
        order: for each input of the model the position of its array.
    """
    return _read(folder / TRAIN, order), _read(folder / HELD, order)


def _read(folder: Path, order: Sequence[int]) -> Samples:
    x = tuple(_array(folder / f"x{i}.npy") for i in order)
    labels = folder / "y.npy"
    return Samples(x, _array(labels) if labels.exists() else None)


def _array(path: Path) -> NDArray[Any]:
    loaded: NDArray[Any] = np.load(path, allow_pickle=False)
    # The steps that follow read the same arrays: none may change them.
    loaded.setflags(write=False)
    return loaded
