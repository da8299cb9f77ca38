"""The dashboard as an ASGI application: two pages, their streams, the same data as JSON.

The pages hold no credential of the broker and load nothing from elsewhere. Whatever a device says
of itself reaches a page as JSON and is shown as text only.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from importlib import resources

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from green_edge.dashboard.feed import Feed
from green_edge.dashboard.frames import TRACE_SPAN_MS
from green_edge.telemetry.store import Store
from green_edge_wire import codec
from green_edge_wire.clock import Clock

_PLOT_POINTS = 300
_RETRY_MS = 2_000
_FILES = resources.files("green_edge.dashboard")

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "object-src 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def create_app(
    store: Store, *, clock: Clock, extra_routes: Sequence[BaseRoute] = (), period_s: float = 1.0
) -> Starlette:
    """Build the application.

    The store is read from worker threads, one call at a time. Streams end only with their reader,
    so the server needs a limit on its graceful shutdown (`timeout_graceful_shutdown` of uvicorn).

    Args:
        store: where the figures come from; the caller closes it.
        clock: of the host; ages on the pages count from it.
        extra_routes: of other parts that share the port, such as the artefact server.
        period_s: time between two frames of a stream.
    """
    pages = _Pages(Feed(store, clock, period_s), clock)
    routes = [
        Route("/", pages.fleet, name="fleet"),
        Route("/device/{device_id}", pages.device, name="device"),
        Route("/stream", pages.fleet_stream),
        Route("/stream/{device_id}", pages.device_stream),
        Route("/api/fleet", pages.fleet_json),
        Route("/api/device/{device_id}", pages.device_json),
        Mount("/static", StaticFiles(packages=[("green_edge.dashboard", "static")])),
        *extra_routes,
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(_SecurityHeaders)],
        exception_handlers={HTTPException: _refusal},
    )


class _Pages:
    """The endpoints; they hold the feed and no state of their own."""

    def __init__(self, feed: Feed, clock: Clock) -> None:
        self._feed = feed
        self._clock = clock

    async def fleet(self, request: Request) -> Response:
        del request
        return _page("fleet.html")

    async def device(self, request: Request) -> Response:
        await self._known(request)
        return _page("device.html")

    async def fleet_stream(self, request: Request) -> Response:
        del request
        return _stream(self._feed.fleet())

    async def device_stream(self, request: Request) -> Response:
        return _stream(self._feed.device(await self._known(request)))

    async def fleet_json(self, request: Request) -> Response:
        del request
        return _json((await self._feed.latest()).whole)

    async def device_json(self, request: Request) -> Response:
        device_id: str = request.path_params["device_id"]
        since = _since(request, default=self._clock.unix_ms() - TRACE_SPAN_MS)
        text = await self._feed.document(device_id, since, _PLOT_POINTS)
        if text is None:
            raise HTTPException(404, "there is no device of this name")
        return _json(text)

    async def _known(self, request: Request) -> str:
        device_id: str = request.path_params["device_id"]
        if device_id not in (await self._feed.latest()).devices:
            raise HTTPException(404, "there is no device of this name")
        return device_id


def _since(request: Request, *, default: int) -> int:
    text = request.query_params.get("since")
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise HTTPException(400, "since: expected milliseconds since 1970, a whole number")
    return int(text)


def _page(name: str, status: int = 200) -> Response:
    body = (_FILES / "pages" / name).read_bytes()
    headers = {"Cache-Control": "no-cache"}
    return Response(body, status, headers, media_type="text/html; charset=utf-8")


def _json(text: str, status: int = 200) -> Response:
    return Response(text, status, {"Cache-Control": "no-store"}, media_type="application/json")


def _stream(texts: AsyncGenerator[str, None]) -> Response:
    # X-Accel-Buffering: a reverse proxy must not hold frames back.
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_events(texts), headers=headers, media_type="text/event-stream")


async def _events(texts: AsyncGenerator[str, None]) -> AsyncIterator[str]:
    yield f"retry: {_RETRY_MS}\n\n"
    async with aclosing(texts):
        try:
            # JSON of ours holds no line break, so one data line carries a frame.
            async for text in texts:
                yield f"data: {text}\n\n"
        except asyncio.CancelledError:
            # The server goes down: the answer ends properly, and the page asks again by itself.
            return


async def _refusal(request: Request, error: Exception) -> Response:
    """A page for a person at a browser, JSON for a program."""
    if not isinstance(error, HTTPException):
        raise error
    wants_page = "text/html" in request.headers.get("accept", "")
    if error.status_code == 404 and wants_page:
        return _page("missing.html", 404)
    return _json(codec.dumps({"error": error.detail}), error.status_code)


class _SecurityHeaders:
    """Adds the security headers to every response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)
