"""Files that only their owner may read, written whole or not at all."""

import os
import tempfile
from pathlib import Path

from green_edge_wire.errors import ConfigError


def private_folder(folder: Path) -> Path:
    """Make a folder that only its owner may enter.

    Raises:
        ConfigError: it cannot be made or written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"cannot make the folder {folder}: {error.strerror}",
            hint="set GREEN_EDGE_STATE to a folder that you may write",
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
        raise ConfigError(
            f"no write access to {folder}",
            hint="set GREEN_EDGE_STATE to a folder that you may write",
        )
    return folder


def write_private(path: Path, text: str) -> None:
    """Replace a file by `text`, mode 0600; a reader sees the old or the new content whole.

    Raises:
        ConfigError: the disk or the folder refuses.
    """
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(path)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from error
