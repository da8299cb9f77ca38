"""The rules of a rollout: what becomes of each device, and what to do next. No I/O.

    pending --published--> announced --reported--> done | failed | refused
       |                       |
       +------ deadline -------+------------------> silent
       +------ a newer rollout for the device ----> skipped

A device that could not install the bundle and says that it tries again stays announced, with its
reason, until the deadline. A final state stays, with one exception: a device whose self-test failed
may still come to run the bundle while the rollout is open to others.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from green_edge.telemetry.store import OPEN_STATES, Rollout, RolloutDevice, RolloutState
from green_edge_wire.device import Reported, UpdateState

_FINAL: dict[UpdateState, RolloutState] = {
    "active": "done",
    "refused": "refused",
    "failed": "failed",
}


@dataclass(frozen=True, slots=True)
class Publish:
    """Send a device its envelope, then note that it was announced."""

    rollout_id: str
    device: RolloutDevice


@dataclass(frozen=True, slots=True)
class Settle:
    """Keep the new state of a device."""

    rollout_id: str
    device: RolloutDevice


def is_open(device: RolloutDevice) -> bool:
    """Whether anything may still happen to a device in its rollout."""
    return device.state in OPEN_STATES


def next_steps(
    rollouts: Sequence[Rollout], now_unix_ms: int, *, again: bool = False
) -> tuple[Publish | Settle, ...]:
    """What the open rollouts call for now.

    Args:
        rollouts: the open ones, oldest first.
        now_unix_ms: this machine's clock.
        again: also publish what was announced before, because the broker may have forgotten it.
    """
    newest = {
        (device.site, device.device_id): rollout.rollout_id
        for rollout in rollouts
        for device in rollout.devices
        # One that was refused before it was told anything has not changed what its device shall do.
        if device.envelope
    }
    steps: list[Publish | Settle] = []
    for rollout in rollouts:
        for device in filter(is_open, rollout.devices):
            last = newest.get((device.site, device.device_id)) == rollout.rollout_id
            steps += _device_steps(rollout, device, now_unix_ms, last=last, again=again)
    return tuple(steps)


def announced(device: RolloutDevice, now_unix_ms: int) -> RolloutDevice:
    """Device after its envelope was handed to the broker, for the first time or once more."""
    if device.state != "pending":
        return device
    return replace(device, state="announced", started_unix_ms=now_unix_ms)


def after_report(rollout: Rollout, reported: Reported, now_unix_ms: int) -> RolloutDevice | None:
    """New state of a device after its report; None when the report changes nothing.

    Reports on other rollouts are retained by the broker for ever and mean nothing here.
    """
    device = next((d for d in rollout.devices if d.device_id == reported.device_id), None)
    state: RolloutState | None = _FINAL.get(reported.state)
    if state == "failed" and reported.retrying:
        state = "announced"
    if device is None or state is None or reported.rollout_id != rollout.rollout_id:
        return None
    if state == "done" and reported.active_sha256 != rollout.bundle_sha256:
        return None
    mended = device.state == "failed" and state == "done"
    if not is_open(device) and not mended:
        return None
    ended = None if state in OPEN_STATES else now_unix_ms
    return replace(device, state=state, reason=reported.reason, ended_unix_ms=ended)


def given_up(device: RolloutDevice, now_unix_ms: int) -> RolloutDevice:
    """Device whose time is over, with the reason as far as the host can see it."""
    if device.state == "announced" and device.reason:
        return replace(device, state="failed", ended_unix_ms=now_unix_ms)
    reason = (
        "nothing published the order; is 'green-edge up' running?"
        if device.state == "pending"
        else "the device did not report before the deadline"
    )
    return replace(device, state="silent", reason=reason, ended_unix_ms=now_unix_ms)


def exit_code(states: Sequence[RolloutState]) -> int:
    """Exit code of `push`: 0 all done, 5 every target refused the artefact, 6 otherwise."""
    if all(state == "done" for state in states):
        return 0
    return 5 if all(state == "refused" for state in states) else 6


def _device_steps(
    rollout: Rollout, device: RolloutDevice, now_unix_ms: int, *, last: bool, again: bool
) -> Iterator[Publish | Settle]:
    if not last:
        reason = "a newer rollout took its place"
        skipped = replace(device, state="skipped", reason=reason, ended_unix_ms=now_unix_ms)
        yield Settle(rollout.rollout_id, skipped)
    elif now_unix_ms >= rollout.deadline_unix_ms:
        yield Settle(rollout.rollout_id, given_up(device, now_unix_ms))
    elif again or device.state == "pending":
        yield Publish(rollout.rollout_id, device)
