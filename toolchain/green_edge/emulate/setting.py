"""What is counted, and what comes of it."""

from dataclasses import dataclass
from typing import Protocol

from green_edge_wire.errors import GreenEdgeError


class EmulationError(GreenEdgeError):
    """Nothing can be counted here: the machine, the network or the cache does not allow it."""


class Progress(Protocol):
    """Told of each step: what is being done and, where known, the share done."""

    def __call__(self, doing: str, share: float | None = None) -> None:
        """Take note."""
        ...


@dataclass(frozen=True, slots=True)
class Setting:
    """A runtime on a core.

    Attributes:
        runtime: `ai-edge-litert` or `tflite-runtime`.
        version: of the runtime, such as `2.3.0`.
        core: `cortex-a53`, `cortex-a72` or `cortex-a76`.
        arch: `aarch64` or `armv7l`, of the operating system.
    """

    runtime: str
    version: str
    core: str
    arch: str

    def __str__(self) -> str:
        return f"{self.runtime} {self.version} on {self.core} ({self.arch})"


@dataclass(frozen=True, slots=True)
class Count:
    """Instructions that a model takes.

    Attributes:
        model_sha256: of the model's bytes.
        setting: where it ran.
        instructions: of one inference on one thread after warm-up, the call from Python included.
        cached: known from an earlier run.
        userland: digest of the packages that it ran with.
    """

    model_sha256: str
    setting: Setting
    instructions: int
    cached: bool
    userland: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """A model that the runtime does not load, on the board as here.

    Attributes:
        model_sha256: of the model's bytes.
        setting: where it was tried.
        message: the runtime's own words.
    """

    model_sha256: str
    setting: Setting
    message: str


@dataclass(frozen=True, slots=True)
class Uncounted:
    """A model that was not counted, which says nothing of whether the runtime runs it on a board.

    Attributes:
        model_sha256: of the model's bytes.
        setting: where it was tried.
        message: what went wrong.
    """

    model_sha256: str
    setting: Setting
    message: str


Result = Count | Refusal | Uncounted
