"""Check a bundle file, with the outcome as data."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from green_edge.bundle import keys
from green_edge_wire import archive
from green_edge_wire.errors import ConfigError, IntegrityError
from green_edge_wire.manifest import SIGNATURE_MEMBER


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a device that trusts the given keys would take a bundle.

    Attributes:
        valid: every byte is as it was signed, and the key is trusted.
        key_id: of the signer, when valid.
        member: where it is wrong; `archive` outside of members.
        reason: what is wrong.
        sha256: of the file.
        model: name in the manifest, when valid.
        model_version: version in the manifest, when valid.
        target: target in the manifest, when valid.
    """

    valid: bool
    key_id: str | None = None
    member: str | None = None
    reason: str | None = None
    sha256: str | None = None
    model: str | None = None
    model_version: int | None = None
    target: str | None = None


def check_file(bundle: Path, key_files: Sequence[Path]) -> Verdict:
    """Check a bundle against public keys, or against one's own keys when none are given.

    Raises:
        ConfigError: a file cannot be read, or is no public key.
    """
    verify = _trust(key_files)
    try:
        opened = archive.open_bundle(_read(bundle), verify)
    except IntegrityError as error:
        return Verdict(valid=False, member=error.member, reason=error.reason)
    manifest = opened.manifest
    return Verdict(
        valid=True,
        key_id=opened.key_id,
        sha256=opened.sha256,
        model=manifest.name,
        model_version=manifest.version,
        target=manifest.target,
    )


def open_file(bundle: Path, verify: archive.Verify) -> tuple[bytes, archive.Bundle]:
    """Read a bundle file and open it; returns its bytes too.

    Raises:
        ConfigError: it cannot be read.
        IntegrityError: it is not valid; says which file, which member, and what to do.
    """
    data = _read(bundle)
    try:
        return data, archive.open_bundle(data, verify)
    except IntegrityError as error:
        raise in_file(error, bundle) from None


def in_file(error: IntegrityError, bundle: Path) -> IntegrityError:
    """The error of a bundle as one of its file, with the remedy."""
    hint = error.hint or "copy it again from where it is whole, or build it again"
    if error.member == SIGNATURE_MEMBER:
        hint = "build it with a key of your own; 'green-edge keys list' shows them"
    return IntegrityError(error.reason, member=error.member, place=str(bundle), hint=hint)


def _trust(key_files: Sequence[Path]) -> archive.Verify:
    if not key_files:
        return keys.trusted()
    texts = [_read(path).decode(errors="replace") for path in key_files]
    lines = [line for text in texts for line in text.splitlines() if line.strip()]
    if not lines:
        raise ConfigError("no public key in the given files", place="--key")
    return keys.trusting([keys.parse_public(line) for line in lines])


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
