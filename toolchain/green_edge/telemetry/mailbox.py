"""Messages between the network thread and the writer: bounded, so that a flood waits outside.

While the box is full the network thread blocks in `put`. Then it acknowledges nothing and reads
nothing, so the broker and behind it the devices keep their messages: QoS 1 is the back-pressure.
"""

import threading
from collections import deque
from typing import NamedTuple

from green_edge_wire.units import MIB_BYTES


class Letter(NamedTuple):
    """A message as it arrived."""

    topic: str
    payload: bytes
    received_unix_ms: int


class Mailbox:
    """A queue of letters, bounded in number and in bytes; any thread may put, one takes."""

    def __init__(self, *, letters: int = 2_000, size_bytes: int = 32 * MIB_BYTES) -> None:
        self._max_letters = letters
        self._max_bytes = size_bytes
        self._letters: deque[Letter] = deque()
        self._held_bytes = 0
        self._closed = False
        self._waiting_outside = 0
        self._changed = threading.Condition()

    def put(self, letter: Letter) -> bool:
        """Add a letter, waiting for room; False when the box is closed and took nothing."""
        with self._changed:
            if not self._has_room(letter):
                self._waiting_outside += 1
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._closed or self._has_room(letter))
                self._waiting_outside -= 1
            if self._closed:
                return False
            self._letters.append(letter)
            self._held_bytes += len(letter.payload)
            self._changed.notify_all()
            return True

    def take(self, *, at_most: int, timeout_s: float) -> list[Letter]:
        """Remove the oldest letters; waits for the first one, at most `timeout_s`."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or bool(self._letters), timeout_s)
            count = min(at_most, len(self._letters))
            taken = [self._letters.popleft() for _ in range(count)]
            self._held_bytes -= sum(len(letter.payload) for letter in taken)
            self._changed.notify_all()
            return taken

    def gather(self, *, letters: int, timeout_s: float) -> None:
        """Wait until so many letters are inside, one waits outside, or the time is over."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or self._waiting_outside or len(self._letters) >= letters,
                timeout_s,
            )

    def close(self) -> None:
        """Take no more letters; what is inside can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """Whether it takes no more letters."""
        with self._changed:
            return self._closed

    def __len__(self) -> int:
        with self._changed:
            return len(self._letters)

    def _has_room(self, letter: Letter) -> bool:
        fits = self._held_bytes + len(letter.payload) <= self._max_bytes
        # A letter larger than the box passes alone, or it would wait for ever.
        return len(self._letters) < self._max_letters and (fits or not self._letters)
