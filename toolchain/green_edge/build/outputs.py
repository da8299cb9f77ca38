"""Files of a build: all written aside, then renamed, so that a failure loses no old one."""

import errno
import os
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from green_edge_wire.errors import ConfigError, GreenEdgeError


def check_writable(folder: Path) -> None:
    """Make the output folder and try to write in it, before a build spends time.

    Raises:
        ConfigError: it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(
            f"cannot write to {folder}: {error.strerror}",
            place="--out",
            hint="choose a folder that you may write",
        ) from None


def write_files(folder: Path, files: Mapping[str, bytes], gone: Iterable[str] = ()) -> None:
    """Write files, by name relative to `folder`; either all are complete or the old ones stay.

    Args:
        folder: for the results.
        files: contents by name.
        gone: names of files of earlier builds that would belong to another model now.

    Raises:
        GreenEdgeError: the disk is full or the folder no longer writable.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=".staging-", dir=folder) as staging:
            for name, content in files.items():
                _write(Path(staging) / name, content)
            for name in files:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (Path(staging) / name).replace(folder / name)
            for name in gone:
                (folder / name).unlink(missing_ok=True)
        _sync_folder(folder)
    except OSError as error:
        hint = "make room and build again" if error.errno == errno.ENOSPC else None
        raise GreenEdgeError(
            f"cannot write the results to {folder}: {error.strerror}; earlier files are unchanged",
            hint=hint,
        ) from error


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        # Some network file systems refuse to sync a folder; the renames are done either way.
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
