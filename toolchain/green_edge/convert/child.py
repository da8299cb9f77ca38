"""The converter child: `python -m green_edge.convert.child [MODULE...]`, driven by `worker`.

The modules register the user's own Keras objects. The child reads an `Order` a line from standard
input and answers a `Reply` a line on the standard output it was started with. Everything else that
a library prints goes to standard error. An exception that is not foreseen ends the process with its
traceback: the parent reads it from there.
"""

import ctypes
import os
import signal
import sys
from dataclasses import dataclass
from typing import BinaryIO

from green_edge.convert import custom
from green_edge.convert.protocol import (
    CorrectBias,
    Equalise,
    FineTune,
    Order,
    QuantizeFloat,
    Reply,
    Request,
    RoundAdaptively,
    ToFloat,
    ToInt8,
)
from green_edge.convert.worker import part_of
from green_edge.core.report import Skip
from green_edge_wire import codec
from green_edge_wire.errors import ModelError

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    """Answer orders until standard input ends."""
    end_with_parent()
    with os.fdopen(claim_stdout(), "wb", buffering=0) as answers:
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


def claim_stdout() -> int:
    """Keep standard output for answers; give the libraries standard error instead.

    Keras prints to descriptor 1 from Python, the converter from C++.
    """
    answers = os.dup(1)
    os.dup2(2, 1)
    return answers


def _answer(request: Request) -> Reply:
    try:
        made = _fulfil(request)
        if not isinstance(request, ToFloat):
            _run_once(made.content)
    except ModelError as error:
        return Reply(error.message, error.hint)
    part = part_of(request.out)
    part.write_bytes(made.content)
    part.replace(request.out)
    return Reply(done=made.done, skipped=made.skipped)


def _run_once(tflite: bytes) -> None:
    """Load and run a file here, where a crash is one clear error, before anybody else does.

    Raises:
        ModelError: the runtime refuses it.
    """
    import numpy as np  # noqa: PLC0415 - the parent imports this module's neighbours without
    from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415 - after the request's own

    try:
        interpreter = Interpreter(model_content=tflite)
        interpreter.allocate_tensors()
        for detail in interpreter.get_input_details():
            # What memory holds is no token: a lookup may refuse it.
            interpreter.set_tensor(detail["index"], np.zeros(detail["shape"], detail["dtype"]))
        interpreter.invoke()
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"the runtime refuses what was made: {error}") from error


@dataclass(frozen=True, slots=True)
class _Made:
    content: bytes
    done: tuple[str, ...] = ()
    skipped: tuple[Skip, ...] = ()


def _fulfil(request: Request) -> _Made:
    match request:
        case ToFloat(model, model_format):
            from green_edge.convert import tensorflow_lite  # noqa: PLC0415 - seconds of import

            custom.register(sys.argv[1:])
            return _Made(tensorflow_lite.to_float(model, model_format))
        case ToInt8(model, model_format, calibration, inputs):
            from green_edge.convert import tensorflow_lite  # noqa: PLC0415 - as above

            custom.register(sys.argv[1:])
            return _Made(tensorflow_lite.to_int8(model, model_format, calibration, inputs))
        case FineTune():
            from green_edge.convert.aware import tuning  # noqa: PLC0415 - as above

            custom.register(sys.argv[1:])
            return _Made(tuning.fine_tune(request))
        case QuantizeFloat():
            from green_edge.convert import litert_int8  # noqa: PLC0415 - not with TensorFlow

            return _Made(litert_int8.quantize(request))
        case _:
            return _repaired(request)


def _repaired(request: CorrectBias | RoundAdaptively | Equalise) -> _Made:
    from green_edge.convert.int8 import equalise, repair  # noqa: PLC0415 - as above

    match request:
        case Equalise(model):
            even = equalise.equalise(model)
            return _Made(even.content, even.done, even.skipped)
        case CorrectBias(model, int8, calibration, inputs):
            repaired = repair.correct_bias(model, int8, calibration, inputs)
        case RoundAdaptively(model, int8, calibration, inputs):
            repaired = repair.round_adaptively(model, int8, calibration, inputs)
    return _Made(repaired.content, repaired.done, repaired.skipped)


if __name__ == "__main__":
    main()
