"""Notices when somebody sets the wall clock. Durations never depend on it."""

from green_edge_wire.clock import Clock
from green_edge_wire.units import ms_from_ns

# Smaller steps are NTP at work.
_STEP_MS = 1_000


class ClockWatch:
    """Compares the two clocks of a machine."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset_ms = self._measure_ms()

    def step_ms(self) -> int:
        """How far the wall clock was set since the last call; 0 when it was not."""
        offset_ms = self._measure_ms()
        step_ms = offset_ms - self._offset_ms
        # Drift is taken along in silence; only a step is worth a word.
        self._offset_ms = offset_ms
        return step_ms if abs(step_ms) >= _STEP_MS else 0

    def _measure_ms(self) -> int:
        return self._clock.unix_ms() - round(ms_from_ns(self._clock.monotonic_ns()))
