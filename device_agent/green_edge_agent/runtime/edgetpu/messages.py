"""The conversation with the child process that holds the Edge TPU.

One request, one answer, over a socket pair: a byte that says what it is, the length, the content.
Arrays travel as their bytes one after the other, because both sides know their dtypes and shapes.
"""

import math
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from green_edge_agent.runtime.contract import Array
from green_edge_wire.clock import Clock
from green_edge_wire.errors import DecodeError
from green_edge_wire.manifest import TensorSpec
from green_edge_wire.units import MIB_BYTES, s_from_ns

_HEAD = struct.Struct("<BI")
LATENCY = struct.Struct("<Q")
# No description of a model and no reason of a failure is longer.
MAX_BYTES = MIB_BYTES


class Kind(IntEnum):
    """What a message is. To the child: LOAD, RUN. From it: the others."""

    LOAD = 1  # `Order` as JSON, a NUL, then the model
    RUN = 2  # the inputs
    READY = 3  # the runtime is imported; empty
    LOADED = 4  # `Loaded` as JSON
    ANSWER = 5  # latency in nanoseconds, then the outputs
    FAILED = 6  # why not, as text


@dataclass(frozen=True, slots=True)
class Order:
    """What the child is to load.

    Attributes:
        delegate: file or soname of the library.
        bus: which accelerator, as libedgetpu's option `device` names it.
        threads: for the ops that stay on the CPU.
        load_s: time that loading may take; invoke_s: that an inference may. The child ends itself
            long after, in case that there is nobody left to do so.
        invoke_s: see above.
    """

    delegate: str
    bus: str
    threads: int
    load_s: float
    invoke_s: float


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the child has loaded.

    Attributes:
        runtime: name and version of the inference runtime.
        library: what `edgetpu_version` says; empty when the library has no such function.
        inputs: of the model; empty when there was none to load.
        outputs: likewise.
    """

    runtime: str
    library: str
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()


class Silence(Exception):  # noqa: N818 - it is no error until somebody says so
    """The deadline has passed without an answer."""


class Gone(Exception):  # noqa: N818 - as Silence
    """The other side has closed the conversation, or ended."""


def send(channel: socket.socket, kind: Kind, *parts: bytes | memoryview) -> None:
    """Send one message.

    Raises:
        Gone: nobody takes it.
        Silence: the channel's own time-out has passed.
    """
    head = _HEAD.pack(kind, sum(len(part) for part in parts))
    try:
        channel.sendall(b"".join((head, *parts)))
    except TimeoutError:
        raise Silence from None
    except OSError:
        raise Gone from None


def receive(
    channel: socket.socket,
    *,
    max_bytes: int | None = MAX_BYTES,
    clock: Clock | None = None,
    deadline_ns: int | None = None,
) -> tuple[Kind, memoryview]:
    """Take one message; waits for ever without a deadline on the clock's monotonic side.

    Args:
        channel: to take it from.
        max_bytes: of the content; None where the other side is trusted.
        clock: for the deadline.
        deadline_ns: see above.

    Raises:
        Gone: there is none any more.
        Silence: the deadline has passed.
        DecodeError: the other side says what is none.
    """
    kind, length = _HEAD.unpack(_exactly(channel, _HEAD.size, clock, deadline_ns))
    try:
        known = Kind(kind)
    except ValueError:
        raise DecodeError(f"accelerator process: message of kind {kind}") from None
    if max_bytes is not None and length > max_bytes:
        raise DecodeError(f"accelerator process: message of {length} bytes, {max_bytes} allowed")
    return known, _exactly(channel, length, clock, deadline_ns)


def bytes_of(arrays: Sequence[Array]) -> list[memoryview]:
    """The arrays as they travel."""
    return [memoryview(array.tobytes()) for array in arrays]


def arrays_from(specs: Sequence[TensorSpec], content: memoryview) -> tuple[Array, ...]:
    """Copies of the arrays in a message.

    Raises:
        DecodeError: it is longer or shorter than they are.
    """
    arrays = []
    position = 0
    for spec in specs:
        dtype = np.dtype(spec.dtype)
        end = position + _size_bytes(spec)
        if end > len(content):
            break
        arrays.append(np.frombuffer(content[position:end], dtype).reshape(spec.shape).copy())
        position = end
    if len(arrays) != len(specs) or position != len(content):
        raise DecodeError("accelerator process: arrays of another length")
    return tuple(arrays)


def answer_from(specs: Sequence[TensorSpec], content: memoryview) -> tuple[tuple[Array, ...], int]:
    """Outputs and latency in nanoseconds of an ANSWER.

    Raises:
        DecodeError: it is longer or shorter than they are.
    """
    if len(content) < LATENCY.size:
        raise DecodeError("accelerator process: an answer without a latency")
    (latency_ns,) = LATENCY.unpack(content[: LATENCY.size])
    return arrays_from(specs, content[LATENCY.size :]), latency_ns


def answer_bytes(specs: Sequence[TensorSpec]) -> int:
    """Length of an ANSWER."""
    return LATENCY.size + sum(_size_bytes(spec) for spec in specs)


def _size_bytes(spec: TensorSpec) -> int:
    return math.prod(spec.shape) * np.dtype(spec.dtype).itemsize


def _exactly(
    channel: socket.socket, length: int, clock: Clock | None, deadline_ns: int | None
) -> memoryview:
    content = memoryview(bytearray(length))
    taken = 0
    while taken < length:
        if clock is not None and deadline_ns is not None:
            left_ns = deadline_ns - clock.monotonic_ns()
            if left_ns <= 0:
                raise Silence
            channel.settimeout(s_from_ns(left_ns))
        try:
            count = channel.recv_into(content[taken:])
        except TimeoutError:
            raise Silence from None
        except OSError:
            raise Gone from None
        if not count:
            raise Gone
        taken += count
    return content
