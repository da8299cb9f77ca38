"""Runs models under the counter: a program for the emulated board, not for the workstation.

`guest.py RUNTIME LIST`, the list being a file with the path of a model a line, answers on standard
output a line of JSON as it takes up a model (`{"begun": 0}`) and one as it is done with it
(`{"counted": 0, "repeats": 4}`) or cannot run it (`{"refused": 0, "message": "..."}`). Model k
marks its regions by the numbers 3k, 3k + 1 and 3k + 2: `repeats` inferences lie between the first
two, twice as many between the last two.
"""

import ctypes
import gc
import importlib
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

_MODULES = {
    "ai-edge-litert": "ai_edge_litert.interpreter",
    "tflite-runtime": "tflite_runtime.interpreter",
}
_MARK_CALL = 9001  # counter.c
_WARM_UPS = 3
_REPEATS = 4
# A model that takes longer than this to emulate is so large that a single inference tells as much.
_LONG_S = 0.4


def main() -> None:
    """Run the models of the list."""
    runtime, names = sys.argv[1:]
    # A runtime that crashes leaves no core file behind.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    interpreter = importlib.import_module(_MODULES[runtime]).Interpreter
    call = ctypes.CDLL(None).syscall
    gc.disable()
    for k, model in enumerate(Path(names).read_text().splitlines()):
        _answer(begun=k)
        try:
            repeats = _count(interpreter(model_path=model, num_threads=1), call, 3 * k)
        except (RuntimeError, ValueError) as error:
            _answer(refused=k, message=str(error))
        else:
            _answer(counted=k, repeats=repeats)
        gc.collect()


def _count(interpreter: Any, call: Any, first_mark: int) -> int:
    """Mark the regions of one model; returns the inferences of the first."""
    interpreter.allocate_tensors()
    _fill(interpreter)
    repeats = _REPEATS
    for _ in range(_WARM_UPS):
        start_s = time.monotonic()
        interpreter.invoke()
        if time.monotonic() - start_s > _LONG_S:
            repeats = 1
            break
    call(_MARK_CALL, first_mark)
    for _ in range(repeats):
        interpreter.invoke()
    call(_MARK_CALL, first_mark + 1)
    for _ in range(2 * repeats):
        interpreter.invoke()
    call(_MARK_CALL, first_mark + 2)
    return repeats


def _fill(interpreter: Any) -> None:
    """Give every input seeded values of its kind."""
    random = np.random.default_rng(0)
    for detail in interpreter.get_input_details():
        shape, dtype = detail["shape"], np.dtype(detail["dtype"])
        quantized = detail["quantization_parameters"]["scales"].size > 0
        if dtype.kind == "f":
            values = random.standard_normal(shape).astype(dtype)
        elif dtype.kind in "iu" and quantized:
            limits = np.iinfo(dtype)
            values = random.integers(limits.min, limits.max, shape, dtype, endpoint=True)
        else:
            # Token ids and flags: a lookup refuses what is beyond its table.
            values = random.integers(0, 2, shape).astype(dtype)
        interpreter.set_tensor(detail["index"], values)


def _answer(**fields: Any) -> None:
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
