"""The error tree of green-edge and the exit code of each branch.

GreenEdgeError                  1
├── ConfigError                 2   usage or configuration; names the place in the file
├── DecodeError                 2   bytes or a document that break the wire's rules
├── ModelError                  3   unreadable or unsupported model
├── BudgetError                 4   built, but over a limit
├── ArtifactError               5
│   └── IntegrityError              hash, length or signature; names the member
├── DeviceError                 6
│   └── ActivationError             self-test failed; the device went back by itself
├── TransportError              7
├── InconclusiveError           8   the evaluation set is too small to tell
└── MeterError                  6
    ├── MeterAbsentError            not on this board: normal, try the next
    └── MeterReadError              was there, failed: report it
"""

from typing import ClassVar


class GreenEdgeError(Exception):
    """An error that a user can act on: what happened, and optionally what to do about it.

    `str(error)` is one line, `message` followed by the remedy when there is one.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}; {self.hint}"


class ConfigError(GreenEdgeError):
    """A usage or configuration mistake. `place` is the path of the key or option at fault."""

    exit_code = 2

    def __init__(self, message: str, *, place: str | None = None, hint: str | None = None) -> None:
        super().__init__(message if place is None else f"{place}: {message}", hint=hint)
        self.place = place


class DecodeError(GreenEdgeError):
    """Bytes or a document that are not what the wire promises."""

    exit_code = 2


class ModelError(GreenEdgeError):
    """A model that cannot be read, or holds something that cannot be built."""

    exit_code = 3


class BudgetError(GreenEdgeError):
    """The build succeeded and its files are written, but it is over a limit."""

    exit_code = 4


class ArtifactError(GreenEdgeError):
    """A bundle that must not be installed."""

    exit_code = 5


class IntegrityError(ArtifactError):
    """A bundle whose bytes, length or signature are wrong.

    `member` is the archive member at fault, or `archive` for anything outside of members; `place`
    is the file that holds the bundle, where there is one.
    """

    def __init__(
        self, message: str, *, member: str, place: str | None = None, hint: str | None = None
    ) -> None:
        where = member if place is None else f"{place}: {member}"
        super().__init__(f"{where}: {message}", hint=hint)
        self.member = member
        self.reason = message


class DeviceError(GreenEdgeError):
    """A device that did not do what it was told."""

    exit_code = 6


class ActivationError(DeviceError):
    """The self-test of a staged model failed; the previous model stays active."""


class TransportError(GreenEdgeError):
    """A broker or server that could not be reached or refused us."""

    exit_code = 7


class InconclusiveError(GreenEdgeError):
    """The evidence does not decide the question."""

    exit_code = 8


class MeterError(GreenEdgeError):
    """A power meter that gives no figure."""

    exit_code = 6


class MeterAbsentError(MeterError):
    """The meter is not on this machine: normal, the next of the preference list is tried."""


class MeterReadError(MeterError):
    """The meter is there and failed."""
