"""Runs models under the counter: a program for the emulated board, not for the workstation.

`guest.py RUNTIME LIST`, the list being a file with the path of a model a line, answers on standard
output a line of JSON as it takes up a model (`{"begun": 0}`) and one as it is done with it
(`{"counted": 0, "repeats": 4}`), as the runtime does not load it (`{"refused": 0, "message": ""}`)
or as it does not run with made-up inputs (`{"failed": 0, "message": ""}`). Model k marks its
regions by the numbers 3k, 3k + 1 and 3k + 2: `repeats` inferences lie between the first two, twice
as many between the last two.
"""

import ctypes
import gc
import importlib
import json
import math
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

_MODULES = {
    "ai-edge-litert": "ai_edge_litert.interpreter",
    "tflite-runtime": "tflite_runtime.interpreter",
}
_MARK_CALL = 9001  # counter.c
_END_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)
_ERRORS = (RuntimeError, ValueError)
_WARM_UPS = 3
_REPEATS = 4
# A model with more values in its weights and activations takes long to emulate, and is so large
# that a single inference tells as much. No clock decides: a busy machine counts the same.
_LARGE = 1_000_000

Make = Callable[[Any], Any]


def main() -> None:
    """Run the models of the list."""
    runtime, names = sys.argv[1:]
    # A runtime that crashes leaves no core file behind.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    library = ctypes.CDLL(None)
    # An estimate that is killed leaves no emulator behind.
    library.prctl(_END_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
    interpreter = importlib.import_module(_MODULES[runtime]).Interpreter
    gc.disable()
    for k, model in enumerate(Path(names).read_text().splitlines()):
        _answer(begun=k)
        _take_up(k, model, interpreter, library.syscall)
        gc.collect()


def _take_up(k: int, model: str, kind: Any, call: Any) -> None:
    try:
        interpreter = kind(model_path=model, num_threads=1)
        interpreter.allocate_tensors()
    except _ERRORS as error:
        _answer(refused=k, message=str(error))
        return
    try:
        _start(interpreter)
        repeats = _count(interpreter, call, 3 * k)
    except _ERRORS as error:
        _answer(failed=k, message=f"does not run with made-up inputs: {error}")
    else:
        _answer(counted=k, repeats=repeats)


def _start(interpreter: Any) -> None:
    """Run a model once with inputs that it takes: the first kind of values that is no error.

    Indices, shapes and the like among the inputs may be within bounds as 0 or 1 alone.
    """
    makers: list[Make] = [_seeded(), _zeros, _ones]
    for k, make in enumerate(makers):
        try:
            for detail in interpreter.get_input_details():
                interpreter.set_tensor(detail["index"], make(detail))
            interpreter.invoke()
        except _ERRORS:
            if k == len(makers) - 1:
                raise
        else:
            return


def _count(interpreter: Any, call: Any, first_mark: int) -> int:
    """Mark the regions of one model that has run once; returns the inferences of the first."""
    values = sum(math.prod(map(int, each["shape"])) for each in interpreter.get_tensor_details())
    repeats = 1 if values > _LARGE else _REPEATS
    for _ in range(_WARM_UPS - 1):
        interpreter.invoke()
    call(_MARK_CALL, first_mark)
    for _ in range(repeats):
        interpreter.invoke()
    call(_MARK_CALL, first_mark + 1)
    for _ in range(2 * repeats):
        interpreter.invoke()
    call(_MARK_CALL, first_mark + 2)
    return repeats


def _seeded() -> Make:
    """Values of an input's kind, other ones for each."""
    random = np.random.default_rng(0)

    def make(detail: Any) -> Any:
        shape, dtype = detail["shape"], np.dtype(detail["dtype"])
        quantized = detail["quantization_parameters"]["scales"].size > 0
        if dtype.kind == "f":
            return random.standard_normal(shape).astype(dtype)
        if dtype.kind in "iu" and quantized:
            limits = np.iinfo(dtype)
            return random.integers(limits.min, limits.max, shape, dtype, endpoint=True)
        # Token ids and flags: a lookup refuses what is beyond its table.
        return random.integers(0, 2, shape).astype(dtype)

    return make


def _zeros(detail: Any) -> Any:
    return np.zeros(detail["shape"], np.int8).astype(detail["dtype"])


def _ones(detail: Any) -> Any:
    return np.ones(detail["shape"], np.int8).astype(detail["dtype"])


def _answer(**fields: Any) -> None:
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
