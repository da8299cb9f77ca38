"""The compress child: `python -m green_edge.compress.child`, driven by `build.compressor`.

Reads an `Order` a line from standard input. Before it answers a `StepReply` it sends a `Sign` now
and then. The rest is as with the converter child.
"""

import os
import sys
from typing import BinaryIO

from green_edge.compress.protocol import Order, StepReply, TakeStep
from green_edge.convert.child import claim_stdout, end_with_parent
from green_edge.convert.protocol import Sign
from green_edge_wire import codec
from green_edge_wire.clock import Clock, SystemClock
from green_edge_wire.errors import GreenEdgeError
from green_edge_wire.units import ns_from_s

_PAUSE_S = 1.0


def main() -> None:
    """Answer orders until standard input ends."""
    end_with_parent()
    with os.fdopen(claim_stdout(), "wb", buffering=0) as answers:
        for line in sys.stdin.buffer:
            request = codec.loads(Order, line, strict=True).request
            _write(answers, _answer(request, Signs(answers, SystemClock())))


class Signs:
    """Sends signs of life, at most one a second.

    Args:
        stream: to the parent.
        clock: of the pauses.
    """

    def __init__(self, stream: BinaryIO, clock: Clock) -> None:
        self._stream = stream
        self._clock = clock
        self._next_ns = clock.monotonic_ns()

    def __call__(self, doing: str, share: float | None = None) -> None:
        """Send one if it is time."""
        now_ns = self._clock.monotonic_ns()
        if now_ns >= self._next_ns:
            _write(self._stream, Sign(doing, share))
            self._next_ns = now_ns + ns_from_s(_PAUSE_S)


def _answer(request: TakeStep, signs: Signs) -> StepReply:
    try:
        from green_edge.compress import taking  # noqa: PLC0415 - seconds of import

        return taking.take(request, signs)
    except GreenEdgeError as error:
        return StepReply(error=error.message, hint=error.hint)


def _write(stream: BinaryIO, record: object) -> None:
    stream.write(codec.dumps(record).encode() + b"\n")


if __name__ == "__main__":
    main()
