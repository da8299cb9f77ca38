"""A web server in a thread of this process, and the lock on its door."""

import asyncio
import base64
import binascii
import contextlib
import hmac
import logging
import socket
import threading
from types import TracebackType
from typing import Self

import uvicorn
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from green_edge.fleet.access import OPERATOR
from green_edge_wire.errors import TransportError

_LOG = logging.getLogger(__name__)
_START_WITHIN_S = 10.0
_REQUESTS_END_WITHIN_S = 1.0
_SERVER_ENDS_WITHIN_S = 5


class HttpServer:
    """Serves an application on a socket that is already bound.

    Args:
        app: ASGI application.
        listener: taken over and closed at the end.
    """

    def __init__(self, app: ASGIApp, listener: socket.socket) -> None:
        self._streams = _EndingStreams(app)
        config = uvicorn.Config(
            self._streams,
            log_config=None,
            access_log=False,
            lifespan="on",
            timeout_graceful_shutdown=_SERVER_ENDS_WITHIN_S,
        )
        self._server = uvicorn.Server(config)
        self._listener = listener
        self._thread = threading.Thread(target=self._run, name="http")
        self._settled = threading.Event()

    def start(self) -> None:
        """Serve in the background; returns when requests are answered.

        Raises:
            TransportError: the application did not start; its log says why.
        """
        self._thread.start()
        waited_s = 0.0
        while not self._server.started and not self._settled.wait(0.01):
            waited_s += 0.01
            if waited_s > _START_WITHIN_S:
                break
        if not self._server.started:
            self.stop()
            raise TransportError("the web server did not start", hint="see its log with -v")

    def stop(self) -> None:
        """End the server; requests that go on are ended after a second."""
        self._streams.end()
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join()
        self._listener.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._listener])
        finally:
            self._settled.set()


class _EndingStreams:
    """Ends what still answers when the server stops.

    Browsers hold their event streams open for ever. uvicorn would wait for them, and at its own
    limit log an error with a traceback for each.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._closing = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def end(self) -> None:
        """Begin to end; callable from any thread, also when nothing ever ran."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._closing.set)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._loop = asyncio.get_running_loop()
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        completed = False

        async def send_and_note(message: Message) -> None:
            nonlocal completed
            completed = message["type"] == "http.response.body" and not message.get("more_body")
            await send(message)

        answer = asyncio.ensure_future(_finished(self._app, scope, receive, send_and_note))
        closing = asyncio.ensure_future(self._closing.wait())
        try:
            await asyncio.wait({answer, closing}, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                await asyncio.wait({answer}, timeout=_REQUESTS_END_WITHIN_S)
            if answer.done():
                answer.result()
                return
        finally:
            closing.cancel()
            answer.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await answer
        # Without its end the response would count as broken off.
        if not completed:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _finished(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await app(scope, receive, send)


class RequireToken:
    """Lets nobody see the pages without the operator's token, asked for by the browser's own form.

    The artefact server below `/artefacts/` is left out: it has its own rule.

    Args:
        app: what is behind the door.
        token: password that goes with the user name `_operator`.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or ask for the token."""
        if scope["type"] != "http" or scope["path"].startswith("/artefacts/"):
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
        if may_enter(given, self._token):
            await self._app(scope, receive, send)
            return
        refusal = PlainTextResponse(
            f"log in as {OPERATOR} with the token that 'green-edge up' printed\n",
            status_code=401,
            headers={"www-authenticate": 'Basic realm="green-edge", charset="UTF-8"'},
        )
        await refusal(scope, receive, send)


def may_enter(authorization: str, token: str) -> bool:
    """Whether an `Authorization` header holds the operator's token, as Basic or as Bearer."""
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return _equal(rest, token)
    if scheme.lower() != "basic":
        return False
    try:
        user, _, password = base64.b64decode(rest, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return False
    return user == OPERATOR and _equal(password, token)


def _equal(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())
