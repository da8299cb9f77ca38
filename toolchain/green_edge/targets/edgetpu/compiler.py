"""Calls Google's Edge TPU compiler, a closed program for x86-64 Linux, and believes only results.

A run counts as a success when the program ended with 0, its last verdict says so, and its output
parses and holds at least one compiled part: it is known to leave stubs behind, and to succeed with
nothing compiled at all. What crashed is tried again in other ways, see `compile_model`.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from green_edge.targets.edgetpu.compiled import Compiled, read_compiled
from green_edge.targets.edgetpu.log import OperationLog, Talk, read_log, read_talk
from green_edge_wire.errors import ModelError

PROGRAM = "edgetpu_compiler"
HOW_TO_GET = (
    "it runs on x86-64 Linux: Debian package edgetpu-compiler from Google's apt repository "
    "(coral.ai/docs/edgetpu/compiler), there or in a container, or in Google Colab"
)
DEFAULT_TIMEOUT_S = 180.0  # the compiler's own

SEARCH = ("-d", "-k", "3")
SEVERAL = ("-a",)

_AGAIN = ("again",)
_STEM = "model"
# Releases from 16 on have the timer `-t` and the search `-d`.
_TIMER_SINCE = 16
_GRACE_S = 30.0
# A search starts the timer anew for every segment that it tries.
_SEARCH_TIMERS = 5
_TALK_BYTES = 1 << 20
_ASK_S = 30.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of the compiler.

    Attributes:
        options: beside those that every run has.
        words: what came of it; empty where it succeeded.
    """

    options: tuple[str, ...]
    words: str = ""


