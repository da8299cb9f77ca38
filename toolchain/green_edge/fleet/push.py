"""Putting a bundle on devices: who would refuse it, the signed orders, and how it goes on."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from green_edge.bundle.envelope import sign_desired
from green_edge.bundle.keys import SigningKey
from green_edge.fleet import rollout as rules
from green_edge.fleet.inventory import slot_in
from green_edge.telemetry.store import DeviceRow, Rollout, RolloutDevice, Rollouts, RolloutState
from green_edge_wire import codec
from green_edge_wire.archive import Bundle
from green_edge_wire.clock import Clock
from green_edge_wire.command import Desired
from green_edge_wire.errors import DeviceError
from green_edge_wire.units import MS_PER_S, ms_from_s

_POLL_S = 0.2
# The collector's process settles devices at the deadline; `push` does so itself when none lives.
_GRACE_MS = 3 * MS_PER_S


@dataclass(frozen=True, slots=True)
class Artefact:
    """What devices are told to run.

    Attributes:
        length_bytes: 0 where only the device itself has it.
        urls: where to fetch it; empty where only the device itself has it.
        allow_downgrade: take an older version than the active one.
    """

    sha256: str
    length_bytes: int
    urls: tuple[str, ...]
    model: str
    model_version: int
    allow_downgrade: bool = False


@dataclass(frozen=True, slots=True)
class Planned:
    """A device of a push; `refusal` is empty where it will be told."""

    row: DeviceRow
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class DeviceOutcome:
    """What became of one device (`push --json`)."""

    device_id: str
    state: RolloutState
    reason: str
    wall_s: float


@dataclass(frozen=True, slots=True)
class PushReport:
    """What became of a push (`push --json`)."""

    rollout_id: str
    bundle_sha256: str
    devices: tuple[DeviceOutcome, ...]

    @property
    def exit_code(self) -> int:
        """0 all done, 5 every device refused, 6 otherwise."""
        return rules.exit_code([device.state for device in self.devices])


def artefact_of(data: bytes, bundle: Bundle) -> Artefact:
    """What devices are told of a bundle.

    Args:
        data: the whole file.
        bundle: the same, opened: nothing leaves this machine that has not been checked.
    """
    manifest = bundle.manifest
    return Artefact(bundle.sha256, len(data), (), manifest.name, manifest.version)


def previous_artefact(row: DeviceRow) -> Artefact:
    """What a device ran before, as the order to go back to it.

    Raises:
        DeviceError: it has nothing to go back to.
    """
    slot = slot_in(row, "previous")
    if slot is None or not slot.sha256:
        raise DeviceError(
            f"device {row.device_id!r} has no previous model",
            hint="push the wanted bundle instead",
        )
    return Artefact(slot.sha256, 0, (), slot.model, slot.model_version, allow_downgrade=True)


def plan(rows: Sequence[DeviceRow], artefact: Artefact) -> tuple[Planned, ...]:
    """Which devices are told, and which would refuse, by what they last reported."""
    return tuple(Planned(row, _refusal(row, artefact)) for row in rows)


def rehearse(planned: Sequence[Planned], artefact: Artefact) -> PushReport:
    """What a push would do (`--dry-run`)."""
    outcomes = tuple(
        DeviceOutcome(item.row.device_id, "refused", item.refusal, 0.0)
        if item.refusal
        else DeviceOutcome(item.row.device_id, "skipped", _would(item.row, artefact), 0.0)
        for item in planned
    )
    return PushReport("", artefact.sha256, outcomes)


def begin(
    store: Rollouts,
    planned: Sequence[Planned],
    artefact: Artefact,
    signer: SigningKey,
    *,
    timeout_s: float,
    clock: Clock,
) -> Rollout:
    """Sign the orders and keep the rollout, from which the collector's process goes on.

    Args:
        store: shared with the collector's process.
        planned: the devices.
        artefact: what they should run.
        signer: a key that they trust.
        timeout_s: after this a device that has not reported counts as silent.
        clock: of this machine.
    """
    now = clock.unix_ms()
    rollout_id = secrets.token_hex(8)
    devices = tuple(
        _ordered(store, item, artefact, signer, rollout_id=rollout_id, now=now) for item in planned
    )
    rollout = Rollout(
        rollout_id=rollout_id,
        bundle_sha256=artefact.sha256,
        model=artefact.model,
        model_version=artefact.model_version,
        created_unix_ms=now,
        deadline_unix_ms=now + ms_from_s(timeout_s),
        devices=devices,
    )
    store.create_rollout(rollout)
    return rollout


def follow(
    store: Rollouts,
    rollout: Rollout,
    *,
    clock: Clock,
    wait: Callable[[float], object],
    changed: Callable[[RolloutDevice], None],
) -> PushReport:
    """Wait until every device of a rollout has come to its end.

    Args:
        store: in which the collector's process notes the progress.
        rollout: as `begin` gave it.
        clock: of this machine.
        wait: sleeps for some seconds.
        changed: told of each device whose state has changed.
    """
    seen: dict[str, tuple[str, str]] = {}
    while True:
        now = clock.unix_ms()
        devices = store.rollout_devices(rollout.rollout_id)
        if now >= rollout.deadline_unix_ms + _GRACE_MS:
            devices = tuple(_settle(store, rollout, device, now) for device in devices)
        for device in devices:
            if seen.get(device.device_id) != (device.state, device.reason):
                seen[device.device_id] = (device.state, device.reason)
                changed(device)
        if not any(map(rules.is_open, devices)):
            outcomes = tuple(_outcome(device) for device in devices)
            return PushReport(rollout.rollout_id, rollout.bundle_sha256, outcomes)
        wait(_POLL_S)


def _refusal(row: DeviceRow, artefact: Artefact) -> str:
    active = slot_in(row, "active")
    if active is None or artefact.allow_downgrade or active.sha256 == artefact.sha256:
        return ""
    if active.model != artefact.model or active.model_version <= artefact.model_version:
        return ""
    return (
        f"version {artefact.model_version} is older than the active {active.model_version}; "
        f"use: green-edge rollback {row.device_id}"
    )


def _would(row: DeviceRow, artefact: Artefact) -> str:
    active = slot_in(row, "active")
    if active is not None and active.sha256 == artefact.sha256:
        return "dry run; it runs this bundle already"
    instead = "" if active is None else f" instead of {active.model} {active.model_version}"
    return f"dry run; would get {artefact.model} {artefact.model_version}{instead}"


def _ordered(
    store: Rollouts,
    item: Planned,
    artefact: Artefact,
    signer: SigningKey,
    *,
    rollout_id: str,
    now: int,
) -> RolloutDevice:
    device_id, site = item.row.device_id, item.row.site
    if item.refusal:
        return RolloutDevice(device_id, site, "", "refused", item.refusal, now, now)
    # At least the clock: after the loss of the store the devices still remember older counters.
    counter = store.next_counter(device_id, signer.key_id, now)
    desired = Desired(
        rollout_id=rollout_id,
        artifact_sha256=artefact.sha256,
        length_bytes=artefact.length_bytes,
        urls=artefact.urls,
        model=artefact.model,
        model_version=artefact.model_version,
        allow_downgrade=artefact.allow_downgrade,
    )
    envelope = codec.dumps(sign_desired(signer, device_id, counter, desired))
    return RolloutDevice(device_id, site, envelope, started_unix_ms=now)


def _settle(store: Rollouts, rollout: Rollout, device: RolloutDevice, now: int) -> RolloutDevice:
    if not rules.is_open(device):
        return device
    silent = rules.given_up(device, now)
    store.set_rollout_device(rollout.rollout_id, silent)
    return silent


def _outcome(device: RolloutDevice) -> DeviceOutcome:
    ended = device.ended_unix_ms or device.started_unix_ms
    wall_s = (ended - device.started_unix_ms) / MS_PER_S
    return DeviceOutcome(device.device_id, device.state, device.reason, wall_s)
