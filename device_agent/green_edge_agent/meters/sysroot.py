"""Where `/sys`, `/proc` and `/dev` are, and how a file of one value is read.

`GREEN_EDGE_SYSROOT` moves the root for containers (the host's tree mounted elsewhere) and tests.
"""

import os
from pathlib import Path

from green_edge_wire.errors import MeterReadError

ENVIRONMENT_KEY = "GREEN_EDGE_SYSROOT"


def sysroot() -> Path:
    """Folder that holds `sys`, `proc` and `dev`."""
    return Path(os.environ.get(ENVIRONMENT_KEY) or "/")


def read_text(path: Path) -> str | None:
    """Text of a kernel file without surrounding blanks and NULs; None when it cannot be read."""
    try:
        return path.read_bytes().decode(errors="replace").strip(" \t\r\n\0")
    except OSError:
        return None


def read_optional_int(path: Path) -> int | None:
    """Whole number of a file that not every driver has; None when absent or not a number."""
    text = read_text(path)
    try:
        return None if text is None else int(text)
    except ValueError:
        return None


def read_int(path: Path) -> int:
    """Whole number of a file that has to be there.

    Raises:
        MeterReadError: it cannot be read, or holds something else.
    """
    try:
        text = path.read_bytes()
    except PermissionError:
        raise MeterReadError(
            f"{path}: no permission to read",
            hint="run as root, or let the agent's group read it: docs/measuring-energy.md",
        ) from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise MeterReadError(f"{path}: {reason}", hint="is it still connected?") from None
    try:
        return int(text)
    except ValueError:
        raise MeterReadError(f"{path}: {text[:40]!r} is not a whole number") from None
