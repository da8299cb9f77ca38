"""The user's cache folder: where it is, one installer at a time, files whole or absent."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from green_edge.emulate.setting import EmulationError, Progress

_VARIABLE = "GREEN_EDGE_CACHE"
_ROOM = f"make room or name another folder by {_VARIABLE}; some 400 MB are needed"


def cache_folder() -> Path:
    """`$GREEN_EDGE_CACHE`, else `green-edge` in `$XDG_CACHE_HOME`, else in `~/.cache`."""
    if own := os.environ.get(_VARIABLE):
        return Path(own).expanduser()
    caches = os.environ.get("XDG_CACHE_HOME")
    return (Path(caches) if caches else Path.home() / ".cache") / "green-edge"


@contextlib.contextmanager
def writing(folder: Path, remedy: str = _ROOM) -> Iterator[None]:
    """Turn an error of the disk under a folder into one that tells what to do.

    Raises:
        EmulationError: the folder cannot be written or the disk is full.
    """
    try:
        yield
    except OSError as error:
        where, reason = error.filename or folder, error.strerror or error
        raise EmulationError(f"{where}: not usable: {reason}", hint=remedy) from error


@contextlib.contextmanager
def alone(folder: Path, progress: Progress) -> Iterator[None]:
    """Hold a folder's lock; wait, and say so, while another process has it.

    The lock ends with the process that has it, however that ends.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress(f"waiting for another estimate that fills {folder}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all, whoever else writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with part.open("wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    part.replace(path)
