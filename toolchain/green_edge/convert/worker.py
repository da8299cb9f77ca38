"""The parent's side of a child process: ask, wait with a deadline, explain what went wrong.

A child answers one JSON line per request on its standard output, before which it may send lines
that tell what it does; whatever the libraries print goes to a log file, of which the last lines
explain a failure. A child that died is started again by the next request.
"""

import errno
import os
import re
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Protocol, Self, TypeVar

from green_edge.convert.protocol import Reply, Request, Sign
from green_edge_wire import codec
from green_edge_wire.clock import Clock, SystemClock
from green_edge_wire.errors import ModelError
from green_edge_wire.units import ns_from_s, s_from_ns

CHILD = (sys.executable, "-m", "green_edge.convert.child")

# Less free room than this, and a failure is that of the disk.
_LITTLE_BYTES = 64 * 1024
_LAST_WAIT_S = 5.0
_TAIL_LINES = 3
_TAIL_CHARS = 400
# How the line of a sign of life begins, and no reply's.
_SIGN = b'{"doing":'
# The last line of a Python traceback: `package.module.SomeError: what happened`.
_RAISED = re.compile(r"^[\w.]+(?:[Ee]rror|Exception)\b")
# What TensorFlow's own logging says of no consequence, such as that there is no GPU.
_CHATTER = re.compile(r"[IW]\d{4} \d\d:|WARNING: All log messages before absl")

# The same failure shall read the same on every run, because reports keep it: no time and process,
# no addresses, no random names.
_LOG_HEAD = re.compile(r"^[IWEF]\d{4} [\d:.]+\s+\d+ ")
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]+")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_RANDOM = re.compile(r"\b(tmp|green-edge-)[a-z0-9_]{8}\b")
# Nor shall they tell this machine's folders.
_FOLDERS = re.compile(r"(?:/[\w.@+~-]+)+/(?=[\w.])")

R = TypeVar("R", bound=Reply)


class Asked(Protocol):
    """A request to a child.

    Attributes:
        op: what is to be done, for messages.
        out: file or folder that exists, whole, once it is done.
    """

    @property
    def op(self) -> str:
        """Its name."""
        ...

    @property
    def out(self) -> Path:
        """What it makes."""
        ...


class Tell(Protocol):
    """Told of what a child does and, where known, of the share done."""

    def __call__(self, doing: str, share: float | None = None) -> None:
        """Take note."""
        ...


def unheard(doing: str, share: float | None = None) -> None:
    """Progress that nobody watches."""
    del doing, share


class Worker:
    """A child and its conversation.

    Args:
        folder: existing folder for the child's log.
        timeout_s: how long a request may go without a sign of life, the child's start included.
        command: program to start.
        name: of the child, for messages.
        settings: environment variables of this child.
    """

    def __init__(
        self,
        folder: Path,
        *,
        timeout_s: float,
        command: Sequence[str] = CHILD,
        name: str = "converter",
        settings: Mapping[str, str] = MappingProxyType({}),
        clock: Clock | None = None,
    ) -> None:
        self._log = folder / f"{name}.log"
        self._name = name
        self._settings = settings
        self._timeout_s = timeout_s
        self._command = tuple(command)
        self._clock: Clock = clock if clock is not None else SystemClock()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start nothing yet: the first request does."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the child, at once when something went wrong."""
        self.close(at_once=error is not None)

    def ask(self, request: Request) -> Reply:
        """Have a converter child fulfil a request; its `out` exists when this returns.

        Raises:
            ModelError: as `converse`.
        """
        return self.converse(request, Reply)

    def converse(self, request: Asked, kind: type[R], tell: Tell = unheard) -> R:
        """Have the child fulfil a request, telling what it says meanwhile.

        Args:
            request: of its protocol.
            kind: of its reply.
            tell: of the child's signs of life.

        Raises:
            ModelError: the child refused, crashed, was killed or gave no sign of life for too long;
                whatever it was writing is removed.
        """
        try:
            reply = self._exchange(request, kind, tell)
        except ModelError:
            _remove(request.out)
            _remove(part_of(request.out))
            raise
        if reply.error is not None:
            raise ModelError(steady(reply.error), hint=reply.hint)
        return reply

    def close(self, *, at_once: bool = False) -> None:
        """End the child; one that is idle ends by itself when its standard input does."""
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            process.wait(0 if at_once else _LAST_WAIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _exchange(self, request: Asked, kind: type[R], tell: Tell) -> R:
        process = self._started()
        line = codec.dumps({"request": request}).encode() + b"\n"
        try:
            os.write(_fd(process.stdin), line)
        except BrokenPipeError:
            answer = b""
        else:
            answer = self._answer(_fd(process.stdout), request, tell)
        if answer:
            return codec.loads(kind, answer, strict=True)
        code = process.wait()
        self.close()
        said = self._tail()
        raise ModelError(
            f"the {self._name} {_ended(code)} in step '{request.op}'{said}",
            hint=_remedy(code, said, self._log.parent),
        )

    def _answer(self, descriptor: int, request: Asked, tell: Tell) -> bytes:
        """The reply's line, empty where the child ended without one."""
        rest = b""
        while True:
            line, rest = self._read_line(descriptor, rest, request)
            if not line.startswith(_SIGN):
                return line
            sign = codec.loads(Sign, line, strict=True)
            tell(sign.doing, sign.share)

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    self._command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=self._environment(),
                    bufsize=0,
                    # Ctrl-C is the parent's to handle; it ends the child.
                    start_new_session=True,
                )
        return self._process

    def _environment(self) -> dict[str, str]:
        # What a child leaves behind when it is killed goes with the folder.
        own = {"TMPDIR": str(self._log.parent)}
        return child_environment(os.environ) | own | dict(self._settings)

    def _read_line(self, descriptor: int, read: bytes, request: Asked) -> tuple[bytes, bytes]:
        """Read a whole line, and what followed it; end the child when the deadline passes.

        The line is empty where the pipe ended before it did.
        """
        deadline_ns = self._clock.monotonic_ns() + ns_from_s(self._timeout_s)
        while b"\n" not in read:
            left_s = s_from_ns(deadline_ns - self._clock.monotonic_ns())
            ready = left_s > 0 and select.select([descriptor], [], [], left_s)[0]
            if not ready:
                self.close(at_once=True)
                raise ModelError(
                    f"the {self._name} was stopped after {self._timeout_s:g} s in "
                    f"step '{request.op}'{self._tail()}",
                    hint="give it longer with --timeout S",
                )
            chunk = os.read(descriptor, 65_536)
            if not chunk:
                return b"", b""
            read += chunk
        line, _, rest = read.partition(b"\n")
        return line, rest

    def _tail(self) -> str:
        return tail(self._log.read_text(encoding="utf-8", errors="replace"))


