"""Devices that exist only as records: they write telemetry straight into a store.

Everything is computed from the device's number and the window's, so a run can be repeated.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from green_edge.telemetry.store import Store
from green_edge_wire.device import DeviceInfo, MeterInfo, Reported, SlotInfo, Status
from green_edge_wire.latency import LatencyHistogram
from green_edge_wire.telemetry import EnergyReading, Event, Sample
from green_edge_wire.units import NS_PER_S, NS_PER_US, uj_from_uw_ns

WINDOW_S = 5
SITE = "home"

MODELLED = MeterInfo(
    "model:pi4", "modelled", "modelled", "CPU load times coefficients of a Raspberry Pi 4B", 0.3
)
INA226 = MeterInfo(
    "hwmon:ina226", "mean", "board-dc-in", "5 V supply of the board, its USB devices included", 0.02
)
RAPL_REFUSED = MeterInfo(
    "rapl:package-0", "counter", "cpu-package", "CPU package", 0.05, "no powercap on this machine"
)


@dataclass(slots=True)
class SimulatedDevice:
    """One device.

    Attributes:
        meter: its source of power; None for a device without.
        idle_uw: power without inference.
        busy_uw: power above idle at `rate_hz`.
    """

    device_id: str
    board: str = "Raspberry Pi 4 Model B Rev 1.4"
    meter: MeterInfo | None = MODELLED
    model: str = "digits"
    model_version: int = 3
    rate_hz: float = 10.0
    p50_us: float = 1_200.0
    idle_uw: int = 2_700_000
    busy_uw: int = 400_000
    boot_id: str = "a1b2c3d4e5f60718"
    refused: Sequence[MeterInfo] = (RAPL_REFUSED,)
    _seq: int = 0
    _total_uj: int = 0
    _done: int = 0
    _random: Random = field(default_factory=Random)

    def __post_init__(self) -> None:
        self._random.seed(self.device_id)

    @property
    def sha256(self) -> str:
        return f"{self.model_version:x}" + "5eed" * 15 + "abc"

    def come_up(self, store: Store, unix_ms: int) -> None:
        """Birth, info, reported and the event of the start."""
        slots = (
            SlotInfo("a", "active", self.sha256, self.model, self.model_version),
            SlotInfo("b", "previous", "0" * 64, self.model, max(1, self.model_version - 1)),
        )
        store.put_status(SITE, Status(self.device_id, self.boot_id, True, unix_ms), unix_ms)  # noqa: FBT003
        store.put_info(SITE, self._info(slots), unix_ms)
        reported = Reported(
            self.device_id, self.boot_id, unix_ms, "active", self.sha256, self.sha256, slots=slots
        )
        store.put_reported(SITE, reported, unix_ms)
        self.tell(store, unix_ms, "boot", "the agent started", {"version": "0.1.0"})

    def go_down(self, store: Store, unix_ms: int) -> None:
        """The broker publishes the last will."""
        store.put_status(SITE, Status(self.device_id, self.boot_id, False, unix_ms), unix_ms)  # noqa: FBT003

    def tell(
        self, store: Store, unix_ms: int, kind: str, message: str, facts: dict[str, str | int]
    ) -> None:
        self._seq += 1
        event = Event(
            self.device_id,
            self.boot_id,
            self._seq,
            unix_ms,
            kind,
            message,
            facts,
        )
        store.commit([event], site=SITE, received_unix_ms=unix_ms)

    def report(self, store: Store, unix_ms: int) -> None:
        """One window that ends now."""
        store.commit([self.sample(unix_ms)], site=SITE, received_unix_ms=unix_ms)

    def sample(self, unix_ms: int) -> Sample:
        self._seq += 1
        n = round(self.rate_hz * WINDOW_S)
        times = [self._random.lognormvariate(0, 0.12) for _ in range(n)]
        latency = LatencyHistogram.of(round(t * self.p50_us * NS_PER_US) for t in times)
        self._done += n
        return Sample(
            device_id=self.device_id,
            boot_id=self.boot_id,
            seq=self._seq,
            window_start_mono_ns=self._seq * WINDOW_S * NS_PER_S,
            window_ns=WINDOW_S * NS_PER_S,
            ended_at_unix_ms=unix_ms,
            artifact_sha256=self.sha256,
            model=self.model,
            model_version=self.model_version,
            latency=latency,
            energy=self._energy(unix_ms),
            cumulative_inferences=self._done,
        )

    def _energy(self, unix_ms: int) -> tuple[EnergyReading, ...]:
        if self.meter is None:
            return ()
        wave = 0.06 * math.sin(unix_ms / 47_000) + self._random.gauss(0, 0.015)
        window_ns = WINDOW_S * NS_PER_S
        energy_uj = uj_from_uw_ns((self.idle_uw + self.busy_uw) * (1 + wave), window_ns)
        self._total_uj += energy_uj
        reading = EnergyReading(
            meter=self.meter.name,
            boundary=self.meter.boundary,
            kind=self.meter.kind,
            window_ns=window_ns,
            energy_uj=energy_uj,
            u_ratio=self.meter.u_ratio,
            samples=50,
            idle_uj=uj_from_uw_ns(self.idle_uw * (1 + wave), window_ns),
            cumulative_uj=self._total_uj,
        )
        return (reading,)

    def _info(self, slots: tuple[SlotInfo, ...]) -> DeviceInfo:
        meters = (*([self.meter] if self.meter else []), *self.refused)
        return DeviceInfo(
            device_id=self.device_id,
            boot_id=self.boot_id,
            board=self.board,
            arch="aarch64",
            os_release="Debian GNU/Linux 12",
            python="3.11.2",
            agent_version="0.1.0",
            ram_bytes=4 << 30,
            runtime="ai-edge-litert 2.3.0",
            threads=1,
            meters=meters,
            slots=slots,
        )
