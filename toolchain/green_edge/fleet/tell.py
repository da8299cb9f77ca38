"""Telling a device to do something now: a signed `cmd` envelope, and the device's own answer."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from green_edge.bundle.envelope import sign_cmd
from green_edge.bundle.keys import SigningKey
from green_edge.telemetry.store import DeviceRow, EventRow, Store
from green_edge_agent.transport.contract import Message, Transport
from green_edge_wire import codec
from green_edge_wire.clock import Clock
from green_edge_wire.command import Command, Envelope
from green_edge_wire.errors import ConfigError, DeviceError
from green_edge_wire.topics import Address, Down
from green_edge_wire.units import MS_PER_S

Verb = Literal["refresh", "release"]

_POLL_S = 0.2
# A command that a broker delivers much later is not what anybody wants any more.
_EXPIRES_AFTER_MS = 60 * MS_PER_S
_NEWEST_EVENTS = 50


@dataclass(frozen=True, slots=True)
class Answer:
    """What a device said to a command (`tell --json`)."""

    device_id: str
    verb: Verb
    done: bool
    message: str


@dataclass(frozen=True, slots=True)
class Telling:
    """A command that is ready to be sent to one device."""

    row: DeviceRow
    command: Command
    envelope: Envelope

    @property
    def message(self) -> Message:
        """For the broker, which does not keep it: who is off line is not told."""
        topic = Address(self.row.site, self.row.device_id).topic(Down.CMD)
        return Message(topic, codec.pack_one(self.envelope))


def prepare(
    store: Store,
    row: DeviceRow,
    verb: Verb | Literal["bench"],
    signer: SigningKey,
    clock: Clock,
    *,
    argument: str = "",
) -> Telling:
    """Sign a command.

    Args:
        store: keeps the counters.
        row: the device.
        verb: what it should do.
        signer: a key that the device trusts.
        clock: of this machine, for the expiry.
        argument: what the verb works on.

    Raises:
        DeviceError: the device is off line.
    """
    check_online(row)
    now = clock.unix_ms()
    command = Command(secrets.token_hex(8), verb, now + _EXPIRES_AFTER_MS, argument)
    counter = store.next_counter(row.device_id, signer.key_id, now)
    return Telling(row, command, sign_cmd(signer, row.device_id, counter, command))


def check_online(row: DeviceRow) -> None:
    """Refuse a device that would not hear a command.

    Raises:
        DeviceError: it is off line.
    """
    if not row.online:
        raise DeviceError(
            f"device {row.device_id!r} is off line", hint="commands are not kept for later"
        )


def to_release(row: DeviceRow, digest: str | None) -> str:
    """Digest to take out of quarantine: the one given, else that of its newest order.

    Raises:
        ConfigError: there is none.
    """
    argument = digest or row.desired_sha256
    if not argument:
        raise ConfigError(
            f"device {row.device_id!r} was never told to run a bundle",
            place="DIGEST",
            hint="name the SHA-256 of the bundle to release",
        )
    return argument


def send(
    telling: Telling,
    store: Store,
    transport: Transport,
    *,
    wait: Callable[[float], object],
    timeout_s: float,
) -> EventRow:
    """Send a command and wait for the device's event about it.

    Args:
        telling: as `prepare` gave it.
        store: in which the collector's process notes the events.
        transport: a connection to the broker, not yet started; stopped at the end.
        wait: sleeps for some seconds.
        timeout_s: how long to wait for the answer.

    Raises:
        DeviceError: no answer came in this time, or the device has gone.
    """
    transport.start(will=None, on_connect=lambda: _publish(transport, telling.message))
    gone = ""
    try:
        for _ in range(max(1, round(timeout_s / _POLL_S))):
            for event in store.events(device_id=telling.row.device_id, limit=_NEWEST_EVENTS):
                if _is_about(telling, event):
                    return event
            if gone:
                raise DeviceError(
                    f"device {telling.row.device_id!r} {gone} before it answered",
                    hint="see what it says of it: green-edge devices; then try again",
                )
            # What it said last may be noted after this: events are read once more.
            gone = _gone(telling.row, store)
            wait(_POLL_S)
    finally:
        transport.stop()
    raise DeviceError(
        f"device {telling.row.device_id!r} did not answer within {timeout_s:g} s",
        hint="see that 'green-edge up' runs, which notes its answer; it may still be at it",
    )


def _gone(row: DeviceRow, store: Store) -> str:
    """What became of a device that will not answer any more; empty where it may."""
    now = next((each for each in store.devices() if each.device_id == row.device_id), row)
    if not now.online:
        return "went off line"
    return "" if now.since_unix_ms == row.since_unix_ms else "started anew"


def _publish(transport: Transport, message: Message) -> None:
    transport.publish(message)


def obeyed(event: EventRow) -> bool:
    """Whether a device's event about a command says that it did it."""
    return event.kind == "command"


def _is_about(telling: Telling, event: EventRow) -> bool:
    facts = event.facts
    if event.kind == "command":
        return facts.get("id") == telling.command.id
    return event.kind == "refused" and facts.get("counter") == telling.envelope.counter
