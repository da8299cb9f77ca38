"""The agent's state folder: made, checked, and held by one agent at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from green_edge_wire.errors import ConfigError

_PLACE = "state_dir"


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Hold the folder for this process; the kernel gives it back however the process ends.

    Raises:
        ConfigError: it cannot be made or written, or another agent holds it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(
            f"cannot write in {folder}: {error.strerror}",
            place=_PLACE,
            hint="create it and give it to the agent's user, or choose another folder",
        ) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigError(
                f"another agent works in {folder}",
                place=_PLACE,
                hint="stop it, or give this one a state_dir and a device_id of its own",
            ) from None
        yield
    finally:
        os.close(descriptor)


def held(folder: Path) -> bool:
    """Whether an agent works in a folder now; also when its lock cannot be looked at."""
    try:
        descriptor = os.open(folder / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
