"""Calibration samples on their way to the child."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Sample = dict[str, NDArray[Any]]


def write(path: Path, arrays: Sequence[NDArray[Any]]) -> None:
    """Write arrays in the order of the inputs; the names travel in the request."""
    np.savez(path, *arrays)


def read(path: Path, names: Sequence[str]) -> Iterator[Sample]:
    """Samples one by one, by input name, the batch axis kept."""
    with np.load(path, allow_pickle=False) as file:
        whole: Mapping[str, NDArray[Any]] = {name: file[f"arr_{i}"] for i, name in enumerate(names)}
    for i in range(min(len(array) for array in whole.values())):
        yield {name: array[i : i + 1] for name, array in whole.items()}
