"""The converter child: `python -m green_edge.convert.child`, driven by `worker`.

Reads an `Order` a line from standard input and answers a `Reply` a line on the standard output it
was started with. Everything else that a library prints goes to standard error. An exception that
is not foreseen ends the process with its traceback: the parent reads it from there.
"""

import ctypes
import os
import signal
import sys
from typing import BinaryIO

from green_edge.convert.protocol import Order, QuantizeFloat, Reply, Request, ToFloat, ToInt8
from green_edge.convert.worker import part_of
from green_edge_wire import codec
from green_edge_wire.errors import ModelError

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    """Answer orders until standard input ends."""
    end_with_parent()
    with os.fdopen(_claim_stdout(), "wb", buffering=0) as answers:
        serve(sys.stdin.buffer, answers)


def end_with_parent() -> None:
    """Ask the kernel to kill this process when its parent dies, in the midst of a conversion too.

    A parent that has died already closed standard input, so no race is left.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def serve(orders: BinaryIO, answers: BinaryIO) -> None:
    """Answer each line of `orders` with a line of `answers`."""
    for line in orders:
        request = codec.loads(Order, line, strict=True).request
        answers.write(codec.dumps(_answer(request)).encode() + b"\n")


def _claim_stdout() -> int:
    """Keep standard output for answers; give the libraries standard error instead.

    Keras prints to descriptor 1 from Python, the converter from C++.
    """
    answers = os.dup(1)
    os.dup2(2, 1)
    return answers


def _answer(request: Request) -> Reply:
    try:
        content = _fulfil(request)
    except ModelError as error:
        return Reply(error.message, error.hint)
    part = part_of(request.out)
    part.write_bytes(content)
    part.replace(request.out)
    return Reply()


def _fulfil(request: Request) -> bytes:
    match request:
        case ToFloat(model, model_format):
            from green_edge.convert import tensorflow_lite  # noqa: PLC0415 - seconds of import

            return tensorflow_lite.to_float(model, model_format)
        case ToInt8(model, model_format, calibration, inputs):
            from green_edge.convert import tensorflow_lite  # noqa: PLC0415 - as above

            return tensorflow_lite.to_int8(model, model_format, calibration, inputs)
        case QuantizeFloat(model, calibration, inputs):
            from green_edge.convert import litert_int8  # noqa: PLC0415 - not with TensorFlow

            return litert_int8.quantize(model, calibration, inputs)


if __name__ == "__main__":
    main()
