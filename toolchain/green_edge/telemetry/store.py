"""What the workstation keeps of its devices: the contract of a store and the records it gives.

A store is safe to call from several threads. Its writes are durable when the call, or the `batch`
around it, has returned: only then may a watermark be acknowledged to the device.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal, Protocol

from green_edge_wire.device import DeviceInfo, MeterInfo, Reported, SlotInfo, Status, UpdateState
from green_edge_wire.errors import GreenEdgeError
from green_edge_wire.telemetry import Boundary, Event, MeterKind, Sample


class StoreError(GreenEdgeError):
    """The store failed now and may succeed later: disk full, locked, not readable.

    Nothing of the call that raised it was kept, and nothing of it may be acknowledged.
    """


@dataclass(frozen=True, slots=True)
class Watermark:
    """Everything of a boot up to and with `seq` is committed or given up by the device.

    0 while the first record is missing.
    """

    device_id: str
    boot_id: str
    seq: int


@dataclass(frozen=True, slots=True)
class UnreadRecord:
    """A record that this version cannot decode, kept as it came until a version can.

    It has its place in the boot's sequence, so it holds no watermark back, but no figure: a window
    of this kind counts as missing until it is read.

    Attributes:
        channel: which one it came on, `telemetry` or `event`.
        text: the record as JSON.
        reason: why it cannot be decoded.
    """

    device_id: str
    boot_id: str
    seq: int
    channel: Literal["telemetry", "event"]
    text: str
    reason: str
    first_kept_seq: int = 1


Record = Sample | Event | UnreadRecord


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """A device as the workstation knows it; texts are empty while unknown.

    Attributes:
        last_seen_unix_ms: when anything of it last arrived, on this machine's clock.
        since_unix_ms: when the newest start of its agent announced itself, or, off line, when that
            was told to have gone or was last heard; on this machine's clock, absent while unknown.
        desired_sha256: bundle of its newest rollout, else what the device says it was told.
        reported_sha256: bundle that the device says is active.
        state: of the newest update, as the device reports it; absent before the first report.
        reason: why an update was refused or failed.
        runs_on: what its model runs on, as the device reports it: `cpu`, `edgetpu`, or `none` where
            it may run on the Edge TPU alone and that does not work.
        problems: one line each for a person, such as two agents using the id.
    """

    device_id: str
    site: str
    online: bool
    last_seen_unix_ms: int
    since_unix_ms: int | None = None
    board: str = ""
    runtime: str = ""
    agent_version: str = ""
    desired_sha256: str = ""
    reported_sha256: str = ""
    state: UpdateState | None = None
    reason: str = ""
    runs_on: str = ""
    slots: tuple[SlotInfo, ...] = ()
    meters: tuple[MeterInfo, ...] = ()
    groups: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Figure:
    """What one artefact did on one device, as one meter saw it.

    Figures of unlike meter, boundary or kind are rows of their own and never added: such rows of
    one artefact repeat its inferences and latency.

    Attributes:
        inferences: that ended in the windows asked for, metered or not.
        errors: inferences that failed.
        p50_us: nearest-rank quantile of the merged histogram, within 1.6 %; as p95_us, p99_us.
        mean_us: exact mean latency.
        energy_uj: gross energy of all windows, idle ones too, from the cumulative figures, so that
            a lost record loses no joule.
        energy_uj_per_inference: gross energy over inferences of the valid windows in which an
            inference ended.
        net_uj_per_inference: the same less the idle energy, over those of these windows whose idle
            energy is known.
        u_ratio: expanded uncertainty (k=2) of the gross energy per inference, relative. A meter's
            error is taken as common to all of its windows, so it does not average out.
        energy_inferences: inferences that the energy per inference rests on.
        windows: reporting windows that arrived.
        windows_invalid: those of them whose energy is flagged as not to be counted.
        windows_missing: records that the device gave up, windows that this version cannot read,
            and one for each unclean end.
        flags: of all readings, and `net-partial` where some windows lack their idle energy.
    """

    device_id: str
    model: str
    model_version: int
    artifact_sha256: str
    inferences: int
    errors: int
    p50_us: float | None = None
    p95_us: float | None = None
    p99_us: float | None = None
    mean_us: float | None = None
    meter: str | None = None
    boundary: Boundary | None = None
    kind: MeterKind | None = None
    energy_uj: int | None = None
    energy_uj_per_inference: float | None = None
    net_uj_per_inference: float | None = None
    u_ratio: float | None = None
    energy_inferences: int = 0
    windows: int = 0
    windows_invalid: int = 0
    windows_missing: int = 0
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Point:
    """One step of a plot over time: all windows that ended in it.

    Where several meters measured, the best kind is shown (counter, mean, point, modelled), and the
    point names it, because the next one may rest on another.

    Attributes:
        t_unix_ms: begin of the step.
        power_uw: mean power of the valid windows.
        energy_uj_per_inference: as in `Figure`.
        windows: reporting windows in the step.
        window_ns: their lengths together; inferences over it are a rate.
    """

    t_unix_ms: int
    inferences: int
    windows: int
    window_ns: int = 0
    errors: int = 0
    p50_us: float | None = None
    p95_us: float | None = None
    power_uw: int | None = None
    energy_uj_per_inference: float | None = None
    meter: str | None = None
    boundary: Boundary | None = None
    kind: MeterKind | None = None


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event with the moment it arrived here."""

    device_id: str
    boot_id: str
    seq: int
    at_unix_ms: int
    received_unix_ms: int
    kind: str
    message: str
    facts: dict[str, str | int] = field(default_factory=dict)


