"""An artefact server for tests: HTTP with Range on loopback, and faults on demand."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class ArtefactServer:
    """Serves byte strings by path.

    Attributes:
        files: content by path such as `/artefacts/abc`.
        break_after_bytes: end each answer so early; None for whole answers.
        ignore_range: answer 200 with everything, as simple servers do.
        ranges: the `Range` headers that came, in order; empty for requests without.
        status: answer all requests with this code instead; None to serve.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.break_after_bytes: int | None = None
        self.ignore_range = False
        self.ranges: list[str] = []
        self.status: int | None = None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def add(self, name: str, content: bytes) -> str:
        """Serve a file; returns its URL."""
        self.files[f"/{name}"] = content
        return f"{self.url}/{name}"

    @contextmanager
    def running(self) -> Iterator["ArtefactServer"]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()


def _handler(files: ArtefactServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            files.ranges.append(wanted)
            content = files.files.get(self.path)
            if content is None or files.status is not None:
                self._head(files.status or 404, 0)
                return
            match = None if files.ignore_range else re.fullmatch(r"bytes=(\d+)-", wanted)
            start = int(match[1]) if match else 0
            if start and start >= len(content):
                self._head(416, 0)
                return
            body = content[start:]
            self._head(206 if match else 200, len(body))
            self.wfile.write(body[: files.break_after_bytes])
            if files.break_after_bytes is not None:
                self.close_connection = True

        def _head(self, status: int, length: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as above
            del format, args

    return Handler
