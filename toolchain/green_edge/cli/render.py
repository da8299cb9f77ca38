"""The only printer of the workstation: data on stdout, talk on stderr."""

import logging
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, TextIO

from green_edge_wire import codec

_BAR_WIDTH = 24


def configure_logging(*, verbose: bool) -> bool:
    """Send the library's log to stderr; returns `verbose` for the commands."""
    level = logging.DEBUG if verbose else logging.WARNING
    logging.basicConfig(stream=sys.stderr, level=level, format="%(levelname)s %(name)s %(message)s")
    for chatty in ("amqtt", "transitions", "asyncio", "h5py", "PIL"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    return verbose


def say(text: str) -> None:
    """Talk to the person at the terminal (stderr)."""
    print(text, file=sys.stderr, flush=True)


def text(content: str) -> None:
    """Print data as text (stdout)."""
    print(content, flush=True)


def document(record: Any) -> None:
    """Print exactly one JSON document (stdout): the record's fields."""
    print(codec.dumps(record, indent=2), flush=True)


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, right: str = "") -> str:
    """Lay out rows in columns two blanks apart.

    Args:
        headers: one a column.
        rows: cells as text; as many as headers.
        right: a character a column, `r` to align it to the right; the rest align left.
    """
    widths = [max(len(cell) for cell in column) for column in zip(headers, *rows, strict=True)]
    lines = [headers, ["-" * width for width in widths], *rows]
    return "\n".join(_row(line, widths, right) for line in lines)


def _row(cells: Sequence[str], widths: Sequence[int], right: str) -> str:
    padded = [
        cell.rjust(width) if right[i : i + 1] == "r" else cell.ljust(width)
        for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(padded).rstrip()


class Progress:
    """Steps of long work: a live line on a terminal, one plain line a step elsewhere.

    Use as `progress("converting", 0.4)`: what is being done and, where known, the share done.
    """

    def __init__(
        self, stream: TextIO | None = None, seconds: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._seconds = seconds
        self._start_s = seconds()
        self._live = self._stream.isatty()
        self._last = ""

    def __call__(self, doing: str, share: float | None = None) -> None:
        """Show a step."""
        if not self._live:
            if doing != self._last:
                print(doing, file=self._stream, flush=True)
            self._last = doing
            return
        filled = round(_BAR_WIDTH * min(max(share or 0.0, 0.0), 1.0))
        bar = "" if share is None else f"[{'#' * filled}{'.' * (_BAR_WIDTH - filled)}] "
        elapsed_s = self._seconds() - self._start_s
        line = f"{elapsed_s:5.0f} s  {bar}{doing}"[:79]
        print(f"\r\x1b[2K{line}", end="", file=self._stream, flush=True)
        self._last = doing

    def done(self) -> None:
        """End the live line."""
        if self._live and self._last:
            print("\r\x1b[2K", end="", file=self._stream, flush=True)
