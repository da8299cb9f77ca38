"""Fetches a file whose digest is known; what an interrupted try has left is continued."""

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from green_edge.emulate.debian import File
from green_edge.emulate.setting import EmulationError

MIRROR_VARIABLE = "GREEN_EDGE_DEBIAN_MIRROR"
_TIMEOUT_S = 60.0
_TRIES = 3
_CHUNK_BYTES = 1 << 18
_SMALL_BYTES = 1 << 22
_PARTIAL_CONTENT = 206
_RANGE_NOT_SATISFIABLE = 416

Grown = Callable[[int], None]


def fetch_small(url: str) -> bytes:
    """Content of a URL that is known to be small and is checked by its signature.

    Raises:
        EmulationError: it cannot be had.
    """
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - http(s) mirrors
            return bytes(answer.read(_SMALL_BYTES))
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise _unreachable(url, error) from None


def fetch(mirror: str, file: File, folder: Path, grown: Grown) -> Path:
    """Have a file of a mirror, named by its digest, whole and checked, in a folder.

    Args:
        mirror: URL of the archive's root.
        file: what to fetch.
        folder: where it is kept; what is there already is not fetched again.
        grown: told the bytes that are there.

    Raises:
        EmulationError: it cannot be had, or is another file than the archive says.
    """
    target = folder / file.sha256
    if target.exists() and not _is(target, file):
        target.unlink()
    if not target.exists():
        part = folder / f"{file.sha256}.part"
        url = f"{mirror}/{file.path}"
        left = part.exists()
        _complete(url, part, file, grown)
        if left and not _is(part, file):
            # What was left behind may be the flaw: once more, from the beginning.
            part.unlink()
            _complete(url, part, file, grown)
        if not _is(part, file):
            part.unlink()
            hint = f"try again, or another mirror by {MIRROR_VARIABLE}"
            raise EmulationError(f"{url}: not the file that the list names", hint=hint)
        part.replace(target)
    grown(file.size_bytes)
    return target


def _complete(url: str, part: Path, file: File, grown: Grown) -> None:
    """Continue a file until it has its size; a connection that breaks off is taken up again."""
    for _ in range(_TRIES):
        _append(url, part, file.size_bytes, grown)
        have = part.stat().st_size
        if have >= file.size_bytes:
            return
    hint = "what is there is kept: try again to continue it"
    raise EmulationError(f"{url}: ends after {have} of {file.size_bytes} bytes", hint=hint)


def _append(url: str, part: Path, size_bytes: int, grown: Grown) -> None:
    """Add to a file what a server has beyond it; begin anew where the server knows no ranges."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url)  # noqa: S310 - http(s) mirrors
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        answer = urllib.request.urlopen(request, timeout=_TIMEOUT_S)  # noqa: S310 - as above
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == _RANGE_NOT_SATISFIABLE:
            part.write_bytes(b"")
            return
        raise _unreachable(url, error) from None
    except (OSError, http.client.HTTPException) as error:
        raise _unreachable(url, error) from None
    with answer, part.open("ab" if answer.status == _PARTIAL_CONTENT else "wb") as out:
        while out.tell() <= size_bytes and (chunk := _read(url, answer)):
            out.write(chunk)
            grown(out.tell())
        out.flush()
        os.fsync(out.fileno())


def _read(url: str, answer: http.client.HTTPResponse) -> bytes:
    # Apart from the writing: an error of the disk is another than one of the network.
    try:
        return answer.read(_CHUNK_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise _unreachable(url, error) from None


def _is(part: Path, file: File) -> bool:
    with part.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == file.sha256


def _unreachable(url: str, error: Exception) -> EmulationError:
    reason = getattr(error, "reason", None) or error
    hint = (
        "what was fetched is kept and continued; behind a proxy set http_proxy, "
        f"another mirror by {MIRROR_VARIABLE}"
    )
    return EmulationError(f"{url}: not fetched: {reason}", hint=hint)
