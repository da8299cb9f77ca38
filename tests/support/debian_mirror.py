"""A tiny archive of Debian packages on a loopback port, signed by a key of its own."""

import hashlib
import io
import lzma
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from pysequoia import SignatureMode, Tsk, sign

Content = bytes | tarfile.TarInfo


def link(target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    """A link for `deb`; its name is set there."""
    info = tarfile.TarInfo()
    info.type, info.linkname = kind, target
    return info


def deb(files: Mapping[str, Content]) -> bytes:
    """A package that holds files, by path, and links."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo() if isinstance(content, bytes) else content
            info.name = name
            body = content if isinstance(content, bytes) else b""
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    members = {"debian-binary": b"2.0\n", "control.tar.xz": b"odd", "data.tar.xz": data.getvalue()}
    return b"!<arch>\n" + b"".join(_member(*each) for each in members.items())


def _member(name: str, content: bytes) -> bytes:
    head = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n"
    return head.encode() + content + b"\n" * (len(content) % 2)


def _opened() -> threading.Event:
    event = threading.Event()
    event.set()
    return event


@dataclass
class Mirror:
    """What it serves, and how badly.

    Attributes:
        url: of the archive's root.
        keys: certificate of who signs it, armoured.
        files: content by path.
        cut_after: bytes that an answer has at the most before the connection ends; None for all.
        ranges: whether it continues files.
        asked: path and range of each request.
        open: answers wait for it.
    """

    url: str
    keys: bytes
    files: dict[str, bytes]
    cut_after: int | None = None
    ranges: bool = True
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    open: threading.Event = field(default_factory=_opened)


def archive(
    packages: Mapping[str, bytes], *, suite: str = "bookworm", listing: bytes | None = None
) -> tuple[dict[str, bytes], bytes]:
    """The files of an archive for amd64, and the certificate of who signed it.

    Args:
        packages: content by name.
        suite: that it is signed for.
        listing: what stands in for the list of packages, packed.
    """
    files = {f"pool/{name}.deb": content for name, content in packages.items()}
    stanzas = [
        f"Package: {name}\nVersion: 1.0\nDescription: none\n of note\nFilename: pool/{name}.deb\n"
        f"Size: {len(content)}\nSHA256: {hashlib.sha256(content).hexdigest()}\n"
        for name, content in packages.items()
    ]
    listing = listing or lzma.compress("\n".join(stanzas).encode())
    digest = hashlib.sha256(listing).hexdigest()
    folder = f"dists/{suite}/main/binary-amd64"
    files[f"{folder}/by-hash/SHA256/{digest}"] = listing
    release = (
        f"Origin: Debian\nCodename: {suite}\nMD5Sum:\n {'0' * 32} 1 main/binary-amd64/Packages.xz\n"
        f"SHA256:\n {digest} {len(listing)} main/binary-amd64/Packages.xz\n"
    )
    key = Tsk.generate("archive <archive@example.org>")
    signed = sign(key.signer(), release.encode(), mode=SignatureMode.CLEAR)
    files["dists/bookworm/InRelease"] = signed
    return files, str(key.extract_certificate()).encode()


@contextmanager
def serving(files: dict[str, bytes], keys: bytes) -> Iterator[Mirror]:
    """Serve an archive on a free port."""
    mirror = Mirror("", keys, files)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _answer(self, mirror)

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        mirror.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield mirror
        finally:
            server.shutdown()
            thread.join()


def _answer(request: BaseHTTPRequestHandler, mirror: Mirror) -> None:
    path, asked = request.path.lstrip("/"), request.headers.get("Range")
    mirror.asked.append((path, asked))
    mirror.open.wait()
    if path not in mirror.files:
        request.send_error(404)
        return
    content = mirror.files[path]
    start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and mirror.ranges else 0
    if start >= len(content):
        request.send_error(416)
        return
    request.send_response(206 if start else 200)
    request.send_header("Content-Length", str(len(content) - start))
    request.end_headers()
    end = None if mirror.cut_after is None else start + mirror.cut_after
    # Who has read enough may hang up.
    with suppress(ConnectionError):
        request.wfile.write(content[start:end])
