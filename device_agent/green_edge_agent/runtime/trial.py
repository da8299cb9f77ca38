"""Measures a model in a child process within a time limit; see `trial_child`."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import green_edge_agent
from green_edge_wire import codec
from green_edge_wire.bench import Measured, Trial
from green_edge_wire.errors import DecodeError, DeviceError, ModelError

_CHILD = "green_edge_agent.runtime.trial_child"
_PACKAGES = Path(green_edge_agent.__file__).parents[1]
_POLL_S = 0.2
_LAST_BYTES = 500


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the child answers: figures, or why there are none."""

    measured: Measured | None = None
    message: str = ""
    hint: str | None = None


def run(model: bytes, trial: Trial, *, stopped: Callable[[], bool] = lambda: False) -> Measured:
    """Measure a model.

    Args:
        model: content of a .tflite.
        trial: how.
        stopped: asked while it is measured.

    Raises:
        ModelError: it cannot run, cannot be profiled, or ended the process that ran it.
        DeviceError: it took too long, was stopped, or no process can be started.
    """
    content = codec.dumps(trial).encode() + b"\0" + model
    end = _asked(content, trial.limit_s, stopped)
    if end.code:
        last = f": {end.last_words}" if end.last_words else ""
        raise ModelError(f"the model ended the process that ran it, {_how(end.code)}{last}")
    try:
        outcome = codec.loads(Outcome, end.answer, strict=True)
    except DecodeError as error:
        raise ModelError(f"the measuring process gave no figures: {error.message}") from error
    if outcome.measured is None:
        raise ModelError(outcome.message, hint=outcome.hint)
    return outcome.measured


@dataclass(frozen=True, slots=True)
class _End:
    """How a child ended: its standard output, exit code, and last line on standard error."""

    answer: bytes
    code: int
    last_words: str


def _asked(content: bytes, limit_s: float, stopped: Callable[[], bool]) -> _End:
    deadline_s = time.monotonic() + limit_s
    with ExitStack() as stack:
        try:
            # A file without a name: a pipe would have to be fed and read at the same time.
            given, said = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(2))
            given.write(content)
            given.seek(0)
            process = stack.enter_context(_started(given, said))
        except OSError as error:
            raise DeviceError(f"cannot start the measuring process: {error.strerror}") from error
        while True:
            try:
                answer, _ = process.communicate(timeout=_POLL_S)
            except subprocess.TimeoutExpired:
                late = time.monotonic() >= deadline_s
                if not late and not stopped():
                    continue
                process.kill()
                process.communicate()
                what = f"it took longer than {limit_s:g} s" if late else "the agent stops"
                raise DeviceError(f"the measurement was ended: {what}") from None
            return _End(answer, process.returncode, _last_line(said))


def _last_line(said: IO[bytes]) -> str:
    said.seek(max(said.seek(0, os.SEEK_END) - _LAST_BYTES, 0))
    lines = said.read().decode(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else ""


def _started(given: IO[bytes], said: IO[bytes]) -> "subprocess.Popen[bytes]":
    path = os.pathsep.join((str(_PACKAGES), *filter(None, [os.environ.get("PYTHONPATH")])))
    return subprocess.Popen(
        [sys.executable, "-P", "-m", _CHILD, str(os.getpid())],
        stdin=given,
        stdout=subprocess.PIPE,
        # The runtime greets there, in the midst of what is said to the user.
        stderr=said,
        env={**os.environ, "PYTHONPATH": path},
    )


def _how(code: int) -> str:
    if code > 0:
        return f"with code {code}"
    try:
        return f"by {signal.Signals(-code).name}"
    except ValueError:
        return f"by signal {-code}"
