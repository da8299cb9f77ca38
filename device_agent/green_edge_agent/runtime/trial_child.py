"""The process that measures a model: started by `trial`, one model, one answer.

A model can end the process that loads it, and a runtime can hang in it; the agent, or the command
line, must survive both. It does not outlive them either: its work would be taken for the device's
own. Whatever the runtime says goes to standard error, so that standard output holds the answer and
nothing else.
"""

import ctypes
import os
import signal
import sys
from math import ceil

import numpy as np

from green_edge_agent.runtime import interpreter, litert_profiler
from green_edge_agent.runtime.timing import random_inputs, stats
from green_edge_agent.runtime.trial import Outcome
from green_edge_wire import codec
from green_edge_wire.bench import MAX_PROFILED_RUNS, Measured, ProfileRows, Trial
from green_edge_wire.clock import SystemClock
from green_edge_wire.errors import GreenEdgeError, ModelError

_STDOUT, _STDERR = 1, 2
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
# The parent's deadline comes first.
_PATIENCE_S = 5


def main() -> None:
    """Read a trial and a model from standard input, write an `Outcome`.

    The argument is the parent's process id.
    """
    _end_with(parent=int(sys.argv[1]))
    answer = os.dup(_STDOUT)
    os.dup2(_STDERR, _STDOUT)
    head, _, model = sys.stdin.buffer.read().partition(b"\0")
    trial = codec.loads(Trial, head, strict=True)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(ceil(trial.limit_s) + _PATIENCE_S)
    try:
        outcome = Outcome(measured=measure(model, trial))
    except GreenEdgeError as error:
        outcome = Outcome(message=error.message, hint=error.hint)
    with os.fdopen(answer, "wb") as stream:
        stream.write(codec.dumps(outcome).encode())


def _end_with(parent: int) -> None:
    """Have the kernel end this process when its parent ends, however that happens."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        # It ended before the line above.
        sys.exit("the process that asked is gone")


def measure(model: bytes, trial: Trial) -> Measured:
    """Measure a model in this process.

    Raises:
        ModelError: it cannot run, or cannot be profiled.
    """
    runtime = interpreter.runtime_name()
    reason = litert_profiler.why_not(runtime) if trial.profile else None
    if reason is not None:
        raise ModelError(reason)
    net = interpreter.load(model, threads=trial.threads)
    inputs = random_inputs(net.inputs, np.random.default_rng(trial.seed))
    clock = SystemClock()
    for _ in range(trial.warm_up):
        net.invoke(inputs)
    durations_ns = [net.timed(inputs, clock).latency_ns for _ in range(trial.runs)]
    rows: ProfileRows | None = None
    if trial.profile:
        named = {spec.name: array for spec, array in zip(net.inputs, inputs, strict=True)}
        runs = min(trial.runs, MAX_PROFILED_RUNS)
        rows = litert_profiler.profile(model, named, runs=runs, warm_up=trial.warm_up)
    return Measured(runtime, stats(durations_ns), rows)


if __name__ == "__main__":
    main()
