"""A clock that moves only when a test says so."""

from green_edge_wire.units import NS_PER_MS, ns_from_s


class ManualClock:
    """Both clocks of a machine in the test's hand; implements `green_edge_wire.clock.Clock`.

    Moving the monotonic clock moves the wall clock with it; `set_unix_ms` moves the wall clock
    alone, as a person or NTP does.
    """

    def __init__(self, monotonic_ns: int = 0, unix_ms: int = 1_700_000_000_000) -> None:
        self._monotonic_ns = monotonic_ns
        self._unix_origin_ns = unix_ms * NS_PER_MS - monotonic_ns

    def monotonic_ns(self) -> int:
        return self._monotonic_ns

    def unix_ms(self) -> int:
        return (self._unix_origin_ns + self._monotonic_ns) // NS_PER_MS

    def advance_ns(self, duration_ns: int) -> None:
        if duration_ns < 0:
            raise ValueError("a monotonic clock never goes back")
        self._monotonic_ns += duration_ns

    def advance_s(self, duration_s: float) -> None:
        self.advance_ns(ns_from_s(duration_s))

    def set_unix_ms(self, unix_ms: int) -> None:
        self._unix_origin_ns = unix_ms * NS_PER_MS - self._monotonic_ns