def part_of(out: Path) -> Path:
    """Name under which the child writes `out` before it is complete."""
    return out.with_name(f"{out.name}.part")


def _remove(made: Path) -> None:
    if made.is_dir():
        shutil.rmtree(made)
    else:
        made.unlink(missing_ok=True)


def child_environment(environment: os._Environ[str] | dict[str, str]) -> dict[str, str]:
    """Environment of a converter child: quiet, on the CPU, the same on every run."""
    kept = {k: v for k, v in environment.items() if k != "TF_USE_LEGACY_KERAS"}
    return kept | {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "KERAS_BACKEND": "tensorflow",
        "CUDA_VISIBLE_DEVICES": "-1",
        # oneDNN picks kernels by processor, whose rounding would reach folded constants.
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "1",
        # The log's last lines shall be about the failure.
        "PYTHONWARNINGS": "ignore",
        # A model must not run code of its own when it is opened.
        "TORCH_FORCE_WEIGHTS_ONLY_LOAD": "1",
    }


def tail(log: str) -> str:
    """Last words of a converter as part of a sentence; empty when it printed nothing.

    Where the log ends in a Python exception, that is from its name on; else the last lines.
    """
    lines = [line.strip() for line in _COLOUR.sub("", log).splitlines() if line.strip()]
    lines = [_LOG_HEAD.sub("", line) for line in lines if not _CHATTER.match(line)]
    raised = [i for i, line in enumerate(lines) if _RAISED.match(line)]
    words = lines[raised[-1] :] if raised else lines[-_TAIL_LINES:]
    text = steady(_FOLDERS.sub("", " | ".join(words[:_TAIL_LINES])))
    shown = text if len(text) <= _TAIL_CHARS else text[: _TAIL_CHARS - 3] + "..."
    return f"; it printed: {shown}" if shown else ""


def steady(words: str) -> str:
    """Words of a library without what differs from run to run: addresses and random names."""
    return _RANDOM.sub(r"\1", _ADDRESS.sub("0x", words))


def _ended(code: int) -> str:
    if code >= 0:
        return f"failed (exit code {code})"
    name = signal.Signals(-code).name
    return "was killed (SIGKILL)" if -code == signal.SIGKILL else f"crashed ({name})"


def _remedy(code: int, said: str, folder: Path) -> str | None:
    if shutil.disk_usage(folder).free < _LITTLE_BYTES:
        return "the disk of its temporary files is full: make room, or set TMPDIR to another"
    if os.strerror(errno.ENOSPC) in said:
        return "a disk is full: make room, or set GREEN_EDGE_CACHE or TMPDIR to another"
    if -code == signal.SIGKILL:
        return "the kernel does this when memory runs out: close other programs or add swap"
    if "ResourceExhausted" in said or "MemoryError" in said:
        return "memory ran out: close other programs, add swap, or take a smaller batch"
    if code < 0 or "TensorListReserve" in said:
        return (
            "recurrent layers of a SavedModel stop it: give the .keras file, "
            "or build them with unroll=True"
        )
    return None


def _fd(pipe: object) -> int:
    number: int = pipe.fileno()  # type: ignore[attr-defined]
    return number
