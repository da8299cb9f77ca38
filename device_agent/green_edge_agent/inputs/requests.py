"""Requests that somebody waits for: over MQTT, or as JSON lines on standard input."""

import io
import logging
import queue
import threading
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from green_edge_agent.inputs.contract import Array, Request
from green_edge_wire import codec
from green_edge_wire.device import InferRequest, InferResult
from green_edge_wire.errors import DecodeError
from green_edge_wire.manifest import TensorSpec

logger = logging.getLogger(__name__)

Reply = Callable[[InferResult], None]

# Requests wait here at most; a queue longer than that answers too late to be of use.
_MAX_WAITING = 64
_POLL_S = 0.2


class MqttRequests:
    """Requests of the `infer` channel. What cannot be taken is answered with the reason.

    Args:
        reply: publishes an answer; called from any thread.
    """

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._waiting: queue.Queue[Request] = queue.Queue(_MAX_WAITING)

    @property
    def answers(self) -> bool:
        """The sender of a request waits for its answer."""
        return True

    @property
    def ended(self) -> bool:
        """Requests can always come."""
        return False

    def received(self, payload: bytes) -> None:
        """Take a message of the channel; called in the network thread."""
        try:
            asked = codec.unpack_one(InferRequest, payload)
        except DecodeError as error:
            self._reply(InferResult(id="", error=f"not a request: {error.message}"))
            return
        try:
            self._waiting.put_nowait(_request(asked, self._reply))
        except queue.Full:
            self._reply(InferResult(id=asked.id, error="too many requests are waiting"))

    def take(self, timeout_s: float) -> Request | None:
        """Next request, waiting for it at most so long."""
        return _take(self._waiting, timeout_s)

    def close(self) -> None:
        """Nothing is held open."""


class LineRequests:
    """Requests as JSON lines of a stream; ended when the stream is.

    The stream is read in a daemon thread, because nothing can interrupt a blocking read. A full
    queue blocks that thread, and so the writer at the other end of the pipe. JSON is UTF-8 in any
    locale; a line with other bytes is answered as no request, and the next ones are served.

    Args:
        lines: the stream.
        reply: takes the answers.
    """

    def __init__(self, lines: Iterable[str], reply: Reply) -> None:
        self._reply = reply
        self._waiting: queue.Queue[Request] = queue.Queue(_MAX_WAITING)
        self._closed = threading.Event()
        if isinstance(lines, io.TextIOWrapper):
            lines.reconfigure(encoding="utf-8", errors="backslashreplace")
        self._thread = threading.Thread(target=self._read, args=(lines,), name="stdin", daemon=True)
        self._thread.start()

    @property
    def answers(self) -> bool:
        """Whoever writes a line waits for the answer."""
        return True

    @property
    def ended(self) -> bool:
        """Whether the stream ended and all of its requests were taken."""
        return not self._thread.is_alive() and self._waiting.empty()

    def take(self, timeout_s: float) -> Request | None:
        """Next request, waiting for it at most so long."""
        return _take(self._waiting, timeout_s)

    def close(self) -> None:
        """Let the reading thread go at its next line."""
        self._closed.set()

    def _read(self, lines: Iterable[str]) -> None:
        try:
            self._take_all(lines)
        except OSError as error:
            # The input or the answers broke: as good as the end of the stream.
            logger.error("requests are no longer read: %s", error)  # noqa: TRY400

    def _take_all(self, lines: Iterable[str]) -> None:
        for line in lines:
            if self._closed.is_set():
                return
            if not line.strip():
                continue
            try:
                asked = codec.loads(InferRequest, line, strict=False)
            except DecodeError as error:
                self._reply(InferResult(id="", error=f"not a request: {error.message}"))
                continue
            self._put(_request(asked, self._reply))

    def _put(self, request: Request) -> None:
        while not self._closed.is_set():
            try:
                self._waiting.put(request, timeout=_POLL_S)
            except queue.Full:
                continue
            return


def _take(waiting: queue.Queue[Request], timeout_s: float) -> Request | None:
    try:
        return waiting.get(timeout=timeout_s)
    except queue.Empty:
        return None


def _request(asked: InferRequest, reply: Reply) -> Request:
    arrays = tuple(np.asarray(values, dtype=np.float32) for values in asked.inputs)

    def raws(_specs: Sequence[TensorSpec]) -> tuple[Array, ...]:
        return arrays

    return Request(id=asked.id, raws=raws, reply=reply)
