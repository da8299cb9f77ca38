"""Which samples calibrate, and which judge.

Calibration samples come from `--calibration`, else from `--train`. Without `--eval` some of them
are held back to judge fidelity to the float model: samples that set the ranges cannot.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from green_edge.core.project import is_hook
from green_edge.data import dataset, load
from green_edge.data.dataset import Dataset
from green_edge_wire.errors import ConfigError
from green_edge_wire.manifest import Pipeline, TensorSpec

# Held-back samples cost an inference each for every candidate; more tell little more.
_MOST_HELD_BACK = 2_000
_HELD_BACK_SHARE = 4

Loader = Callable[[str], Dataset]


@dataclass(frozen=True, slots=True)
class Sets:
    """Samples of one model.

    Attributes:
        labelled: `evaluation` says what is right; else the float model is the yardstick.
        notes: where the samples come from, for the report.
    """

    calibration: Dataset
    evaluation: Dataset
    labelled: bool
    notes: tuple[str, ...]


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
        note = f"calibrated on {drawn.n:,} of {pool.n:,} samples of {short(source)}"
        judged = f"judged on {judges.n:,} samples of {short(evaluation)}"
        return Sets(drawn, judges, judges.y is not None, (note, judged))
    held_back = min(max(pool.n - samples, pool.n // _HELD_BACK_SHARE, 1), _MOST_HELD_BACK)
    if pool.n < 2:
        hint = "give more samples, or --eval F"
        raise ConfigError("one sample cannot both calibrate and judge", place=source, hint=hint)
    rest, judges = dataset.split(pool, held_back, seed)
    drawn = dataset.sample(rest, samples, seed)
    note = (
        f"calibrated on {drawn.n:,} of {pool.n:,} samples of {short(source)}; "
        f"{judges.n:,} others were held back to judge fidelity to the float model"
    )
    return Sets(drawn, replace(judges, y=None), labelled=False, notes=(note,))


def calibration_only(
    read: Loader, *, calibration: str | None, train: str | None, samples: int, seed: int
) -> Sets:
    """As `pick` for a model that others judge in its place: all samples may calibrate.

    `evaluation` then holds the calibration samples; nothing is judged on them.
    """
    source = calibration if calibration is not None else train or ""
    pool = read(source)
    drawn = dataset.sample(pool, samples, seed)
    note = f"calibrated on {drawn.n:,} of {pool.n:,} samples of {short(source)}"
    return Sets(drawn, replace(drawn, y=None), labelled=False, notes=(note,))


def short(ref: str) -> str:
    """A data reference without the folders of this machine."""
    return ref if is_hook(ref) else Path(ref).name
