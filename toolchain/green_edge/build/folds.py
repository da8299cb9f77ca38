"""Cross-fitted evaluation: one model a fold, each judged on samples that it was not trained on.

A folder of folds holds numbered folders, each with the fold's model (`model.keras`, `model.h5`,
`model.tflite`, or a SavedModel `model`), `eval.npz`, and optionally `calibration.npz` or
`train.npz`. The recipe is applied to each fold's model, and the predictions are pooled, so that
every sample counts and none was seen in training. What ships is made from the main model.
"""

from dataclasses import dataclass
from pathlib import Path

from green_edge.convert.formats import Source, open_source
from green_edge_wire.errors import ConfigError

_MODELS = ("model.keras", "model.h5", "model.tflite", "model")


@dataclass(frozen=True, slots=True)
class Fold:
    """One fold's model and sets; `calibration` and `train` are absent where their file is."""

    number: int
    source: Source
    eval: str
    calibration: str | None
    train: str | None


def find_folds(ref: str) -> tuple[Fold, ...]:
    """Folds that a reference names; none when it names a data set.

    Raises:
        ConfigError: a folder of folds that lacks a model or an evaluation set.
        ModelError: a fold's model is none.
    """
    folder = Path(ref)
    if not folder.is_dir():
        return ()
    numbered = sorted((p for p in folder.iterdir() if _is_fold(p)), key=lambda p: int(p.name))
    return tuple(_fold(p) for p in numbered)


def _is_fold(path: Path) -> bool:
    # A folder of images has numbered class folders too, but no models in them.
    return path.name.isdecimal() and any((path / name).exists() for name in _MODELS)


def _fold(folder: Path) -> Fold:
    model = next(folder / name for name in _MODELS if (folder / name).exists())
    evaluation = _optional(folder / "eval.npz")
    if evaluation is None:
        raise ConfigError("no eval.npz in this fold", place=str(folder))
    return Fold(
        number=int(folder.name),
        source=open_source(model),
        eval=evaluation,
        calibration=_optional(folder / "calibration.npz"),
        train=_optional(folder / "train.npz"),
    )


def _optional(path: Path) -> str | None:
    return str(path) if path.is_file() else None
