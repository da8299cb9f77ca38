"""Orders as they come from the broker: judged, and their counters kept, before anything is done."""

from dataclasses import dataclass, replace

from green_edge_agent.install import decide
from green_edge_agent.install.slots import Slots
from green_edge_agent.install.state import Seen, with_seen
from green_edge_wire import codec
from green_edge_wire.archive import Verify
from green_edge_wire.command import Command, Desired, Envelope
from green_edge_wire.errors import DecodeError
from green_edge_wire.topics import Down


@dataclass(frozen=True, slots=True)
class Order:
    """A genuine order; `new` is false when it is the one that was accepted last."""

    desired: Desired
    counter: int
    new: bool


@dataclass(frozen=True, slots=True)
class Rejection:
    """A message without force. `desired` is what it asked for where it can be read, unproven."""

    reason: str
    counter: int = 0
    desired: Desired | None = None


class Orders:
    """Judges envelopes and keeps the highest counter of each key and channel on disk.

    Args:
        slots: keeps the counters and the newest order.
        verify: the trusted keys.
        device_id: ours.
    """

    def __init__(self, slots: Slots, verify: Verify, device_id: str) -> None:
        self._slots = slots
        self._verify = verify
        self._device_id = device_id

    def standing(self) -> Order | Rejection | None:
        """The newest order that was accepted, in this start of the agent or an earlier one.

        It is judged anew but for its counter: its key may have left `[trust]` since, the device may
        have another id, and an earlier agent may have accepted what this one does not.
        """
        envelope = self._slots.state.desired
        if envelope is None:
            return None
        verdict = decide.judge(
            Down.DESIRED, envelope, device_id=self._device_id, verify=self._verify, seen=None
        )
        if isinstance(verdict, decide.Rejected):
            claimed = _claimed(Down.DESIRED, envelope)
            return Rejection(
                f"the standing order lost its force: {verdict.reason}", envelope.counter, claimed
            )
        desired = _read(envelope)
        if isinstance(desired, Rejection):
            return desired
        return Order(desired, envelope.counter, new=False)

    def desired(self, payload: bytes) -> Order | Rejection:
        """Judge a message of the `desired` channel; a new order is on disk before it is returned.

        Raises:
            DeviceError: the disk refused the counter; the order must not be carried out.
        """
        opened = self._open(Down.DESIRED, payload)
        if isinstance(opened, Rejection):
            return opened
        envelope, seen = opened
        desired = _read(envelope)
        if isinstance(desired, Rejection):
            return desired
        if seen is None:
            return Order(desired, envelope.counter, new=False)
        place = _place(Down.DESIRED, envelope)
        self._slots.change(lambda state: replace(with_seen(state, place, seen), desired=envelope))
        return Order(desired, envelope.counter, new=True)

    def command(self, payload: bytes, unix_ms: int) -> Command | Rejection | None:
        """Judge a message of the `cmd` channel; None when it was obeyed before.

        Args:
            payload: of the message.
            unix_ms: time by the wall clock, for the expiry.

        Raises:
            DeviceError: the disk refused the counter; the command must not be obeyed.
        """
        opened = self._open(Down.CMD, payload)
        if isinstance(opened, Rejection):
            return opened
        envelope, seen = opened
        if seen is None:
            return None
        place = _place(Down.CMD, envelope)
        self._slots.change(lambda state: with_seen(state, place, seen))
        try:
            command = codec.loads(Command, envelope.body, strict=False)
        except DecodeError as error:
            return Rejection(f"unreadable command: {error.message}", envelope.counter)
        if decide.expired(command, unix_ms):
            return Rejection(f"{command.verb} has expired", envelope.counter)
        return command

    def _open(
        self, channel: decide.SignedChannel, payload: bytes
    ) -> tuple[Envelope, Seen | None] | Rejection:
        """A genuine envelope, with its new highest counter unless it is a repetition."""
        try:
            envelope = codec.unpack_one(Envelope, payload)
        except DecodeError as error:
            return Rejection(f"not an envelope: {error.message}")
        verdict = decide.judge(
            channel,
            envelope,
            device_id=self._device_id,
            verify=self._verify,
            seen=self._slots.state.seen.get(_place(channel, envelope)),
        )
        match verdict:
            case decide.Accepted(seen):
                return envelope, seen
            case decide.Repeated():
                return envelope, None
            case decide.Rejected(reason):
                return Rejection(reason, envelope.counter, _claimed(channel, envelope))


def _place(channel: decide.SignedChannel, envelope: Envelope) -> str:
    return f"{channel}:{envelope.key_id}"


def _read(envelope: Envelope) -> Desired | Rejection:
    """The order in a genuine envelope, if it is one that can be carried out."""
    try:
        desired = codec.loads(Desired, envelope.body, strict=False)
    except DecodeError as error:
        return Rejection(f"unreadable order: {error.message}", envelope.counter)
    flaw = decide.flaw_of(desired)
    return desired if flaw is None else Rejection(flaw, envelope.counter, desired)


def _claimed(channel: decide.SignedChannel, envelope: Envelope) -> Desired | None:
    """What a rejected envelope asked for, so that its sender's rollout hears the reason."""
    if channel is not Down.DESIRED:
        return None
    try:
        return codec.loads(Desired, envelope.body, strict=False)
    except DecodeError:
        return None
