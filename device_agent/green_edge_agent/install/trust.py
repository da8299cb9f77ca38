"""The keys that a device trusts, and the check of a signature by them."""

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence

from green_edge_wire.errors import ConfigError

Check = Callable[[bytes, bytes], bool]

_PUBLIC_KEY_BYTES = 32
_KEY_ID_CHARS = 16
_HINT = "paste the line that `green-edge keys export` prints"


def key_id_of(public: bytes) -> str:
    """Id of a raw 32-byte Ed25519 public key: the first 16 hex digits of its SHA-256."""
    return hashlib.sha256(public).hexdigest()[:_KEY_ID_CHARS]


class TrustedKeys:
    """Public keys by id.

    Args:
        lines: each `<key id>:<base64 public key>`.

    Raises:
        ConfigError: a line is not such a key, or its id is another key's.
    """

    def __init__(self, lines: Sequence[str]) -> None:
        self._keys = dict(_parse(line, f"trust.keys[{i}]") for i, line in enumerate(lines))

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the keys, in the configuration's order."""
        return tuple(self._keys)

    def verify(self, key_id: str, message: bytes, signature: bytes) -> str | None:
        """Check an Ed25519 signature; None when it is good, else the reason."""
        key = self._keys.get(key_id)
        if key is None:
            return f"unknown key {key_id[:_KEY_ID_CHARS]!r}"
        return None if key(message, signature) else "signature does not match"


def _parse(line: str, place: str) -> tuple[str, Check]:
    key_id, _, encoded = line.strip().partition(":")
    try:
        public = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise ConfigError("not a public key", place=place, hint=_HINT) from None
    if len(public) != _PUBLIC_KEY_BYTES:
        raise ConfigError("not a public key of 32 bytes", place=place, hint=_HINT)
    if key_id != key_id_of(public):
        raise ConfigError(f"id {key_id!r} belongs to another key", place=place, hint=_HINT)
    return key_id, _check(public)


def _check(public: bytes) -> Check:
    """Check of (message, signature) by a key."""
    try:
        # Late, so that a device without the package can still say what it lacks.
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415
    except ImportError:
        raise ConfigError(
            "signatures cannot be checked: cryptography is not installed",
            place="trust.keys",
            hint="pip install 'green-edge[device]'",
        ) from None
    key = ed25519.Ed25519PublicKey.from_public_bytes(public)

    def check(message: bytes, signature: bytes) -> bool:
        try:
            key.verify(signature, message)
        except InvalidSignature:
            return False
        return True

    return check
