"""An ASGI application on a free loopback port, in a thread of the test's own process."""

import asyncio
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message

import uvicorn
from starlette.types import ASGIApp


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server answered."""

    status: int
    headers: Message
    body: bytes


@contextmanager
def running_server(app: ASGIApp, port: int = 0) -> Iterator[str]:
    """Serve `app`; gives its URL without a slash at the end."""
    config = uvicorn.Config(
        app, "127.0.0.1", port, log_level="warning", lifespan="off", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), name="web-server")
    thread.start()
    try:
        give_up_s = time.monotonic() + 15
        while not server.started:
            assert time.monotonic() < give_up_s, "the server did not start"
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def get(url: str, *, accept: str = "*/*") -> Reply:
    """GET a whole answer; a refusal is an answer like any other."""
    request = urllib.request.Request(url, headers={"Accept": accept})
    try:
        with urllib.request.urlopen(request, timeout=15) as reply:
            return Reply(reply.status, reply.headers, reply.read())
    except urllib.error.HTTPError as error:
        with error:
            return Reply(error.code, error.headers, error.read())


def events_of(url: str, count: int) -> list[str]:
    """The first data lines of a stream of server-sent events."""
    with urllib.request.urlopen(url, timeout=15) as reply:
        found: list[str] = []
        while len(found) < count:
            line = reply.readline().decode()
            assert line, "the stream ended"
            if line.startswith("data: "):
                found.append(line.removeprefix("data: ").rstrip("\n"))
        return found
