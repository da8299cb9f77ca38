"""The run file: how other commands find a live `green-edge up`, and how two are kept apart.

`up` holds a lock as long as it lives; the kernel takes the lock away however it ends. So a file
without a lock was left behind by a killed process and is no longer true.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from green_edge.fleet.private_files import private_folder, write_private
from green_edge_wire import codec
from green_edge_wire.errors import ConfigError, DecodeError

FILE_NAME = "up.json"
_LOCK_NAME = "up.lock"


@dataclass(frozen=True, slots=True)
class RunFile:
    """What a live `up` offers; holds passwords, so the file is its owner's alone.

    Attributes:
        pid: process id of `up`.
        site: name of the site that it prints into device settings.
        broker: URL with the operator's credential.
        store: URL of the store.
        artefacts: base URL of the artefact server.
        dashboard: URL of the dashboard.
        token: lets upload to the artefact server.
    """

    pid: int
    site: str
    broker: str
    store: str
    artefacts: str
    dashboard: str
    token: str


def state_folder(environ: Mapping[str, str]) -> Path:
    """Where `up` keeps its store, artefacts and credentials, unless told otherwise."""
    given = environ.get("GREEN_EDGE_STATE")
    if given:
        return Path(given)
    base = environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "green-edge"


def read_run(folder: Path) -> RunFile | None:
    """Run file of the `up` that lives in a state folder; None when none does.

    Raises:
        ConfigError: the file is there and cannot be read.
    """
    path = folder / FILE_NAME
    try:
        if not _is_locked(folder / _LOCK_NAME):
            return None
        return codec.loads(RunFile, path.read_bytes(), strict=False)
    except FileNotFoundError:
        return None
    except (DecodeError, OSError) as error:
        raise ConfigError(
            f"cannot read it: {error}", place=str(path), hint="stop and start 'green-edge up'"
        ) from error


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Be the one `up` of a state folder; the run file is removed at the end.

    Raises:
        ConfigError: another lives there, or the folder cannot be written.
    """
    private_folder(folder)
    handle = os.open(folder / _LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"another 'green-edge up' already runs with the folder {folder}",
                hint="stop it, or give this one a folder of its own by GREEN_EDGE_STATE",
            ) from None
        try:
            yield
        finally:
            (folder / FILE_NAME).unlink(missing_ok=True)
    finally:
        os.close(handle)


def write_run(folder: Path, run: RunFile) -> None:
    """Publish what this `up` offers; call it inside of `only_one`."""
    write_private(folder / FILE_NAME, codec.dumps(run, indent=2) + "\n")


def _is_locked(path: Path) -> bool:
    handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False
