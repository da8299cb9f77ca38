"""The passes that shrink a Keras model, in a child process that is started when it is needed."""

import importlib.util
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from green_edge.compress.protocol import StepReply, TakeStep
from green_edge.convert.worker import Tell, Worker
from green_edge_wire.errors import ModelError

CHILD = (sys.executable, "-m", "green_edge.compress.child")

# oneDNN trains twice as fast. Its kernels differ by processor, but so do trained weights anyhow.
_SETTINGS = {"TF_ENABLE_ONEDNN_OPTS": "1"}


class Passes(Protocol):
    """Does the steps of a recipe."""

    def take(self, request: TakeStep, tell: Tell) -> StepReply:
        """Do one step; `request.out` exists when this returns.

        Raises:
            ModelError: it cannot be done.
        """
        ...


# Opens the passes of one build, with a folder for its log and the longest silence in seconds.
OpenPasses = Callable[[Path, float], AbstractContextManager[Passes]]


class Compressor:
    """The compress child; `Passes` as a build uses them.

    Args:
        folder: existing folder for the child's log.
        timeout_s: how long a step may go without a sign of life.
    """

    def __init__(self, folder: Path, timeout_s: float) -> None:
        own = folder / "compressor"
        own.mkdir()
        self._worker = Worker(
            own, timeout_s=timeout_s, command=CHILD, name="compressor", settings=_SETTINGS
        )

    def __enter__(self) -> Self:
        """Start nothing yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the child."""
        self._worker.close(at_once=error is not None)

    def take(self, request: TakeStep, tell: Tell) -> StepReply:
        """Do one step."""
        if importlib.util.find_spec("tensorflow") is None:
            hint = "install it: pip install 'green-edge[build]'"
            raise ModelError("tensorflow is not installed", hint=hint)
        return self._worker.converse(request, StepReply, tell)
