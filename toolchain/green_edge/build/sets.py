"""Which samples calibrate, and which judge.

Calibration samples come from `--calibration`, else from `--train`. Without `--eval` some of them
are held back to judge fidelity to the float model: samples that set the ranges cannot.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from green_edge.core.project import is_hook
from green_edge.data import dataset, load
from green_edge.data.dataset import Array, Dataset
from green_edge_wire.errors import ConfigError
from green_edge_wire.manifest import Pipeline, TensorSpec

# Held-back samples cost an inference each for every candidate; more tell little more.
_MOST_HELD_BACK = 2_000
_HELD_BACK_SHARE = 4
# More tell little more of which one is better, and each costs an inference for every trial.
_MOST_SELECTING = 5_000
# Outliers are no fault of the calibration set.
_RARE_SHARE = 0.01

Loader = Callable[[str], Dataset]
# Reads the samples to train on, none of which judges; or says why there are none.
Training = Callable[[], Dataset] | str


@dataclass(frozen=True, slots=True)
class Sets:
    """Samples of one model.

    Attributes:
        labelled: `evaluation` says what is right; else the float model is the yardstick.
        training: read when it is needed, which it seldom is.
        notes: where the samples come from, for the report.
        selection: samples that a search selects by, apart from those of `evaluation`.
        pool: what calibration samples were drawn from, without those that judge; labels are not
            to be looked at. For passes that learn where there is no `training`.
    """

    calibration: Dataset
    evaluation: Dataset
    labelled: bool
    training: Training
    notes: tuple[str, ...]
    pool: Training = "no samples are left"
    selection: Dataset | None = None


def loader(specs: Sequence[TensorSpec], pipeline: Pipeline, labels: Sequence[str]) -> Loader:
    """Reader of data references for one model's inputs."""
    return lambda ref: load.load(ref, specs, pipeline=pipeline, labels=labels)


def check_given(calibration: str | None, train: str | None) -> None:
    """Refuse a build without any samples to calibrate on.

    Raises:
        ConfigError: neither set is given.
    """
    if calibration is None and train is None:
        raise ConfigError(
            "int8 needs samples to set its ranges",
            place="--calibration",
            hint="give --calibration F, or --train F to draw them from",
        )


def pick(
    read: Loader,
    *,
    calibration: str | None,
    train: str | None,
    evaluation: str | None,
    samples: int,
    seed: int,
) -> Sets:
    """Load and divide the sets.

    Args:
        read: loads a reference.
        calibration: data reference or None.
        train: data reference or None; used when `calibration` is None.
        evaluation: data reference or None.
        samples: at most so many calibrate.
        seed: of the draw.

    Raises:
        ConfigError: a set is missing, unusable, or too small to hold any sample back.
    """
    check_given(calibration, train)
    source = calibration if calibration is not None else train or ""
    pool = read(source)
    if evaluation is not None:
        drawn = dataset.sample(pool, samples, seed)
        judges = read(evaluation)
        judged = f"judged on {judges.n:,} samples of {short(evaluation)}"
        notes = (_calibrated(drawn, pool, source), judged)
        labelled = judges.y is not None
        return Sets(drawn, judges, labelled, training(read, train), notes, lambda: read(source))
    held_back = min(max(pool.n - samples, pool.n // _HELD_BACK_SHARE, 1), _MOST_HELD_BACK)
    if pool.n < 2:
        hint = "give more samples, or --eval F"
        raise ConfigError("one sample cannot both calibrate and judge", place=source, hint=hint)
    rest, judges = dataset.split(pool, held_back, seed)
    drawn = dataset.sample(rest, samples, seed)
    note = (
        f"{_calibrated(drawn, pool, source)}; "
        f"{judges.n:,} others were held back to judge fidelity to the float model"
    )
    return Sets(
        drawn,
        replace(judges, y=None),
        labelled=False,
        training=_training_left(read, calibration, train, held_back, seed),
        notes=(note,),
        pool=lambda: dataset.split(read(source), held_back, seed)[0],
    )


def apart(sets: Sets, seed: int) -> Sets:
    """Set half of the evaluation samples apart, for a search to select by.

    Raises:
        ConfigError: there is a single one.
    """
    half = min(sets.evaluation.n // 2, _MOST_SELECTING)
    if half == 0:
        hint = "give more evaluation samples"
        raise ConfigError("one sample cannot both select and judge", place="--eval", hint=hint)
    judges, selection = dataset.split(sets.evaluation, half, seed)
    note = f"a search selected by {selection.n:,} other evaluation samples, the verdict is by these"
    notes = (*sets.notes[:-1], f"{sets.notes[-1]}; {note} {judges.n:,}")
    return replace(sets, evaluation=judges, selection=selection, notes=notes)


def calibration_only(
    read: Loader, *, calibration: str | None, train: str | None, samples: int, seed: int
) -> Sets:
    """As `pick` for a model that others judge in its place: all samples may calibrate.

    `evaluation` then holds the calibration samples; nothing is judged on them.
    """
    source = calibration if calibration is not None else train or ""
    pool = read(source)
    drawn = dataset.sample(pool, samples, seed)
    return Sets(
        drawn,
        replace(drawn, y=None),
        labelled=False,
        training=training(read, train),
        notes=(_calibrated(drawn, pool, source),),
        pool=lambda: read(source),
    )


def doubts(sets: Sets) -> tuple[str, ...]:
    """Warnings of calibration samples that cannot give fitting ranges, input by input."""
    found = []
    for name, array in sets.calibration.inputs.items():
        low, high = float(array.min()), float(array.max())
        if (array == array[:1]).all() and (len(array) > 1 or low == high):
            found.append(
                f"warning: input {name!r} is the same in all {len(array):,} calibration samples, "
                "which tell nothing of the ranges that it leads to"
            )
        elif beyond := _beyond(sets.evaluation.inputs[name], low, high):
            found.append(
                f"warning: {beyond:,} of {sets.evaluation.n:,} evaluation samples of input "
                f"{name!r} lie far outside of {low:.4g} to {high:.4g}, what the calibration "
                "samples hold: int8 clips them"
            )
    return tuple(found)


def _beyond(array: Array, low: float, high: float) -> int:
    """Samples that leave a range by more than its width; 0 where they are a handful in many."""
    width = high - low
    real = np.asarray(array, dtype=np.float32)
    far = (real < low - width) | (real > high + width)
    count = int(far.reshape(len(array), -1).any(axis=1).sum())
    return count if count > _RARE_SHARE * len(array) else 0


def training(read: Loader, train: str | None, absent: str = "no --train is given") -> Training:
    """Samples of a training set; `absent` where there is none."""
    return absent if train is None else lambda: read(train)


def _training_left(
    read: Loader, calibration: str | None, train: str | None, held_back: int, seed: int
) -> Training:
    """What is left of the training set where judges were held back."""
    if train is None:
        return training(read, train)
    if calibration is not None:
        return "without --eval, samples that judge could be among those of --train"
    # The split is drawn again, so that no set waits in memory for a step that may never come.
    return lambda: dataset.split(read(train), held_back, seed)[0]


def _calibrated(drawn: Dataset, pool: Dataset, source: str) -> str:
    note = f"calibrated on {drawn.n:,} of {pool.n:,} samples of {short(source)}"
    classes = 0 if pool.classes is None else len(set(pool.classes.tolist()))
    return f"{note}, balanced over {classes} classes" if classes > 1 and drawn.n < pool.n else note


def short(ref: str) -> str:
    """A data reference without the folders of this machine."""
    return ref if is_hook(ref) else Path(ref).name
