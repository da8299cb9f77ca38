"""Whether an order counts and what to do about it: rules over values, no disk and no network."""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import Literal

from green_edge_agent.install.state import Artefact, InstallState, Seen, SlotName
from green_edge_wire.archive import MAX_ARCHIVE_BYTES, Verify
from green_edge_wire.command import Command, Desired, Envelope, signed_bytes
from green_edge_wire.topics import Down
from green_edge_wire.units import MIB_BYTES

SignedChannel = Literal[Down.DESIRED, Down.CMD]

# What must stay free beside a bundle: the spool and the state file need room too.
MARGIN_BYTES = 4 * MIB_BYTES
# 2025-01-01. A clock before it was never set: boards without a battery start in 1970 or at the
# time of their image, and an expiry means nothing then.
PLAUSIBLE_UNIX_MS = 1_735_689_600_000

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Accepted:
    """A genuine envelope that is newer than all before it."""

    seen: Seen


@dataclass(frozen=True, slots=True)
class Repeated:
    """The very envelope that was accepted last: a retained message after a reconnection."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """An envelope without force."""

    reason: str


@dataclass(frozen=True, slots=True)
class Already:
    """The artefact runs."""


@dataclass(frozen=True, slots=True)
class SwapBack:
    """The artefact lies in the other slot."""

    slot: SlotName


@dataclass(frozen=True, slots=True)
class Fetch:
    """The artefact has to come over the network."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """The artefact must not run here."""

    reason: str


@dataclass(frozen=True, slots=True)
class NoRoom:
    """The artefact does not fit on the disk now."""

    reason: str


Plan = Already | SwapBack | Fetch | Refuse | NoRoom


def digest_of(channel: SignedChannel, envelope: Envelope) -> str:
    """SHA-256 over all of an envelope's fields; equal for identical envelopes only."""
    message = _message(channel, envelope) + b"\n" + envelope.signature.encode()
    return hashlib.sha256(message).hexdigest()


def judge(
    channel: SignedChannel,
    envelope: Envelope,
    *,
    device_id: str,
    verify: Verify,
    seen: Seen | None,
) -> Accepted | Repeated | Rejected:
    """Judge an envelope.

    Args:
        channel: that it came on; the signature covers it.
        envelope: as decoded.
        device_id: ours.
        verify: the trusted keys.
        seen: highest counter of this key on this channel so far.
    """
    if envelope.device_id != device_id:
        return Rejected(f"the order is for device {envelope.device_id[:63]!r}")
    try:
        signature = base64.b64decode(envelope.signature, validate=True)
    except (binascii.Error, ValueError):
        return Rejected("the order's signature is not base64")
    flaw = verify(envelope.key_id, _message(channel, envelope), signature)
    if flaw is not None:
        return Rejected(
            f"the order is not from a trusted key: {flaw}; if it is yours, add it to [trust] in "
            "agent.toml"
        )
    digest = digest_of(channel, envelope)
    if seen is None or envelope.counter > seen.counter:
        return Accepted(Seen(envelope.counter, digest))
    if envelope.counter == seen.counter and digest == seen.digest:
        return Repeated()
    return Rejected(f"the order's counter {envelope.counter} is not above {seen.counter}")


def decide(desired: Desired, state: InstallState, *, free_bytes: int, staged_bytes: int) -> Plan:
    """Decide what a genuine order means for this device now.

    Args:
        desired: the order.
        state: what is installed and what is in quarantine.
        free_bytes: on the disk of the state folder.
        staged_bytes: of this artefact that an earlier attempt has already brought.
    """
    active = state.active_artefact
    if active is not None and active.sha256 == desired.artifact_sha256:
        return Already()
    refusal = _refusal(desired, state)
    if refusal is not None:
        return Refuse(refusal)
    fallback = state.fallback
    held = None if fallback is None else state.slot(fallback)
    if (
        fallback is not None
        and held is not None
        and held.artefact.sha256 == desired.artifact_sha256
    ):
        return SwapBack(fallback)
    if not 0 < desired.length_bytes <= MAX_ARCHIVE_BYTES:
        return Refuse(f"a bundle of {desired.length_bytes} bytes cannot be fetched")
    missing_bytes = desired.length_bytes - staged_bytes + MARGIN_BYTES
    if missing_bytes > free_bytes:
        return NoRoom(
            f"disk full: {missing_bytes} bytes needed, {free_bytes} free; make room, the order is "
            "tried again"
        )
    return Fetch()


def expired(command: Command, unix_ms: int) -> bool:
    """Whether a command is too old, as far as a clock that was set can tell."""
    return unix_ms >= PLAUSIBLE_UNIX_MS and unix_ms > command.expires_unix_ms


def flaw_of(desired: Desired) -> str | None:
    """Why an order cannot be carried out by anyone; its digest becomes the name of a file."""
    if _SHA256.fullmatch(desired.artifact_sha256) is None:
        return "the order names no SHA-256 digest"
    return None


def _refusal(desired: Desired, state: InstallState) -> str | None:
    flaw = flaw_of(desired)
    if flaw is not None:
        return flaw
    quarantined = state.quarantine_reason(desired.artifact_sha256)
    if quarantined is not None:
        return f"in quarantine: {quarantined}"
    return _older(desired, state.active_artefact)


def _older(desired: Desired, active: Artefact | None) -> str | None:
    """Why a version would be a step back; versions of different models cannot be compared."""
    if active is None or desired.allow_downgrade or active.model != desired.model:
        return None
    if desired.model_version >= active.model_version:
        return None
    return (
        f"version {desired.model_version} of {desired.model} is older than the active "
        f"{active.model_version}, and the order does not allow a downgrade"
    )


def _message(channel: SignedChannel, envelope: Envelope) -> bytes:
    return signed_bytes(
        channel,
        device_id=envelope.device_id,
        key_id=envelope.key_id,
        counter=envelope.counter,
        body=envelope.body,
    )
