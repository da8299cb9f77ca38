"""What `up` remembers from one start to the next: the upload token and the broker's port."""

import secrets
from pathlib import Path

from green_edge.fleet.private_files import write_private
from green_edge_wire.errors import ConfigError

_TOKEN_BYTES = 24


def saved_token(state: Path) -> str:
    """Token of a state folder, made at the first call.

    Raises:
        ConfigError: it cannot be read or written.
    """
    path = token_file(state)
    token = _read(path)
    if not token:
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        write_private(path, token + "\n")
    return token


def token_file(state: Path) -> Path:
    """File of a state folder that holds its token."""
    return state / "token"


def saved_port(folder: Path) -> int | None:
    """Port that the embedded broker of a folder had last; None at the first start."""
    text = _read(folder / "port")
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text) < 1 << 16 else None


def save_port(folder: Path, port: int) -> None:
    """Remember the embedded broker's port."""
    write_private(folder / "port", f"{port}\n")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read it: {error}", place=str(path)) from error
