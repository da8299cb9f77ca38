"""From a letter to records: whom it is from, whether it can be believed to be. Pure.

A newer device may send records that this version cannot decode. Such a one is kept as it came as
long as its place in the sequence can be read, or the boot's watermark would stand before it for
ever and the device send it again and again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from green_edge.telemetry.mailbox import Letter
from green_edge.telemetry.store import Record, UnreadRecord
from green_edge_wire import codec, topics
from green_edge_wire.codec import Unread
from green_edge_wire.device import DeviceInfo, Reported, Status
from green_edge_wire.errors import DecodeError
from green_edge_wire.telemetry import Event, Sample, check_position
from green_edge_wire.topics import Address, Up

State = Status | DeviceInfo | Reported

_STATES: Final[dict[Up, type[State]]] = {
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
        unread: how many of `records` this version cannot decode.
        reason: why the first of those two kinds cannot be decoded; empty without any.
    """

    address: Address
    channel: Up
    received_unix_ms: int
    records: tuple[Record, ...] = ()
    state: State | None = None
    foreign: int = 0
    unplaced: int = 0
    unread: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A letter that holds nothing readable, and why."""

    address: Address
    channel: Up
    reason: str


@dataclass(frozen=True, slots=True)
class _Place:
    """The least that must be readable of a record; other keys are passed over."""

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
    if parsed is None:
        return None
    address, channel = parsed
    try:
        match channel:
            case Up.TELEMETRY:
                found = codec.unpack_each(Sample, letter.payload)
                return _records(address, channel, letter, _placed(found, "telemetry"))
            case Up.EVENT:
                events = codec.unpack_each(Event, letter.payload)
                return _records(address, channel, letter, _placed(events, "event"))
            case Up.STATUS | Up.INFO | Up.REPORTED:
                return _state(address, channel, letter)
            case _:
                return None
    except DecodeError as error:
        return Unreadable(address, channel, str(error))
