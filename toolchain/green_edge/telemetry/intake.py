"""From a letter to records: whom it is from, whether it can be believed to be. Pure."""

from dataclasses import dataclass
from typing import Final

from green_edge.telemetry.mailbox import Letter
from green_edge_wire import codec, topics
from green_edge_wire.device import DeviceInfo, Reported, Status
from green_edge_wire.errors import DecodeError
from green_edge_wire.telemetry import Event, Sample
from green_edge_wire.topics import Address, Channel, Up

Record = Sample | Event
State = Status | DeviceInfo | Reported

# Channels that the collector reads.
CHANNELS: Final = (Up.STATUS, Up.INFO, Up.REPORTED, Up.EVENT, Up.TELEMETRY)


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a letter holds: records, or a state of the device.

    Attributes:
        foreign: records that name another device than the topic, and were left out.
    """

    address: Address
    received_unix_ms: int
    records: tuple[Record, ...] = ()
    state: State | None = None
    foreign: int = 0


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A letter that holds nothing readable, and why."""

    address: Address
    reason: str


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
        found = _decoded(channel, letter.payload)
    except DecodeError as error:
        return Unreadable(address, str(error))
    own = tuple(item for item in found if item.device_id == address.device_id)
    return Delivery(
        address,
        letter.received_unix_ms,
        records=tuple(item for item in own if isinstance(item, Sample | Event)),
        state=next(
            (item for item in own if isinstance(item, Status | DeviceInfo | Reported)), None
        ),
        foreign=len(found) - len(own),
    )


def _decoded(channel: Channel, payload: bytes) -> tuple[Record | State, ...]:
    match channel:
        case Up.TELEMETRY:
            return codec.unpack(Sample, payload)
        case Up.EVENT:
            return codec.unpack(Event, payload)
        case Up.STATUS:
            return _state(Status, payload)
        case Up.INFO:
            return _state(DeviceInfo, payload)
        case Up.REPORTED:
            return _state(Reported, payload)
        case _:
            return ()


def _state(kind: type[Status | DeviceInfo | Reported], payload: bytes) -> tuple[State, ...]:
    # An empty retained message is how a broker is told to forget the state.
    return (codec.unpack_one(kind, payload),) if payload else ()
