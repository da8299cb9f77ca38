"""Data sets in `.npz` files: `x` or one array an input, and optionally `y`."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from green_edge.data.dataset import Array
from green_edge.data.raw import Raw
from green_edge_wire.errors import ConfigError


def read_npz(path: Path) -> Raw:
    """Read all arrays of a `.npz`; Python objects in it are refused.

    Raises:
        ConfigError: it is no such file, cut short, or holds objects.
    """
    try:
        # Opened here: of a broken zip numpy would leave it open.
        with path.open("rb") as stream:
            arrays = _arrays(np.load(stream, allow_pickle=False))
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        hint = "write it with numpy.savez(file, x=..., y=...)"
        raise ConfigError(f"cannot read it: {reason}", place=str(path), hint=hint) from None
    return Raw(inputs={k: v for k, v in arrays.items() if k != "y"}, y=arrays.get("y"))


def _arrays(content: Any) -> dict[str, Array]:
    if not isinstance(content, np.lib.npyio.NpzFile):
        raise ValueError("a single .npy array")  # noqa: TRY004 - told as any broken file
    with content:
        return {name: np.asarray(content[name]) for name in content.files}
