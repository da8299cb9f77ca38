"""Reads one meter in a thread of its own and answers for the energy of any window.

Points are taken at random moments, half a period early or late: a fixed rate against a periodic
load would always meet the same part of it. Means and counters need no such care.
"""

import logging
import math
import random
import threading
from collections.abc import Callable

from green_edge_agent.energy.integrate import WindowEnergy
from green_edge_agent.energy.track import Track
from green_edge_agent.meters.contract import MAX_U_RATIO, Meter
from green_edge_wire.clock import Clock
from green_edge_wire.device import MeterInfo
from green_edge_wire.errors import MeterError
from green_edge_wire.telemetry import EnergyReading
from green_edge_wire.units import NS_PER_S, s_from_ns, uw_from_uj_ns

logger = logging.getLogger(__name__)

_KEEP_NS = 300 * NS_PER_S


class EnergyRecorder:
    """Owns the sampling of one meter. Thread-safe; the meter is read by one thread at a time."""

    def __init__(
        self,
        meter: Meter,
        clock: Clock,
        *,
        wait: Callable[[float], bool] | None = None,
        rng: random.Random | None = None,
        keep_ns: int = _KEEP_NS,
    ) -> None:
        """Prepare; nothing is read before `start` or `sample_once`.

        Args:
            meter: is read, and closed by `stop`.
            clock: the one that stamps the meter's readings.
            wait: waits some seconds and returns True when sampling is to end; None to wait really.
            rng: chooses the moments of points; None for one without a seed.
            keep_ns: how far back a window may reach; more than twice the longest window.
        """
        self._meter = meter
        self._clock = clock
        self._period_ns = meter.period_ns
        self._stopping = threading.Event()
        self._wait = wait or self._stopping.wait
        # Unpredictable for a load, not for an attacker.
        self._rng = rng or random.Random()  # noqa: S311
        self._track = Track(keep_ns=keep_ns)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._problem: str | None = None

    @property
    def info(self) -> MeterInfo:
        """Facts of the meter."""
        return self._meter.info

    @property
    def idle_uw(self) -> int | None:
        """Power without work where the source itself knows it."""
        return self._meter.idle_uw

    @property
    def problem(self) -> str | None:
        """Why the last read failed; None when it did not."""
        return self._problem

    def start(self) -> None:
        """Take the first reading now, so that a window may begin, and sample until `stop`."""
        if self._thread is not None:
            return
        self.sample_once()
        self._thread = threading.Thread(target=self._sample, name="energy", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End sampling and close the meter; what was recorded can still be asked for."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        with self._lock:
            self._meter.close()

    def sample_once(self) -> None:
        """Read the meter once; a failure is remembered in `problem` and leaves a gap."""
        with self._lock:
            self._read()

    def close_window(self, start_mono_ns: int, end_mono_ns: int) -> EnergyReading:
        """Energy from `start_mono_ns` to `end_mono_ns`, which must not lie in the future.

        Takes a reading where none brackets the end yet. Windows that follow each other add up
        exactly, and a window may be asked for more than once. `cumulative_uj` and `idle_uj` are
        left to the caller.
        """
        with self._lock:
            last_ns = self._track.last_ns
            if not self._stopping.is_set() and (last_ns is None or last_ns < end_mono_ns):
                self._read()
            window = self._track.window(start_mono_ns, end_mono_ns, period_ns=self._period_ns)
        info = self._meter.info
        return EnergyReading(
            meter=info.name,
            boundary=info.boundary,
            kind=info.kind,
            window_ns=end_mono_ns - start_mono_ns,
            energy_uj=window.energy_uj,
            u_ratio=self._u_ratio(window),
            samples=window.samples,
            lost=window.lost,
            flags=window.flags,
        )

    def _u_ratio(self, window: WindowEnergy) -> float:
        if window.covered_ns <= 0:
            return MAX_U_RATIO
        power_uw = uw_from_uj_ns(window.energy_uj, window.covered_ns)
        instrument = self._meter.budget.ratio_at(power_uw)
        total = math.hypot(
            instrument, window.sampling_u_ratio, window.timing_u_ratio, window.holes_u_ratio
        )
        return round(min(total, MAX_U_RATIO), 4)

    def _read(self) -> None:
        try:
            readings = self._meter.read()
        except MeterError as error:
            if self._problem is None:
                logger.warning("meter failed meter=%s reason=%s", self._meter.info.name, error)
            self._problem = str(error)
            return
        if self._problem is not None:
            logger.warning("meter works again meter=%s", self._meter.info.name)
            self._problem = None
        for reading in readings:
            self._track.add(reading)

    def _sample(self) -> None:
        due_ns = self._clock.monotonic_ns()
        while True:
            due_ns += self._next_period_ns()
            now_ns = self._clock.monotonic_ns()
            # After a pause of the machine there is nothing to catch up with.
            due_ns = max(due_ns, now_ns)
            if self._wait(s_from_ns(due_ns - now_ns)):
                return
            self.sample_once()

    def _next_period_ns(self) -> int:
        if self._meter.info.kind != "point":
            return self._period_ns
        return round(self._period_ns * self._rng.uniform(0.5, 1.5))