@dataclass(frozen=True, slots=True)
class Compilation:
    """A model that the compiler has taken.

    Attributes:
        model: the compiled file.
        facts: what is in it.
        log: operations by status.
        options: with which it succeeded.
    """

    model: bytes
    facts: Compiled
    log: OperationLog
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a model.

    Attributes:
        attempts: all runs, in order.
        version: of the compiler; empty where it did not tell.
        result: None where no run succeeded; the last attempt says why.
    """

    attempts: tuple[Attempt, ...]
    version: str
    result: Compilation | None = None


def find() -> Path | None:
    """The compiler on PATH; None where there is none."""
    found = shutil.which(PROGRAM)
    return None if found is None else Path(found)


def command_line(file: str, options: Sequence[str] = ()) -> str:
    """The command as a user types it in the folder of a model."""
    return shlex.join([PROGRAM, "-s", *options, file])


def compile_model(
    program: Path,
    model: bytes,
    *,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    grace_s: float = _GRACE_S,
) -> Outcome:
    """Compile a model, in up to four runs.

    A plain run first. Where the compiler crashes or its timer ends: once more if it was the crash
    that is known to come and go, then a search for the longest part that does compile
    (`-d -k 3`), then with several compiled parts (`-a`). A model that it refuses by name, or of
    which it maps nothing at all, is not tried again.

    Args:
        program: the compiler.
        model: an int8 .tflite.
        timeout_s: of the compiler's own timer.
        grace_s: how much longer a run may take before it is ended from here.
    """
    version = _version(program)
    attempts: list[Attempt] = []
    judged = _Judged("")
    for options in ((), _AGAIN, SEARCH, SEVERAL):
        if not _is_due(options, version, judged.words):
            continue
        clean = tuple(option for option in options if option not in _AGAIN)
        judged = _attempt(program, model, clean, _Limits(version, timeout_s, grace_s))
        version = version or judged.version
        attempts.append(Attempt(clean, judged.words))
        if judged.final:
            break
    return Outcome(tuple(attempts), version, judged.result)


@dataclass(frozen=True, slots=True)
class _Limits:
    """How long a run may take; `version` decides whether the compiler has a timer."""

    version: str
    timeout_s: float
    grace_s: float


@dataclass(frozen=True, slots=True)
class _Judged:
    """A run as it counts; `final` where another would end alike."""

    words: str
    version: str = ""
    final: bool = False
    result: Compilation | None = None


def _is_due(options: Sequence[str], version: str, before: str) -> bool:
    if options == _AGAIN:
        return "Internal compiler error" in before
    return options != SEARCH or _is_recent(version)


def _attempt(program: Path, model: bytes, options: tuple[str, ...], limits: _Limits) -> _Judged:
    with tempfile.TemporaryDirectory(prefix="green-edge-") as scratch:
        folder = Path(scratch)
        (folder / f"{_STEM}.tflite").write_bytes(model)
        # An output folder inside a fresh one: nothing of an earlier run can pass for a result.
        (folder / "out").mkdir()
        timer = ["-t", str(max(1, round(limits.timeout_s)))] if _is_recent(limits.version) else []
        given = ["-s", "-o", "out", *options, *timer, f"{_STEM}.tflite"]
        limit_s = limits.timeout_s * (_SEARCH_TIMERS if "-d" in options else 1) + limits.grace_s
        try:
            code, text = _run([str(program), *given], folder, limit_s)
        except OSError as error:
            return _Judged(f"it cannot be started here: {error.strerror}", final=True)
        talk = read_talk(text)
        if code is None:
            return _Judged(f"it was stopped after {limit_s:g} s", talk.version, final=True)
        return _judge(folder / "out", code, talk, text, options)


def _judge(out: Path, code: int, talk: Talk, text: str, options: tuple[str, ...]) -> _Judged:
    """Whether a run that ended by itself gave a compiled model."""
    if not talk.succeeded or code != 0:
        words = talk.words or _ended(code, succeeded=talk.succeeded)
        return _Judged(words, talk.version, final=talk.failure == "refused")
    try:
        model = (out / f"{_STEM}_edgetpu.tflite").read_bytes()
        facts = read_compiled(model)
    except FileNotFoundError:
        return _Judged("it reported success but wrote no file", talk.version)
    except ModelError as error:
        words = f"it reported success but wrote a file that is none: {error.message}"
        return _Judged(words, talk.version)
    log = _log(out, text)
    if facts is None and log.tpu_ops:
        words = (
            f"it reported success but left a stub of {len(model):,} bytes, with nothing compiled"
        )
        return _Judged(words, talk.version)
    if facts is None:
        statuses = sorted({row.status for row in log.rows})
        words = "it mapped no operation to the Edge TPU: " + "; ".join(statuses or ["no log"])
        return _Judged(words, talk.version, final=True)
    return _Judged("", talk.version, final=True, result=Compilation(model, facts, log, options))


def _log(out: Path, text: str) -> OperationLog:
    """The log file, else the table that `-s` prints."""
    try:
        return read_log((out / f"{_STEM}_edgetpu.log").read_text("utf-8", "replace"))
    except FileNotFoundError:
        return read_log(text)


def _run(command: Sequence[str], folder: Path, limit_s: float) -> tuple[int | None, str]:
    """Run to the end; the code is None where the run was ended from here.

    Raises:
        OSError: it cannot be started, such as on another architecture.
    """
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            env=_environment(),
            # Newer releases compile in a child of their own, which has to end as well.
            start_new_session=True,
        )
        code: int | None
        try:
            code = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        length = said.seek(0, os.SEEK_END)
        said.seek(max(0, length - _TALK_BYTES))
        return code, said.read().decode(errors="replace")


def _version(program: Path) -> str:
    try:
        with tempfile.TemporaryDirectory(prefix="green-edge-") as scratch:
            _, text = _run([str(program), "-v"], Path(scratch), _ASK_S)
    except OSError:
        return ""
    return read_talk(text).version


def _is_recent(version: str) -> bool:
    major = re.match(r"\d+", version)
    return major is not None and int(major[0]) >= _TIMER_SINCE


def _ended(code: int, *, succeeded: bool) -> str:
    """How a run ended that did not say why itself."""
    if code >= 0:
        said = "although it reported success" if succeeded else "and no reason"
        return f"it ended with exit code {code} {said}"
    return f"it was ended by {signal.Signals(-code).name}"


def _environment() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C"}