RolloutState = Literal["pending", "announced", "done", "failed", "refused", "silent", "skipped"]
OPEN_STATES: frozenset[RolloutState] = frozenset({"pending", "announced"})


@dataclass(frozen=True, slots=True)
class RolloutDevice:
    """One device of a rollout.

    Attributes:
        envelope: JSON of the signed `desired` envelope that the collector's process publishes.
        started_unix_ms: when the device was put into the rollout or told, on this machine's clock.
        ended_unix_ms: when it came to its final state; absent before.
    """

    device_id: str
    site: str
    envelope: str
    state: RolloutState = "pending"
    reason: str = ""
    started_unix_ms: int = 0
    ended_unix_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Rollout:
    """A bundle on its way to devices."""

    rollout_id: str
    bundle_sha256: str
    model: str
    model_version: int
    created_unix_ms: int
    deadline_unix_ms: int
    devices: tuple[RolloutDevice, ...] = ()


class Telemetry(Protocol):
    """The part of a store that the collector writes."""

    def batch(self) -> AbstractContextManager[None]:
        """Make all writes inside of one thread's `with` block one transaction.

        Raises:
            StoreError: at the end, or at any write within; then none of them was kept.
        """
        ...

    def commit(
        self, records: Sequence[Record], *, site: str, received_unix_ms: int
    ) -> tuple[Watermark, ...]:
        """Keep records; a record that is there already, by device, boot and seq, changes nothing.

        Only a record that can be read takes the place of an unread one.

        Returns:
            The watermark of every boot that `records` name, also where nothing was new.
        """
        ...

    def reread(self) -> int:
        """Commit the unread records that can be decoded by now; returns how many."""
        ...

    def put_status(self, site: str, status: Status, received_unix_ms: int) -> None:
        """Note a birth or last will; the end of another boot than the newest one is ignored."""
        ...

    def put_info(self, site: str, info: DeviceInfo, received_unix_ms: int) -> None:
        """Note what a device is."""
        ...

    def put_reported(self, site: str, reported: Reported, received_unix_ms: int) -> None:
        """Note the state of a device's newest update."""
        ...


class Rollouts(Protocol):
    """The part of a store that updates of devices rest on."""

    def next_counter(self, device_id: str, key_id: str, at_least: int) -> int:
        """Take a counter for an envelope: greater than every earlier one of the pair.

        Args:
            device_id: the device that the envelope is for.
            key_id: the key that signs it.
            at_least: floor, such as the wall clock in milliseconds, for the case that the store
                was lost and the device remembers.
        """
        ...

    def create_rollout(self, rollout: Rollout) -> None:
        """Keep a new rollout with its devices.

        Raises:
            ConfigError: its id is taken.
        """
        ...

    def rollout(self, rollout_id: str) -> Rollout | None:
        """Rollout by id; None when there is none."""
        ...

    def rollout_devices(self, rollout_id: str) -> tuple[RolloutDevice, ...]:
        """Devices of a rollout, in the order they were given; empty when there is none."""
        ...

    def open_rollouts(self) -> tuple[Rollout, ...]:
        """Rollouts with a device that is pending or announced, oldest first."""
        ...

    def set_rollout_device(self, rollout_id: str, device: RolloutDevice) -> None:
        """Replace what is kept of one device of a rollout."""
        ...


class Store(Telemetry, Rollouts, Protocol):
    """All that the workstation keeps."""

    def devices(self, now_unix_ms: int | None = None) -> tuple[DeviceRow, ...]:
        """All devices, by id.

        Args:
            now_unix_ms: this machine's clock; a device that has been silent for too long by then
                is off line. Without it devices are as they were last told to be.
        """
        ...

    def figures(
        self,
        *,
        since_unix_ms: int | None = None,
        until_unix_ms: int | None = None,
        device_id: str | None = None,
        model: str | None = None,
    ) -> tuple[Figure, ...]:
        """Merged figures of the windows that ended in [since, until), by device, model, meter."""
        ...

    def series(
        self, device_id: str, *, since_unix_ms: int, until_unix_ms: int, points: int = 300
    ) -> tuple[Point, ...]:
        """At most `points` steps of equal length over [since, until), without the empty ones."""
        ...

    def events(self, *, device_id: str | None = None, limit: int = 100) -> tuple[EventRow, ...]:
        """Newest events first."""
        ...

    def close(self) -> None:
        """Close the store; it cannot be used any more."""
        ...
