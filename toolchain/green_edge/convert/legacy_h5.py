"""Keras 2 `.h5` files in words that Keras 3 takes; no Keras needed.

Keras 2 wrote arguments that Keras 3 does not know and refuses: `groups: 1` for depthwise and
separable convolutions, where it means nothing, and `time_major: false` for recurrent layers.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]

_CONFIG = "model_config"
_FORGOTTEN = {"groups": 1, "time_major": False}
# A plain convolution has groups in Keras 3 too.
_KEEP_GROUPS = frozenset({"Conv1D", "Conv2D", "Conv3D"})


@contextmanager
def readable(path: Path) -> Iterator[Path]:
    """Lend a file that Keras 3 reads: `path` itself, or a copy with a newer configuration.

    Raises:
        OSError: it is no HDF5 file, or damaged.
        ValueError: its configuration is.
    """
    if path.suffix == ".keras" or not h5py.is_hdf5(path):
        yield path
        return
    with h5py.File(path, "r") as file:
        config = json.loads(file.attrs.get(_CONFIG, "{}"))
    if not _modernise(config):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="green-edge-") as folder:
        copy = Path(folder) / "model.h5"
        shutil.copyfile(path, copy)
        with h5py.File(copy, "r+") as file:
            file.attrs[_CONFIG] = json.dumps(config)
        yield copy


def _modernise(entry: Any) -> bool:
    """Drop the forgotten arguments in place, at any depth; returns whether there were any."""
    if isinstance(entry, list):
        # All of them, not up to the first.
        return sum(map(_modernise, entry)) > 0
    if not isinstance(entry, dict):
        return False
    changed = sum(map(_modernise, entry.values())) > 0
    arguments = entry.get("config")
    if "class_name" not in entry or not isinstance(arguments, dict):
        return changed
    for name, meaningless in _FORGOTTEN.items():
        keep = name == "groups" and entry["class_name"] in _KEEP_GROUPS
        if not keep and arguments.get(name, ...) == meaningless:
            del arguments[name]
            changed = True
    return changed
