"""The process that holds the Edge TPU: started by `process`, one model, one conversation.

libedgetpu can end or halt the process that loads it, when it does not fit the runtime, when the
device is unplugged or when its firmware hangs. So the agent never loads it; this process does.
"""

import ctypes
import fcntl
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from green_edge_agent.runtime import interpreter
from green_edge_agent.runtime.edgetpu import messages
from green_edge_agent.runtime.edgetpu.coupling import too_old
from green_edge_agent.runtime.edgetpu.messages import Gone, Kind, Loaded, Order
from green_edge_agent.runtime.edgetpu.package import needed_runtime
from green_edge_wire import codec
from green_edge_wire.clock import SystemClock
from green_edge_wire.errors import DeviceError, GreenEdgeError

# The parent's deadline comes first. A library that hangs holds Python's lock, so nothing in Python
# could end us then: the kernel does, when the parent closes its end, else after this many times as
# long.
_PATIENCE = 3
_END_S = 5.0


def main(descriptor: int) -> None:
    """Serve the conversation on an inherited socket until the other side closes it."""
    # The agent's end is ours, and it says so by closing the socket: a signal to the whole group
    # must not turn its last inference into an error.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    for number in (signal.SIGALRM, signal.SIGIO):
        signal.signal(number, signal.SIG_DFL)
    with socket.socket(fileno=descriptor) as channel:
        try:
            _serve(channel)
        except GreenEdgeError as error:
            with suppress(Gone):
                messages.send(channel, Kind.FAILED, str(error).encode())
        except Gone:
            return
        finally:
            # The library gives its device back at the end, and may hang in that, too.
            _limit(_END_S)


def _serve(channel: socket.socket) -> None:
    interpreter.runtime_name()
    messages.send(channel, Kind.READY)
    _, content = messages.receive(channel, max_bytes=None)
    head, _, model = bytes(content).partition(b"\0")
    order = codec.loads(Order, head, strict=True)
    with _watched(channel, order.load_s):
        net, loaded = _load(order, model)
    messages.send(channel, Kind.LOADED, codec.dumps(loaded).encode())
    while net is not None:
        _, content = messages.receive(channel, max_bytes=None)
        _run(channel, net, content, order.invoke_s)


def _load(order: Order, model: bytes) -> tuple[interpreter.Interpreter | None, Loaded]:
    delegate = interpreter.load_delegate(order.delegate, {"device": order.bus})
    loaded = Loaded(interpreter.runtime_name(), _library_version(order.delegate))
    if not model:
        return None, loaded
    reason = too_old(needed_runtime(model), said=loaded.library)
    if reason is not None:
        raise DeviceError(f"the model cannot be loaded: {reason}")
    net = interpreter.load(model, threads=order.threads, delegates=[delegate])
    return net, Loaded(loaded.runtime, loaded.library, net.inputs, net.outputs)


def _run(
    channel: socket.socket, net: interpreter.Interpreter, content: memoryview, limit_s: float
) -> None:
    inputs = messages.arrays_from(net.inputs, content)
    with _watched(channel, limit_s):
        timed = net.timed(inputs, SystemClock())
    latency = messages.LATENCY.pack(timed.latency_ns)
    messages.send(channel, Kind.ANSWER, latency, *messages.bytes_of(timed.outputs))


@contextmanager
def _watched(channel: socket.socket, limit_s: float) -> Iterator[None]:
    """Have the kernel end this process when the other side closes, or after a long while.

    Nothing is sent or received meanwhile, so a signal from the socket can only mean its end.
    """
    flags = fcntl.fcntl(channel, fcntl.F_GETFL)
    fcntl.fcntl(channel, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(channel, fcntl.F_SETFL, flags | os.O_ASYNC)
    _limit(limit_s)
    try:
        # What closed before gives no signal any more.
        with suppress(BlockingIOError):
            if not channel.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                raise Gone
        yield
    finally:
        _limit(0)
        fcntl.fcntl(channel, fcntl.F_SETFL, flags)


def _limit(seconds: float) -> None:
    """Have the kernel end this process after a while; 0 takes that back."""
    signal.setitimer(signal.ITIMER_REAL, _PATIENCE * seconds)


def _library_version(delegate: str) -> str:
    """What the library's `edgetpu_version` says; empty when it has no such function."""
    try:
        ask = ctypes.CDLL(delegate).edgetpu_version
    except (OSError, AttributeError):
        return ""
    ask.restype = ctypes.c_char_p
    return (ask() or b"").decode(errors="replace")


if __name__ == "__main__":
    main(int(sys.argv[1]))
