"""From a letter to records: whom it is from, whether it can be believed to be. Pure.

A newer device may send records that this version cannot decode. Such a one is kept as it came as
long as its place in the sequence can be read: without it the boot's watermark would stand before
it for ever, and the device would send it again and again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from green_edge.telemetry.mailbox import Letter
from green_edge.telemetry.store import Record, UnreadRecord
from green_edge.telemetry.windows import implausible
from green_edge_wire import codec, topics
from green_edge_wire.codec import Unread
from green_edge_wire.device import DeviceInfo, Reported, Status
from green_edge_wire.errors import DecodeError
from green_edge_wire.telemetry import Event, Sample, check_position
from green_edge_wire.topics import Address, Channel, Up

State = Status | DeviceInfo | Reported

_STATES: Final[dict[Channel, type[State]]] = {
    Up.STATUS: Status,
    Up.INFO: DeviceInfo,
    Up.REPORTED: Reported,
}
# Channels that the collector reads.
CHANNELS: Final = (*_STATES, Up.EVENT, Up.TELEMETRY)


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a letter holds: records, or a state of the device.

    Attributes:
        records: what is to be kept, unread ones among it.
        foreign: records that name another device than the topic, and were left out.
        unplaced: records left out because not even their place in the sequence can be read.
        reason: why the first record that is unread or unplaced cannot be decoded.
    """

    address: Address
    channel: Channel
    received_unix_ms: int
    records: tuple[Record, ...] = ()
    state: State | None = None
    foreign: int = 0
    unplaced: int = 0
    reason: str = ""

    @property
    def unread(self) -> int:
        """How many of `records` this version cannot decode."""
        return sum(isinstance(record, UnreadRecord) for record in self.records)

    @property
    def implausible(self) -> int:
        """How many of `records` claim what cannot be."""
        return sum(
            implausible(record) for record in self.records if not isinstance(record, UnreadRecord)
        )


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A letter that holds nothing readable, and why."""

    address: Address
    channel: Channel
    reason: str


@dataclass(frozen=True, slots=True)
class _Place:
    """The least of a record that must be readable."""

    device_id: str
    boot_id: str
    seq: int

    def __post_init__(self) -> None:
        check_position(self.seq, first_kept_seq=1)


@dataclass(frozen=True, slots=True)
class _Spool:
    first_kept_seq: int = 1


def read(letter: Letter) -> Delivery | Unreadable | None:
    """Decode a letter; None when its topic is none that the collector reads.

    A broker lets a device publish under its own name only, so the topic tells who speaks; a record
    that says otherwise is a forgery or a misconfigured copy.
    """
    parsed = topics.parse(letter.topic)
    if parsed is None or parsed[1] not in CHANNELS:
        return None
    address, channel = parsed
    start = Delivery(address, channel, letter.received_unix_ms)
    try:
        match channel:
            case Up.TELEMETRY:
                samples = codec.unpack_each(Sample, letter.payload)
                return _with_records(start, samples, "telemetry")
            case Up.EVENT:
                return _with_records(start, codec.unpack_each(Event, letter.payload), "event")
            case _:
                return _with_state(start, letter.payload)
    except DecodeError as error:
        return Unreadable(address, channel, str(error))


def _with_records(
    delivery: Delivery,
    items: Sequence[Sample | Event | Unread],
    channel: Literal["telemetry", "event"],
) -> Delivery:
    placed = [_placed(item, channel) if isinstance(item, Unread) else item for item in items]
    found = [record for record in placed if record is not None]
    own = [record for record in found if record.device_id == delivery.address.device_id]
    return replace(
        delivery,
        records=tuple(own),
        foreign=len(found) - len(own),
        unplaced=len(placed) - len(found),
        reason=next((item.reason for item in items if isinstance(item, Unread)), ""),
    )


def _placed(item: Unread, channel: Literal["telemetry", "event"]) -> UnreadRecord | None:
    """The record as it came, in its place; None where that cannot be read."""
    try:
        place = codec.loads(_Place, item.text, strict=False)
    except DecodeError:
        return None
    return UnreadRecord(
        device_id=place.device_id,
        boot_id=place.boot_id,
        seq=place.seq,
        channel=channel,
        text=item.text,
        reason=item.reason,
        first_kept_seq=_first_kept_seq(item.text, place.seq),
    )


def _first_kept_seq(text: str, seq: int) -> int:
    """What the device says of its spool; 1, which gives nothing up, where it cannot be."""
    try:
        said = codec.loads(_Spool, text, strict=False).first_kept_seq
    except DecodeError:
        return 1
    return said if 1 <= said <= seq else 1


def _with_state(delivery: Delivery, payload: bytes) -> Delivery:
    # An empty retained message is how a broker is told to forget the state.
    if not payload:
        return delivery
    state = codec.unpack_one(_STATES[delivery.channel], payload)
    if state.device_id != delivery.address.device_id:
        return replace(delivery, foreign=1)
    return replace(delivery, state=state)
