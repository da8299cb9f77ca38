"""Samples that the passes learn from, and those that are held back to choose by."""

from dataclasses import dataclass, replace

import numpy as np

from green_edge.build.sets import Sets
from green_edge.compress.scene import Samples
from green_edge.data import dataset
from green_edge.data.dataset import Dataset
from green_edge_wire.errors import ConfigError

_HELD_SHARE = 10
_MOST_HELD = 5_000


@dataclass(frozen=True, slots=True, eq=False)
class Lessons:
    """What a model is shrunk with.

    Attributes:
        inputs: name of each array.
        train: to learn from.
        held: some of the same set, not learned from, which choose such as the epoch.
        note: where they come from, for the report.
    """

    inputs: tuple[str, ...]
    train: Samples
    held: Samples
    note: str


def lessons(sets: Sets, inputs: tuple[str, ...], seed: int) -> Lessons:
    """Take the training set, else the calibration set without its labels; hold some back.

    Args:
        sets: of the model.
        inputs: names of its inputs, in the order that the arrays shall have.
        seed: of the draw of those held back.

    Raises:
        ConfigError: there are no samples that judge nothing, or a single one.
    """
    whole, words = _whole(sets)
    held_back = min(max(whole.n // _HELD_SHARE, 1), _MOST_HELD)
    train, held = dataset.split(whole, held_back, seed)
    note = f"shrunk with {train.n:,} {words}; {held.n:,} others of them chose such as the epoch"
    # By all of them: a few that are held back could look like classes by chance.
    classes = whole.classes is not None
    learned, chose = (_samples(part, inputs, classes=classes) for part in (train, held))
    return Lessons(inputs, learned, chose, note)


def _whole(sets: Sets) -> tuple[Dataset, str]:
    if not isinstance(sets.training, str):
        found = sets.training()
        labelled = "labelled" if found.y is not None else "unlabelled"
        return found, f"{labelled} samples of the training set"
    if isinstance(sets.pool, str):
        raise ConfigError(
            f"no samples to shrink the model with: {sets.training}, and {sets.pool}",
            place="--train",
            hint="give a training set; unlabelled samples will do",
        )
    found = replace(sets.pool(), y=None)
    return found, (
        f"samples of the calibration set without labels ({sets.training}): they can tell what the "
        "original model answers, not what is right, so less can be taken off"
    )


def _samples(part: Dataset, inputs: tuple[str, ...], *, classes: bool) -> Samples:
    y = part.classes if classes else part.y
    if y is not None and not np.issubdtype(y.dtype, np.integer):
        y = y.astype(np.float32)
    return Samples(tuple(part.inputs[name] for name in inputs), y)
