"""A data set in memory: the model's inputs, and what the outputs should be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from green_edge_wire.errors import ConfigError

Array = NDArray[np.generic]


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Samples as the float model takes them.

    Attributes:
        inputs: by input name, in the model's order; sample first.
        y: class index of each sample (integers), or its target array (float); None without labels.
        labels: class names, where they are known.
        origin: what the user called it, for messages.
    """

    inputs: Mapping[str, Array]
    y: Array | None = None
    labels: tuple[str, ...] = ()
    origin: str = ""

    @property
    def n(self) -> int:
        """Number of samples."""
        return next((len(array) for array in self.inputs.values()), 0)

    def take(self, indices: Sequence[int] | NDArray[np.integer]) -> "Dataset":
        """Samples at `indices`, copied, in that order."""
        chosen = np.asarray(indices, dtype=np.intp)
        inputs = {name: array[chosen] for name, array in self.inputs.items()}
        return replace(self, inputs=inputs, y=None if self.y is None else self.y[chosen])


def sample(dataset: Dataset, n: int, seed: int) -> Dataset:
    """Draw `n` samples without repeats, kept in the set's order; all of them if it has no more."""
    if n >= dataset.n:
        return dataset
    drawn = np.random.default_rng(seed).permutation(dataset.n)[:n]
    return dataset.take(np.sort(drawn))


def split(dataset: Dataset, held_back: int, seed: int) -> tuple[Dataset, Dataset]:
    """Draw `held_back` samples; returns the rest and the drawn ones, each in the set's order.

    Raises:
        ConfigError: one of the two would be empty.
    """
    if not 0 < held_back < dataset.n:
        hint = f"it needs {held_back + 1} samples at least" if held_back > 0 else None
        message = f"cannot hold {held_back} of {dataset.n} samples back"
        raise ConfigError(message, place=dataset.origin or None, hint=hint)
    order = np.random.default_rng(seed).permutation(dataset.n)
    return dataset.take(np.sort(order[held_back:])), dataset.take(np.sort(order[:held_back]))
