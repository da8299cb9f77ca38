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
        y: class index of each sample (integers), or its target array (float), of which one-hot
            rows are classes too; None without labels.
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

    @property
    def classes(self) -> NDArray[np.integer] | None:
        """Class index of each sample; None where `y` is absent or says something else."""
        if self.y is not None and self.y.ndim == 2 and is_one_hot(self.y):
            return np.asarray(np.argmax(self.y, axis=-1), dtype=np.int64)
        if self.y is None or self.y.ndim != 1 or not np.issubdtype(self.y.dtype, np.integer):
            return None
        return np.asarray(self.y, dtype=np.int64)

    def take(self, indices: Sequence[int] | NDArray[np.integer]) -> "Dataset":
        """Samples at `indices`, copied, in that order."""
        chosen = np.asarray(indices, dtype=np.intp)
        inputs = {name: array[chosen] for name, array in self.inputs.items()}
        return replace(self, inputs=inputs, y=None if self.y is None else self.y[chosen])


@dataclass(frozen=True, slots=True, eq=False)
class FineTuneSets:
    """Samples for training and for the int8 ranges after it.

    Attributes:
        inputs: names of the model's inputs.
        x: training samples of each input, sample first.
        calibration: samples of each input, sample first.
    """

    inputs: tuple[str, ...]
    x: tuple[Array, ...]
    calibration: tuple[Array, ...]


def is_one_hot(y: Array) -> bool:
    """Whether the last axis of `y` numbers classes: a single 1 among zeros."""
    several = y.ndim >= 2 and y.shape[-1] > 1
    return several and bool(np.isin(y, (0, 1)).all() and (y.sum(axis=-1) == 1).all())


def sample(dataset: Dataset, n: int, seed: int) -> Dataset:
    """Draw `n` samples without repeats, kept in the set's order; all of them if it has no more.

    Of a set with classes every one gives as many as the others, as long as it has some.
    """
    if n >= dataset.n:
        return dataset
    order = np.random.default_rng(seed).permutation(dataset.n)
    if dataset.classes is not None:
        order = order[np.argsort(_turn(dataset.classes[order]), kind="stable")]
    return dataset.take(np.sort(order[:n]))


def _turn(classes: NDArray[np.integer]) -> NDArray[np.intp]:
    """How many entries of the same class come before each entry."""
    turn = np.empty(len(classes), dtype=np.intp)
    for index in np.unique(classes):
        members = np.flatnonzero(classes == index)
        turn[members] = np.arange(len(members))
    return turn


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
