"""Signing what a device is told: `desired` and `cmd`."""

import base64
from typing import Literal

from green_edge.bundle.keys import SigningKey
from green_edge_wire import codec, topics
from green_edge_wire.command import Command, Desired, Envelope, signed_bytes
from green_edge_wire.topics import Down


def sign_desired(signer: SigningKey, device_id: str, counter: int, desired: Desired) -> Envelope:
    """Tell a device which artefact to run.

    Args:
        signer: a key that the device trusts.
        device_id: the one device that may obey.
        counter: greater than that of every earlier envelope of this key for this device.
        desired: the order.

    Raises:
        ConfigError: the device id cannot be one.
    """
    return _seal(signer, Down.DESIRED, device_id, counter, codec.dumps(desired))


def sign_cmd(signer: SigningKey, device_id: str, counter: int, command: Command) -> Envelope:
    """Tell a device to do something now; see `sign_desired`."""
    return _seal(signer, Down.CMD, device_id, counter, codec.dumps(command))


def _seal(
    signer: SigningKey,
    channel: Literal[Down.DESIRED, Down.CMD],
    device_id: str,
    counter: int,
    body: str,
) -> Envelope:
    topics.check_name(device_id, place="device")
    message = signed_bytes(
        channel, device_id=device_id, key_id=signer.key_id, counter=counter, body=body
    )
    signature = base64.b64encode(signer.sign(message)).decode("ascii")
    return Envelope(device_id, signer.key_id, counter, body, signature)
