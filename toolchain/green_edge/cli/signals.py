"""Ending on a signal: from the keyboard, from `kill`, from a closed terminal."""

import select
import signal
import socket
from collections.abc import Iterable
from types import FrameType, TracebackType
from typing import Self

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class EndSignal:
    """Catches the signals that end a program, from the moment that the block is entered.

    A `threading.Event` set by a handler would not do. The kernel may give the signal to another
    thread, and then the main thread goes on waiting for its lock; and a handler that runs while the
    main thread is inside of `wait` would wait for the lock that it holds itself. So the interpreter
    writes a byte to a socket, and `wait` reads it. Only for the main thread.
    """

    def __enter__(self) -> Self:
        self._reader, self._writer = socket.socketpair()
        # The interpreter writes from inside of the signal: it must never wait for room.
        self._writer.setblocking(False)  # noqa: FBT003 - the standard library's signature
        wakeup = self._writer.fileno()
        self._old_wakeup = signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        self._old = {number: signal.signal(number, _go_on) for number in _wanted(_ENDING)}
        return self

    def is_set(self) -> bool:
        """Whether one of the signals has come."""
        return self.wait(timeout_s=0.0)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the first of the signals; returns whether it has come, at once if before."""
        # The byte stays where it is, so that the answer is the same from then on.
        return bool(select.select([self._reader], [], [], timeout_s)[0])

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._old_wakeup)
        self._reader.close()
        self._writer.close()


def _go_on(number: int, frame: FrameType | None) -> None:
    """Take the place of the default action; the byte on the socket says all."""
    del number, frame


def interrupt_on_term() -> None:
    """Let SIGTERM and SIGHUP end a program as Ctrl-C does: by KeyboardInterrupt, with clean-up."""
    for number in _wanted((signal.SIGTERM, signal.SIGHUP)):
        signal.signal(number, signal.default_int_handler)


def _wanted(numbers: Iterable[signal.Signals]) -> list[signal.Signals]:
    """Signals without a SIGHUP that `nohup` has told us to ignore."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [number for number in numbers if number != signal.SIGHUP or not ignored]
