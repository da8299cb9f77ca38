"""Reporting windows: what happened between two reports, as one record of telemetry.

Windows follow each other without a hole on the monotonic clock, so neither an inference nor a
microjoule falls between them. A window belongs to one artefact on one processor; a
change of either ends it early.
"""

import statistics
import threading
from collections import deque
from dataclasses import replace
from typing import Protocol

from green_edge_agent.install.state import NO_ARTEFACT, Artefact
from green_edge_agent.runtime.contract import Processor
from green_edge_wire.clock import Clock
from green_edge_wire.latency import LatencyBuilder
from green_edge_wire.telemetry import EnergyReading, Sample
from green_edge_wire.units import NS_PER_S, uj_from_uw_ns, uw_from_uj_ns

# A real meter's idle power is the median of so many windows without inference.
_IDLE_WINDOWS = 16
# Shorter ones are mostly the edges of something else.
_IDLE_MIN_NS = NS_PER_S // 2


class EnergySource(Protocol):
    """Gives the energy of a window that has just ended."""

    def close_window(self, start_mono_ns: int, end_mono_ns: int) -> EnergyReading:
        """Energy of the window, without its idle and cumulative figures."""
        ...


class Windows:
    """The open window and the running totals of this boot.

    `record` and `fail` come from the inference thread, the rest from the service's.

    Args:
        device_id: for the records.
        boot_id: likewise.
        clock: durations by its monotonic side.
        energy: None when the device has no power source.
        idle_uw: power without inference as far as the source itself knows it.
    """

    def __init__(
        self,
        device_id: str,
        boot_id: str,
        clock: Clock,
        *,
        energy: EnergySource | None,
        idle_uw: int | None = None,
    ) -> None:
        self._device_id = device_id
        self._boot_id = boot_id
        self._clock = clock
        self._energy = energy
        self._idle_uw = idle_uw
        self._learned_uw: deque[int] = deque(maxlen=_IDLE_WINDOWS)
        # Both threads may end a window.
        self._lock = threading.RLock()
        self._processor: Processor | None = None
        self._cut: list[Sample] = []
        self._builder = LatencyBuilder()
        self._errors = 0
        self._mark: tuple[str, ...] = ()
        self._artefact = NO_ARTEFACT
        self._start_mono_ns = clock.monotonic_ns()
        self._inferences: dict[str, int] = {}
        self._cumulative_uj: dict[tuple[str, str], int] = {}

    def record(self, latency_ns: int, processor: Processor = "cpu") -> None:
        """Count an inference that ended now; one on another processor begins another window."""
        with self._lock:
            if self._processor not in (None, processor):
                self._cut.append(self.take())
            self._processor = processor
            self._builder.add(latency_ns)

    def fail(self) -> None:
        """Count an inference that failed."""
        with self._lock:
            self._errors += 1

    def age_ns(self) -> int:
        """How long the open window is already."""
        return self._clock.monotonic_ns() - self._start_mono_ns

    def peek(self) -> Sample:
        """The open window as if it ended now; nothing changes."""
        with self._lock:
            return self._sample(self._clock.monotonic_ns())

    def take(self) -> Sample:
        """End the open window and begin the next one at the same moment; the caller commits it."""
        with self._lock:
            now_ns = self._clock.monotonic_ns()
            sample = self._sample(now_ns)
            self._builder, self._errors, self._processor = LatencyBuilder(), 0, None
            self._start_mono_ns = now_ns
            self._inferences[sample.artifact_sha256] = sample.cumulative_inferences
            for reading in sample.energy:
                self._cumulative_uj[reading.meter, sample.artifact_sha256] = reading.cumulative_uj
            self._learn_idle(sample)
            return sample

    def take_cut(self) -> list[Sample]:
        """Windows that a change of processor has ended, oldest first; the caller commits them."""
        with self._lock:
            cut, self._cut = self._cut, []
            return cut

    def use(self, artefact: Artefact) -> None:
        """Say what runs from now on; to be called directly after `take`."""
        self._artefact = artefact

    def mark(self, *flags: str) -> None:
        """Give the energy of all windows from here on these flags; directly after `take`."""
        self._mark = flags

    def _sample(self, end_mono_ns: int) -> Sample:
        latency = self._builder.histogram()
        start_mono_ns, artefact = self._start_mono_ns, self._artefact
        digest = artefact.sha256
        return Sample(
            device_id=self._device_id,
            boot_id=self._boot_id,
            seq=1,
            window_start_mono_ns=start_mono_ns,
            window_ns=end_mono_ns - start_mono_ns,
            ended_at_unix_ms=self._clock.unix_ms(),
            artifact_sha256=digest,
            model=artefact.model,
            model_version=artefact.model_version,
            latency=latency,
            errors=self._errors,
            energy=self._readings(digest, start_mono_ns, end_mono_ns),
            cumulative_inferences=self._inferences.get(digest, 0) + latency.count,
            processor=self._processor if self._processor != "cpu" else None,
        )

    def _readings(
        self, digest: str, start_mono_ns: int, end_mono_ns: int
    ) -> tuple[EnergyReading, ...]:
        if self._energy is None:
            return ()
        reading = self._energy.close_window(start_mono_ns, end_mono_ns)
        reading = replace(reading, flags=(*reading.flags, *self._mark))
        idle_uw = self._known_idle_uw()
        before_uj = self._cumulative_uj.get((reading.meter, digest), 0)
        return (
            replace(
                reading,
                idle_uj=None if idle_uw is None else uj_from_uw_ns(idle_uw, reading.window_ns),
                cumulative_uj=before_uj + _counted_uj(reading),
            ),
        )

    def _known_idle_uw(self) -> int | None:
        if self._idle_uw is not None:
            return self._idle_uw
        return round(statistics.median(self._learned_uw)) if self._learned_uw else None

    def _learn_idle(self, sample: Sample) -> None:
        if sample.latency.count or sample.errors or sample.window_ns < _IDLE_MIN_NS:
            return
        for reading in sample.energy:
            if reading.valid:
                self._learned_uw.append(uw_from_uj_ns(reading.energy_uj, reading.window_ns))


def _counted_uj(reading: EnergyReading) -> int:
    """What a reading adds to the totals: nothing where it must not be counted."""
    return reading.energy_uj if reading.valid else 0
