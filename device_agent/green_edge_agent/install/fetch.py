"""Bring an artefact over HTTP(S), with resume and a byte limit that holds while streaming."""

import hashlib
import http.client
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from green_edge_wire import __version__
from green_edge_wire.errors import DeviceError, TransportError
from green_edge_wire.units import KIB_BYTES

logger = logging.getLogger(__name__)

TIMEOUT_S = 20.0
_CHUNK_BYTES = 64 * KIB_BYTES
_TRIES_PER_URL = 3
_PARTIAL_CONTENT = 206
_RANGE_NOT_SATISFIABLE = 416


@dataclass(frozen=True, slots=True)
class Wanted:
    """An artefact and where it may be had."""

    urls: tuple[str, ...]
    sha256: str
    length_bytes: int


class Stopped(Exception):  # noqa: N818 - not an error: the agent is shutting down
    """The fetch was asked to stop; what has come stays for the next time."""


def fetch(wanted: Wanted, part: Path, *, stopped: Callable[[], bool] = lambda: False) -> None:
    """Complete `part` to the wanted artefact; what an earlier attempt brought is not sent again.

    Each address is tried a few times; an attempt that made progress is followed by another. On
    return the file has the wanted length and digest.

    Args:
        wanted: what to bring.
        part: file to append to; its folder must exist.
        stopped: asked between chunks.

    Raises:
        TransportError: no address gave it; part of it may be kept for the next attempt.
        DeviceError: the disk refused; a full disk's part is removed.
        Stopped: as asked.
    """
    failures: list[str] = []
    for url in wanted.urls:
        try:
            _fetch_from(url, wanted, part, stopped)
        except TransportError as error:
            failures.append(error.message)
            logger.warning("fetch failed: %s", error)
            continue
        return
    raise TransportError(
        "; ".join(failures) or "the order names no address",
        hint="check that the artefact server runs and that the device can reach it",
    )


def _fetch_from(url: str, wanted: Wanted, part: Path, stopped: Callable[[], bool]) -> None:
    """One address: go on while attempts come further than all before, give up after some others."""
    furthest_bytes, fruitless = _size(part), 0
    while True:
        offset = _size(part)
        try:
            _stream(url, wanted, part, stopped)
        except TransportError:
            fruitless = 0 if _size(part) > furthest_bytes else fruitless + 1
            furthest_bytes = max(furthest_bytes, _size(part))
            if fruitless >= _TRIES_PER_URL:
                raise
            continue
        if _digest(part) == wanted.sha256:
            return
        # Not the artefact's fault, for this is another file: it is fetched anew, not quarantined.
        # Once more only if its beginning came from an earlier attempt.
        part.unlink()
        if not offset:
            raise TransportError(f"{url} gave a file of another digest")


def _stream(url: str, wanted: Wanted, part: Path, stopped: Callable[[], bool]) -> None:
    offset = _size(part)
    if offset == wanted.length_bytes:
        return
    if offset > wanted.length_bytes:
        part.unlink()
        offset = 0
    try:
        with urlopen(_request(url, offset), timeout=TIMEOUT_S) as response:  # noqa: S310 - checked
            resumed = response.status == _PARTIAL_CONTENT and offset > 0
            _append(response, part, wanted, offset if resumed else 0, stopped)
    except HTTPError as error:
        with error:
            if error.code == _RANGE_NOT_SATISFIABLE:
                part.unlink(missing_ok=True)
            raise TransportError(f"{url} answered {error.code} {error.reason}") from error
    # A connection can break while it is read as well as while it is opened; what the disk does
    # comes as DeviceError.
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error or type(error).__name__
        raise TransportError(f"{url}: {reason}") from error
    if _size(part) < wanted.length_bytes:
        raise TransportError(f"{url} ended after {_size(part)} of {wanted.length_bytes} bytes")


def _request(url: str, offset: int) -> Request:
    # Only these: urllib would also read file:// and send a local file through as an artefact.
    if urlsplit(url).scheme not in ("http", "https"):
        raise TransportError(f"{url} is not an http or https address")
    headers = {"User-Agent": f"green-edge-agent/{__version__}", "Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    return Request(url, headers=headers)  # noqa: S310 - the scheme is checked above


def _append(
    response: http.client.HTTPResponse,
    part: Path,
    wanted: Wanted,
    offset: int,
    stopped: Callable[[], bool],
) -> None:
    written = offset
    try:
        with _open(part, offset) as stream:
            # `read1` returns what has come; `read` would throw away the last chunk before a break.
            while chunk := response.read1(_CHUNK_BYTES):
                if stopped():
                    raise Stopped
                if written + len(chunk) > wanted.length_bytes:
                    # Another file: what came of it is not a beginning of the ordered one.
                    stream.truncate(offset)
                    raise TransportError(f"{response.url} sends more than the order says")
                _write(stream.fileno(), chunk)
                written += len(chunk)
    except DeviceError:
        part.unlink(missing_ok=True)
        raise


def _open(part: Path, offset: int) -> BinaryIO:
    try:
        stream = part.open("r+b" if offset else "wb")
    except OSError as error:
        raise DeviceError(f"cannot stage the bundle: {error.strerror}") from error
    stream.seek(offset)
    return stream


def _write(descriptor: int, chunk: bytes) -> None:
    """Write all of a chunk, apart from the network's errors, which are OSError too."""
    view = memoryview(chunk)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except OSError as error:
        raise DeviceError(
            f"cannot stage the bundle: {error.strerror}", hint="free some space on the device"
        ) from error


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
