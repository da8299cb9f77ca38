"""Signed envelopes: what a device does because its key holder said so.

A broker's operator can read and replay these messages but not make new ones: the signature covers
the channel, the device, the key and a counter of which the device keeps the highest.
"""

from dataclasses import dataclass
from typing import Literal

from green_edge_wire.errors import DecodeError
from green_edge_wire.topics import Down

SCHEMA = 1
MAX_BODY_CHARS = 65_536


@dataclass(frozen=True, slots=True)
class Envelope:
    """A signed order. `body` is the exact JSON text that was signed.

    Attributes:
        counter: greater than that of every earlier envelope of this key for this device.
        signature: base64 of the 64-byte Ed25519 signature over `signed_bytes`.
    """

    device_id: str
    key_id: str
    counter: int
    body: str
    signature: str

    def __post_init__(self) -> None:
        """Refuse sizes that no honest sender makes."""
        if not 1 <= self.counter < 1 << 63 or len(self.body) > MAX_BODY_CHARS:
            raise DecodeError("envelope: counter or body out of range")
        # A newline would end a field of `signed_bytes` early.
        if "\n" in self.device_id or "\n" in self.key_id:
            raise DecodeError("envelope: newline in device_id or key_id")


def signed_bytes(
    channel: Literal[Down.DESIRED, Down.CMD],
    *,
    device_id: str,
    key_id: str,
    counter: int,
    body: str,
) -> bytes:
    """Bytes that an envelope's signature covers; unambiguous because no field may hold a newline.

    The body comes last and whole. Names are checked by `topics.check_name` where they are made.
    """
    head = f"green-edge/envelope/v1\n{channel}\n{device_id}\n{key_id}\n{counter}\n"
    return head.encode() + body.encode()


@dataclass(frozen=True, slots=True)
class Desired:
    """Body of a `desired` envelope: the artefact that the device should run; retained.

    Attributes:
        urls: places to fetch it from, tried in order.
        allow_downgrade: accept an older model version; set by `rollback` only.
    """

    rollout_id: str
    artifact_sha256: str
    length_bytes: int
    urls: tuple[str, ...]
    model: str
    model_version: int
    allow_downgrade: bool = False
    schema: int = SCHEMA


@dataclass(frozen=True, slots=True)
class Command:
    """Body of a `cmd` envelope.

    Attributes:
        verb: `refresh` publishes info and reported again; `release` takes a digest out of
            quarantine; `bench` measures a model and answers with the figures.
        argument: what the verb works on: a digest, or a `BenchOrder` as JSON.
        expires_unix_ms: the device ignores the command after this, once its clock is set.
    """

    id: str
    verb: Literal["refresh", "release", "bench"]
    expires_unix_ms: int
    argument: str = ""
    schema: int = SCHEMA
