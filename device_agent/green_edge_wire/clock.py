"""Time as an argument: durations from a monotonic clock, moments from the wall clock."""

import time
from typing import Protocol

from green_edge_wire.units import NS_PER_MS


class Clock(Protocol):
    """The two clocks of a machine. Only `unix_ms` may jump."""

    def monotonic_ns(self) -> int:
        """Nanoseconds since an arbitrary origin; never goes back while the machine is up."""
        ...

    def unix_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC as far as this machine knows."""
        ...


class SystemClock:
    """The clocks of the operating system."""

    def monotonic_ns(self) -> int:
        """Read CLOCK_MONOTONIC."""
        return time.monotonic_ns()

    def unix_ms(self) -> int:
        """Read CLOCK_REALTIME."""
        return time.time_ns() // NS_PER_MS
