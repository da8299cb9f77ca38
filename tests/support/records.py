"""Samples and events as a device would make them, from a few numbers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from green_edge.telemetry.store import UnreadRecord
from green_edge_wire.device import DeviceInfo, MeterInfo, Reported, SlotInfo, Status, UpdateState
from green_edge_wire.latency import LatencyHistogram
from green_edge_wire.telemetry import Boundary, EnergyReading, Event, EventKind, MeterKind, Sample
from green_edge_wire.units import MS_PER_S, NS_PER_S, ns_from_s

T0_UNIX_MS = 1_700_000_000_000
ARTEFACT_A = "a" * 64
ARTEFACT_B = "b" * 64
BOOT_A = "00000000000000aa"
BOOT_B = "00000000000000bb"


def reading(
    energy_uj: int = 10_000_000,
    *,
    cumulative_uj: int | None = None,
    idle_uj: int | None = 8_000_000,
    meter: str = "hwmon:ina226",
    boundary: Boundary = "board-dc-in",
    kind: MeterKind = "mean",
    u_ratio: float = 0.02,
    window_s: float = 5.0,
    flags: tuple[str, ...] = (),
) -> EnergyReading:
    """Reading of one window; cumulative as if it were the first."""
    return EnergyReading(
        meter=meter,
        boundary=boundary,
        kind=kind,
        window_ns=ns_from_s(window_s),
        energy_uj=energy_uj,
        u_ratio=u_ratio,
        samples=100,
        idle_uj=idle_uj,
        cumulative_uj=energy_uj if cumulative_uj is None else cumulative_uj,
        flags=flags,
    )


def sample(
    seq: int = 1,
    *,
    device_id: str = "pi-kitchen",
    boot_id: str = BOOT_A,
    latencies_us: Sequence[int] = (2_000,) * 50,
    energy: tuple[EnergyReading, ...] = (),
    artefact: str = ARTEFACT_A,
    model: str = "digits",
    model_version: int = 1,
    errors: int = 0,
    window_s: float = 5.0,
    ended_at_unix_ms: int | None = None,
    cut: bool = False,
    first_kept_seq: int = 1,
) -> Sample:
    """One window; window `seq` ends `seq` windows after T0 unless told otherwise."""
    ended = T0_UNIX_MS + round(seq * window_s * MS_PER_S)
    return Sample(
        device_id=device_id,
        boot_id=boot_id,
        seq=seq,
        window_start_mono_ns=ns_from_s((seq - 1) * window_s),
        window_ns=ns_from_s(window_s),
        ended_at_unix_ms=ended if ended_at_unix_ms is None else ended_at_unix_ms,
        artifact_sha256=artefact,
        model=model,
        model_version=model_version,
        latency=LatencyHistogram.of(us * 1_000 for us in latencies_us),
        errors=errors,
        energy=energy,
        cumulative_inferences=seq * len(latencies_us),
        cut=cut,
        first_kept_seq=first_kept_seq,
    )


@dataclass(frozen=True, slots=True)
class Steady:
    """A device that does the same in every window: 50 inferences of 2 ms at 2 W, idle 1.6 W."""

    device_id: str = "pi-kitchen"
    boot_id: str = BOOT_A
    window_uj: int = 10_000_000
    idle_uj: int = 8_000_000

    def window(self, seq: int, *, first_kept_seq: int = 1) -> Sample:
        """Window `seq` with the cumulative energy of all before it."""
        return sample(
            seq,
            device_id=self.device_id,
            boot_id=self.boot_id,
            energy=(
                reading(self.window_uj, cumulative_uj=seq * self.window_uj, idle_uj=self.idle_uj),
            ),
            first_kept_seq=first_kept_seq,
        )

    def windows(self, seqs: Iterable[int]) -> list[Sample]:
        """Several windows."""
        return [self.window(seq) for seq in seqs]


def unread(
    seq: int = 1,
    *,
    device_id: str = "pi-kitchen",
    boot_id: str = BOOT_A,
    channel: Literal["telemetry", "event"] = "telemetry",
    text: str = '{"from": "the future"}',
    first_kept_seq: int = 1,
) -> UnreadRecord:
    """A record that this version cannot decode."""
    return UnreadRecord(
        device_id=device_id,
        boot_id=boot_id,
        seq=seq,
        channel=channel,
        text=text,
        reason="latency: missing",
        first_kept_seq=first_kept_seq,
    )


def event(
    seq: int = 1,
    *,
    device_id: str = "pi-kitchen",
    boot_id: str = BOOT_A,
    kind: EventKind = "boot",
    message: str = "started",
    at_unix_ms: int = T0_UNIX_MS,
    facts: dict[str, str | int] | None = None,
    first_kept_seq: int = 1,
) -> Event:
    """Something that happened."""
    return Event(
        device_id=device_id,
        boot_id=boot_id,
        seq=seq,
        at_unix_ms=at_unix_ms,
        kind=kind,
        message=message,
        facts=facts if facts is not None else {},
        first_kept_seq=first_kept_seq,
    )


def status(
    *,
    online: bool = True,
    device_id: str = "pi-kitchen",
    boot_id: str = BOOT_A,
    at_unix_ms: int = T0_UNIX_MS,
) -> Status:
    """A birth, or a last will."""
    return Status(device_id=device_id, boot_id=boot_id, online=online, at_unix_ms=at_unix_ms)


def info(*, device_id: str = "pi-kitchen", boot_id: str = BOOT_A) -> DeviceInfo:
    """A Raspberry Pi 4 with one meter that works and one that does not."""
    return DeviceInfo(
        device_id=device_id,
        boot_id=boot_id,
        board="Raspberry Pi 4 Model B Rev 1.4",
        arch="aarch64",
        os_release="Debian GNU/Linux 12 (bookworm)",
        python="3.11.2",
        agent_version="0.1.0",
        ram_bytes=4 * NS_PER_S,
        runtime="ai-edge-litert 2.3.0",
        threads=1,
        meters=(
            MeterInfo("hwmon:ina226", "mean", "board-dc-in", "the whole board", 0.02),
            MeterInfo("rapl", "counter", "cpu-package", "the processor", 0.1, "no such zone"),
        ),
        slots=(SlotInfo("a", "active", ARTEFACT_A, "digits", 1), SlotInfo("b", "empty")),
    )


def reported(
    state: UpdateState = "active",
    *,
    device_id: str = "pi-kitchen",
    boot_id: str = BOOT_A,
    active_sha256: str = ARTEFACT_A,
    desired_sha256: str = ARTEFACT_A,
    rollout_id: str = "",
    reason: str = "",
) -> Reported:
    """State of an update."""
    return Reported(
        device_id=device_id,
        boot_id=boot_id,
        at_unix_ms=T0_UNIX_MS,
        state=state,
        active_sha256=active_sha256,
        desired_sha256=desired_sha256,
        rollout_id=rollout_id,
        reason=reason,
        slots=(SlotInfo("a", "active", active_sha256, "digits", 1), SlotInfo("b", "empty")),
    )
