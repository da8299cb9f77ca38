"""Finished steps on disk, by what they were made from, so that a build goes on where it ended.

A step's key is the digest of all that its result depends on: the model, the samples, the targets,
the steps before it, itself, the seed, and the versions of what did it. Its folder holds the model
and what was said of it; one beside it holds the checkpoints of a step that is not finished.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from green_edge.compress.protocol import REPLY_FILE, StepReply
from green_edge.emulate.cache import cache_folder
from green_edge_wire import codec
from green_edge_wire.clock import Clock
from green_edge_wire.errors import DecodeError, GreenEdgeError

_MOST_BYTES = 4 << 30
# What was used in this time may belong to a build that still runs.
_FRESH_MS = 24 * 3600 * 1000
_WORK, _LOCK = ".work", ".lock"


def steps_folder() -> Path:
    """Where finished steps are kept: in the cache folder, which `GREEN_EDGE_CACHE` names."""
    return cache_folder() / "steps"


def key_of(parts: Mapping[str, object]) -> str:
    """Digest of named parts, each a record or plain values."""
    return hashlib.sha256(codec.dumps(parts).encode()).hexdigest()


def _unheard() -> None:
    """Waiting that nobody watches."""


@dataclass(frozen=True, slots=True)
class StepCache:
    """The folder of finished steps.

    Attributes:
        folder: of all of them; made when it is missing.
        most_bytes: beyond which the ones longest unused go.
    """

    folder: Path
    most_bytes: int = _MOST_BYTES

    def state(self, key: str) -> Path:
        """Folder of a step's result; there only when it is whole."""
        return self.folder / key

    def checkpoints(self, key: str) -> Path:
        """Folder for what an unfinished step keeps."""
        return self.folder / f"{key}{_WORK}"

    def found(self, key: str) -> StepReply | None:
        """What was said of a finished step; None where it is to be done."""
        file = self.state(key) / REPLY_FILE
        try:
            reply = codec.loads(StepReply, file.read_bytes(), strict=True)
            os.utime(self.state(key))
        except (OSError, DecodeError):
            return None
        return reply

    @contextmanager
    def doing(self, key: str, wait: Callable[[], None] = _unheard) -> Iterator[None]:
        """Do a step, alone: another build that wants the same one waits for it.

        Args:
            key: of the step.
            wait: told that another build does it.

        Raises:
            GreenEdgeError: the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / f"{key}{_LOCK}").open("w")
        except OSError as error:
            hint = "make room, or name another folder by GREEN_EDGE_CACHE"
            message = f"cannot keep steps in {self.folder}: {error.strerror}"
            raise GreenEdgeError(message, hint=hint) from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                wait()
                fcntl.flock(lock, fcntl.LOCK_EX)
            if self.found(key) is None:
                # Half of a result, or one of a time when results looked otherwise.
                for rest in (self.state(key), self.folder / f"{key}.part"):
                    shutil.rmtree(rest, ignore_errors=True)
            yield
            shutil.rmtree(self.checkpoints(key), ignore_errors=True)

    def trim(self, clock: Clock) -> None:
        """Remove what has not been used for the longest time, down to `most_bytes`."""
        used = _used(self.folder)
        total_bytes = sum(_length_bytes(path) for path in used)
        for path in sorted(used, key=lambda path: used[path]):
            age_ms = clock.unix_ms() - used[path] * 1000
            if total_bytes <= self.most_bytes or age_ms < _FRESH_MS:
                return
            total_bytes -= _length_bytes(path)
            shutil.rmtree(path, ignore_errors=True)
            (self.folder / f"{path.stem}{_LOCK}").unlink(missing_ok=True)


def _used(folder: Path) -> dict[Path, float]:
    """When each folder in a folder was last used, in seconds of the Unix time."""
    used = {}
    for path in folder.glob("*/"):
        with suppress(OSError):
            used[path] = path.stat().st_mtime
    return used


def _length_bytes(folder: Path) -> int:
    """Of all files in a folder; what another build takes away meanwhile counts nothing."""
    total_bytes = 0
    for inner, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total_bytes += Path(inner, name).stat().st_size
    return total_bytes
