"""State of a training on disk, so that an interrupted one goes on as if it had not been."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Arrays = tuple[Array, ...]

_FILE = "training.npz"


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """All that the rest of a training depends on, beside the data and the seed.

    Attributes:
        step: that comes next.
        returns: how often the training went back for a loss that was no number.
        model: its variables.
        optimizer: its variables.
        best: those of the model when its loss on held samples was least.
        best_loss: that loss.
    """

    step: int
    returns: int
    model: Arrays
    optimizer: Arrays
    best: Arrays
    best_loss: float


def save(folder: Path, key: str, state: State) -> None:
    """Write the state in place of the one before; never half of it.

    Args:
        folder: of this training alone; made where it is missing.
        key: digest of what the training is; another training does not take the state up.
        state: to be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"part-{_FILE}"
    arrays = {
        f"{part_of}/{i}": array
        for part_of in ("model", "optimizer", "best")
        for i, array in enumerate(getattr(state, part_of))
    }
    with part.open("wb") as file:
        np.savez(
            file,
            key=np.array(key),
            counts=np.array([state.step, state.returns]),
            best_loss=np.array(state.best_loss),
            **arrays,
        )
        file.flush()
        os.fsync(file.fileno())
    part.replace(folder / _FILE)


def load(folder: Path, key: str) -> State | None:
    """The state of that training; None where there is none."""
    path = folder / _FILE
    if not path.is_file():
        return None
    with np.load(path) as arrays:
        if str(arrays["key"]) != key:
            return None
        step, returns = (int(count) for count in arrays["counts"])
        return State(
            step,
            returns,
            _numbered(arrays, "model"),
            _numbered(arrays, "optimizer"),
            _numbered(arrays, "best"),
            float(arrays["best_loss"]),
        )


def drop(folder: Path) -> None:
    """Remove the state, once the training is done."""
    (folder / _FILE).unlink(missing_ok=True)


def _numbered(arrays: Any, part: str) -> Arrays:
    count = sum(name.startswith(f"{part}/") for name in arrays.files)
    return tuple(arrays[f"{part}/{i}"] for i in range(count))
