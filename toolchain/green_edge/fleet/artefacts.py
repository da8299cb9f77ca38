"""The artefact server: bundles by their SHA-256.

`PUT /artefacts/<sha256>` with the operator's token keeps a file whose bytes have that digest;
`GET` and `HEAD` give it out, in parts where asked (Range). Reading needs no token: the digest is
only told to the device that should fetch, and every device checks signature and digest itself.
"""

import asyncio
import hashlib
import hmac
import os
import re
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import BinaryIO

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from green_edge.fleet.private_files import private_folder
from green_edge_wire.units import MIB_BYTES

_SHA256 = re.compile(r"[0-9a-f]{64}")
MAX_BYTES = 1024 * MIB_BYTES
# Bytes under a digest never change, so a cache may keep them.
_HEADERS = {"cache-control": "public, max-age=31536000, immutable"}


def routes(folder: Path, token: str, *, max_bytes: int = MAX_BYTES) -> list[Route]:
    """Routes that serve the bundles of a folder.

    Args:
        folder: where they are kept; made when missing.
        token: who may upload.
        max_bytes: greatest upload.
    """
    private_folder(folder)
    return [
        Route("/artefacts/{sha256}", _reader(folder), methods=["GET"]),
        Route("/artefacts/{sha256}", _writer(folder, token, max_bytes), methods=["PUT"]),
    ]


Endpoint = Callable[[Request], Awaitable[Response]]


def _reader(folder: Path) -> Endpoint:
    async def read(request: Request) -> Response:
        path = folder / _digest(request)
        if not await asyncio.to_thread(path.is_file):
            raise HTTPException(404, "no such artefact")
        return FileResponse(path, media_type="application/octet-stream", headers=_HEADERS)

    return read


def _writer(folder: Path, token: str, max_bytes: int) -> Endpoint:
    async def write(request: Request) -> Response:
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            raise HTTPException(401, "the token is missing or wrong")
        digest = _digest(request)
        try:
            handle, name = await asyncio.to_thread(tempfile.mkstemp, prefix=".upload-", dir=folder)
            try:
                with os.fdopen(handle, "wb") as file:
                    await _receive(request, file, digest, max_bytes)
                await asyncio.to_thread(os.replace, name, folder / digest)
            except BaseException:
                await asyncio.to_thread(os.unlink, name)
                raise
        except OSError as error:
            raise HTTPException(507, f"cannot keep it: {error.strerror}") from error
        except ClientDisconnect:
            raise HTTPException(400, "the upload broke off") from None
        return Response(status_code=201)

    return write


async def _receive(request: Request, file: BinaryIO, sha256: str, max_bytes: int) -> None:
    """Write the request's body to `file`; refuse one with another digest or too long."""
    digest = hashlib.sha256()
    length = 0
    async for chunk in request.stream():
        length += len(chunk)
        if length > max_bytes:
            raise HTTPException(413, f"greater than {max_bytes} bytes")
        digest.update(chunk)
        await asyncio.to_thread(file.write, chunk)
    if digest.hexdigest() != sha256:
        raise HTTPException(422, f"the bytes have the SHA-256 {digest.hexdigest()}")
    await asyncio.to_thread(_sync, file)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _digest(request: Request) -> str:
    digest: str = request.path_params["sha256"]
    if _SHA256.fullmatch(digest) is None:
        raise HTTPException(404, "not a SHA-256 in lower-case hex")
    return digest
