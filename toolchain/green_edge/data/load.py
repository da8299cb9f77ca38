"""Loads a data set and checks it against the inputs of the float model.

A reference is a `.npz`, a folder of images, a `.csv`, or `module:function`. What does not fit is a
ConfigError that names the reference, so a build stops before it spends time on a wrong set.
"""

from collections.abc import Sequence
from pathlib import Path

from green_edge.core.project import is_hook
from green_edge.data.dataset import Dataset
from green_edge.data.fit import check_labels, fit
from green_edge.data.hook import read_hook
from green_edge.data.images import read_images
from green_edge.data.npz import read_npz
from green_edge.data.raw import Raw
from green_edge.data.table import read_csv
from green_edge_wire.errors import ConfigError
from green_edge_wire.manifest import Pipeline, TensorSpec

__all__ = ["check_exists", "check_labels", "load"]

_HINT = "give a .npz, a folder of images, a .csv, or module:function"


def check_exists(ref: str) -> None:
    """Refuse a reference that names nothing, long before the set is loaded.

    Raises:
        ConfigError: no such file or folder, and no `module:function`.
    """
    if not Path(ref).exists() and not is_hook(ref):
        raise ConfigError("no such file or folder", place=ref, hint=_HINT)


def load(
    ref: str,
    specs: Sequence[TensorSpec],
    *,
    pipeline: Pipeline | None = None,
    labels: Sequence[str] = (),
) -> Dataset:
    """Load the set that `ref` names, as arrays that the float model takes.

    Args:
        ref: `.npz`, folder of images, `.csv` or `module:function`.
        specs: inputs of the float model, batch first.
        pipeline: pre-processing of image files; other sets hold what the model takes already.
        labels: class names in the order of the model's output; a class of the set that is not
            among them is refused.

    Raises:
        ConfigError: it cannot be read, is empty, holds NaN, or does not fit the model.
    """
    raw = _read(ref, specs, pipeline or Pipeline(), tuple(labels))
    return fit(raw, specs, labels=tuple(labels), place=ref)


def _read(
    ref: str, specs: Sequence[TensorSpec], pipeline: Pipeline, labels: tuple[str, ...]
) -> Raw:
    path = Path(ref)
    if path.is_dir():
        return read_images(path, specs, pipeline, labels)
    if path.is_file() and path.suffix.lower() == ".npz":
        return read_npz(path)
    if path.is_file() and path.suffix.lower() == ".csv":
        return read_csv(path, specs)
    if is_hook(ref) and not path.exists():
        return read_hook(ref, specs)
    check_exists(ref)
    raise ConfigError("not a data set", place=ref, hint=_HINT)
