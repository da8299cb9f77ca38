"""Signing keys: Ed25519, one file a key, named by the person who made it.

A private key is PEM (PKCS8, not encrypted) in a file that only its owner may read. A public key
travels as one line of text, `<key id>:<base64 of 32 bytes>`; the key id is the first 16 hex digits
of the SHA-256 of those 32 bytes, so it cannot be claimed by another key.
"""

import base64
import binascii
import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from green_edge_wire import topics
from green_edge_wire.archive import Verify
from green_edge_wire.errors import ConfigError

DEFAULT_NAME = "default"
_SUFFIX = ".key"
_ID_CHARS = 16
_OTHERS_BITS = 0o077


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key to verify with: `raw` is its 32 bytes."""

    raw: bytes

    @property
    def key_id(self) -> str:
        """First 16 hex digits of the SHA-256 of the key."""
        return hashlib.sha256(self.raw).hexdigest()[:_ID_CHARS]

    @property
    def text(self) -> str:
        """The line that an agent.toml takes: `<key id>:<base64>`."""
        return f"{self.key_id}:{base64.b64encode(self.raw).decode('ascii')}"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key to sign with; its private half never shows in a repr."""

    name: str
    public: PublicKey
    _private: Ed25519PrivateKey = field(repr=False)

    @property
    def key_id(self) -> str:
        """Id of the public half."""
        return self.public.key_id

    def sign(self, message: bytes) -> bytes:
        """64-byte signature of a message; the same message always gives the same bytes."""
        return self._private.sign(message)


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A key on disk, for listings."""

    name: str
    key_id: str
    public: str
    path: Path


def default_folder() -> Path:
    """Where keys live: `$GREEN_EDGE_KEYS`, else `~/.config/green-edge/keys`."""
    given = os.environ.get("GREEN_EDGE_KEYS")
    return Path(given) if given else Path.home() / ".config" / "green-edge" / "keys"


def signing_key(name: str, seed: bytes) -> SigningKey:
    """Signing key of a 32-byte seed; `new_key` draws one, tests give a fixed one."""
    return _wrap(name, Ed25519PrivateKey.from_private_bytes(seed))


def new_key(name: str, folder: Path) -> SigningKey:
    """Make a key and write it, mode 0600 in a folder of mode 0700.

    Raises:
        ConfigError: the name is taken or cannot be a file name, or the folder cannot be written.
    """
    topics.check_name(name, place="key name")
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = _path(folder, name)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # O_EXCL: a key that signed bundles in the field is never overwritten.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigError(
            f"there is already a key {name!r} ({path})", hint="choose another name"
        ) from None
    except OSError as error:
        raise ConfigError(
            f"cannot write {path}: {error.strerror}",
            hint="set GREEN_EDGE_KEYS to a folder that you may write",
        ) from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
    return _wrap(name, private)


def load_signer(name: str | None = None, folder: Path | None = None) -> SigningKey:
    """Read a signing key; without a name the one called `default`, or else the only one.

    Raises:
        ConfigError: there is no such key, it is no key, or others may read it.
    """
    folder = folder or default_folder()
    chosen = name or _only_name(folder)
    path = _path(folder, topics.check_name(chosen, place="key name"))
    try:
        pem = path.read_bytes()
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise ConfigError(
            f"there is no key {chosen!r} in {folder}", hint="make one with: green-edge keys new"
        ) from None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    if mode & _OTHERS_BITS:
        raise ConfigError(f"others may read {path}", hint=f"run: chmod 600 {path}")
    return _wrap(chosen, _parse_private(pem, path))


def ensure_signer(
    name: str | None = None,
    folder: Path | None = None,
    *,
    made: Callable[[SigningKey, Path], None],
) -> SigningKey:
    """As `load_signer`, but when there is no key at all make `default` and tell `made`."""
    folder = folder or default_folder()
    if name is None and not _names(folder):
        key = new_key(DEFAULT_NAME, folder)
        made(key, _path(folder, DEFAULT_NAME))
        return key
    return load_signer(name, folder)


def list_keys(folder: Path | None = None) -> tuple[KeyFile, ...]:
    """Keys of a folder by name.

    Raises:
        ConfigError: a key file cannot be read.
    """
    folder = folder or default_folder()
    return tuple(describe(load_signer(name, folder), folder) for name in _names(folder))


def describe(key: SigningKey, folder: Path | None = None) -> KeyFile:
    """A key of a folder without its private half."""
    path = _path(folder or default_folder(), key.name)
    return KeyFile(key.name, key.key_id, key.public.text, path)


def export(name: str | None = None, folder: Path | None = None) -> str:
    """Public half of a key as the line that devices take; see `load_signer` for errors."""
    return load_signer(name, folder).public.text


def parse_public(text: str) -> PublicKey:
    """Read the line that `export` gives.

    Raises:
        ConfigError: not such a line, or its id is not that of its key.
    """
    key_id, _, encoded = text.strip().partition(":")
    hint = "it is the line that 'green-edge keys export' prints"
    try:
        raw = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != 32:
        raise ConfigError(f"{text.strip()[:80]!r} is not a public key", hint=hint)
    key = PublicKey(raw)
    if key.key_id != key_id:
        raise ConfigError(f"public key {key.key_id} is labelled {key_id[:80]!r}", hint=hint)
    return key


def trusting(keys: Iterable[PublicKey]) -> Verify:
    """Judge of signatures that trusts some keys."""
    known = {key.key_id: Ed25519PublicKey.from_public_bytes(key.raw) for key in keys}

    def verify(key_id: str, message: bytes, signature: bytes) -> str | None:
        key = known.get(key_id)
        if key is None:
            return f"unknown key {key_id[:_ID_CHARS]!r}"
        try:
            key.verify(signature, message)
        except InvalidSignature:
            return "signature does not match"
        return None

    return verify


def trusted(folder: Path | None = None) -> Verify:
    """Judge of signatures that trusts the keys of a folder, by default one's own."""
    return trusting(parse_public(key.public) for key in list_keys(folder))


def _wrap(name: str, private: Ed25519PrivateKey) -> SigningKey:
    return SigningKey(name, PublicKey(private.public_key().public_bytes_raw()), private)


def _parse_private(pem: bytes, path: Path) -> Ed25519PrivateKey:
    try:
        private = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        private = None
    if not isinstance(private, Ed25519PrivateKey):
        raise ConfigError(f"{path} is not an Ed25519 private key without password")
    return private


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}{_SUFFIX}"


def _names(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob(f"*{_SUFFIX}"))


def _only_name(folder: Path) -> str:
    names = _names(folder)
    if len(names) > 1 and DEFAULT_NAME not in names:
        raise ConfigError(f"which key? there are {', '.join(names)}", hint="give --key NAME")
    return names[0] if len(names) == 1 else DEFAULT_NAME
