"""Writes samples and events into the spool, and copes with a disk that refuses.

A sample that cannot be committed waits in memory, and the open window grows instead of closing, so
nothing is lost unless the process ends. It does not grow beyond what the meter's readings are kept
for: then it is closed and waits, too. Only when a great many wait does it grow without end, and the
energy of that window is marked as not to be counted.
"""

import logging
from collections import deque
from dataclasses import replace
from functools import partial

from green_edge_agent.identity import Identity
from green_edge_agent.spool import Spool
from green_edge_agent.windows import Windows
from green_edge_wire.clock import Clock
from green_edge_wire.errors import DeviceError
from green_edge_wire.telemetry import Event, EventKind, Sample
from green_edge_wire.units import ms_from_ns, ns_from_s

logger = logging.getLogger(__name__)

Facts = dict[str, str | int]

# How long a window may become while the disk refuses, in windows or at least so long. The meter's
# readings are kept for twice that, see `compose`.
LONGEST_WINDOW_S = 150.0
# So many windows may wait in memory: 21 hours of a disk that refuses, some MB.
_MAX_WAITING = 512


class Journal:
    """Decides when windows end and are kept. Used by the service's thread alone.

    Args:
        spool: where records go.
        windows: where samples come from.
        identity: for events.
        clock: times windows and commits.
        window_s: length of a window.
        period_s: between two commits of the open window.
    """

    def __init__(
        self,
        spool: Spool,
        windows: Windows,
        identity: Identity,
        clock: Clock,
        *,
        window_s: float,
        period_s: float,
    ) -> None:
        self._spool = spool
        self._windows = windows
        self._identity = identity
        self._clock = clock
        self._window_ns = ns_from_s(window_s)
        self._longest_window_ns = ns_from_s(max(window_s, LONGEST_WINDOW_S))
        self._period_ns = ns_from_s(period_s)
        self._waiting: deque[Sample] = deque()
        self._committed_ns = self._tried_ns = clock.monotonic_ns()
        self._longest_ns = self._period_ns
        self._refused = False
        self._dropping = False

    @property
    def settled(self) -> bool:
        """Whether everything that was said is on the disk."""
        return not self._waiting

    def due_in_ns(self) -> int:
        """Time until `tick` has something to do; not positive when it has."""
        left_ns = self._tried_ns + self._period_ns - self._clock.monotonic_ns()
        if self._waiting:
            # The disk refused: once a period is often enough to ask again.
            return left_ns
        return min(left_ns, self._window_ns - self._windows.age_ns())

    def tick(self) -> None:
        """Close the window when it is over, else commit it as it stands when that is due."""
        cut = self._windows.take_cut()
        if cut:
            self.keep(*cut)
        if self.due_in_ns() > 0:
            return
        self._tried_ns = self._clock.monotonic_ns()
        if not self._flush():
            self._hold()
            return
        if self._windows.age_ns() >= self._window_ns:
            self.keep(self._windows.take())
        else:
            self.checkpoint()

    def keep(self, *samples: Sample) -> None:
        """Commit closed windows, or let them wait until the disk takes them."""
        self._waiting.extend((*self._windows.take_cut(), *samples))
        self._flush()

    def checkpoint(self) -> None:
        """Commit the open window as it stands."""
        gap_ns = self._clock.monotonic_ns() - self._committed_ns
        bound_ms = round(ms_from_ns(max(self._longest_ns, gap_ns)))
        try:
            self._spool.checkpoint(self._windows.peek(), bound_ms=bound_ms)
        except DeviceError as error:
            self._complain(error)
        else:
            self._committed()

    def emit(
        self,
        kind: EventKind,
        message: str,
        facts: Facts | None = None,
        *,
        tells_end_of: str | None = None,
    ) -> None:
        """Commit an event; a disk that refuses gets it into the log only.

        Args:
            kind: of the event.
            message: one line for a person.
            facts: figures and names for programs.
            tells_end_of: see `Spool.append`.
        """
        logger.info("event=%s %s", kind, message)
        at_unix_ms, who = self._clock.unix_ms(), self._identity

        def make(seq: int) -> Event:
            return Event(who.device_id, who.boot_id, seq, at_unix_ms, kind, message, facts or {})

        try:
            self._spool.append(make, tells_end_of=tells_end_of)
        except DeviceError as error:
            self._complain(error)

    def freed(self) -> None:
        """The host has confirmed records: say so once if the spool had to drop some before."""
        if self._dropping and not self._spool.full:
            self._dropping = False
            total = self._spool.dropped
            self.emit("spool", f"spool has room again, {total} dropped", {"dropped": total})

    def _hold(self) -> None:
        """End a window in memory before its first readings are forgotten."""
        if self._windows.age_ns() >= self._longest_window_ns and len(self._waiting) < _MAX_WAITING:
            self._waiting.append(self._windows.take())

    def _flush(self) -> bool:
        """Commit what waits; False when the disk refuses."""
        while self._waiting:
            sample = self._waiting[0]
            try:
                self._spool.append(partial(_numbered, sample), closes_window=True)
            except DeviceError as error:
                self._complain(error)
                return False
            self._waiting.popleft()
            self._committed()
        return True

    def _committed(self) -> None:
        now_ns = self._clock.monotonic_ns()
        self._longest_ns = max(self._longest_ns, now_ns - self._committed_ns)
        self._committed_ns = now_ns
        if self._refused:
            self._refused = False
            self.emit("spool", "the disk takes records again")
        if self._spool.full and not self._dropping:
            self._dropping = True
            self.emit("spool", "spool full: the oldest records are dropped and counted")

    def _complain(self, error: DeviceError) -> None:
        if not self._refused:
            logger.warning("%s", error)
        self._refused = True


def _numbered(sample: Sample, seq: int) -> Sample:
    return replace(sample, seq=seq)
