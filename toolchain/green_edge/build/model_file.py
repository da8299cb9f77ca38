"""Files that hold a .tflite: the file itself, or a bundle around it."""

from dataclasses import dataclass
from pathlib import Path

from green_edge.bundle import check, keys
from green_edge.convert.formats import open_source
from green_edge_wire.archive import Bundle, open_bundle
from green_edge_wire.errors import IntegrityError, ModelError
from green_edge_wire.manifest import MANIFEST_MEMBER, SIGNATURE_MEMBER, Manifest, Pipeline

_HEAD_BYTES = 64


@dataclass(frozen=True, slots=True)
class BundleView:
    """What a bundle says of itself.

    Attributes:
        verified: signed by one of your own keys, or by those given.
        reason: why it is not verified; absent when it is.
    """

    verified: bool
    key_id: str
    manifest: Manifest
    pipeline: Pipeline
    labels: tuple[str, ...]
    reason: str | None = None


def model_bytes(path: Path) -> bytes:
    """Content of a .tflite, or of the one in a bundle.

    Raises:
        ModelError: it is neither.
        IntegrityError: a bundle with wrong bytes.
    """
    if is_bundle(path):
        return open_file(path.read_bytes(), path)[0].model()
    if open_source(path).format != "tflite":
        raise ModelError(f"{path}: not a .tflite or a bundle", hint="build it first")
    return path.read_bytes()


def is_bundle(path: Path) -> bool:
    """Whether a file begins as a bundle does: with its manifest.

    Raises:
        ModelError: the file cannot be read.
    """
    if not path.is_file():
        return False
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from None
    # A ZIP's local header is 30 bytes, then comes the name of the first member.
    return head[:4] == b"PK\x03\x04" and head[30:].startswith(MANIFEST_MEMBER.encode())


def open_file(data: bytes, path: Path) -> tuple[Bundle, BundleView]:
    """Open a bundle; one that an unknown key signed is opened too, and said to be unverified.

    Raises:
        IntegrityError: wrong bytes.
    """
    reason = None
    try:
        try:
            bundle = open_bundle(data, keys.trusted())
        except IntegrityError as error:
            if error.member != SIGNATURE_MEMBER:
                raise
            reason = error.reason
            bundle = open_bundle(data, lambda _key, _message, _signature: None)
    except IntegrityError as error:
        raise check.in_file(error, path) from None
    view = BundleView(
        verified=reason is None,
        key_id=bundle.key_id,
        manifest=bundle.manifest,
        pipeline=bundle.pipeline(),
        labels=bundle.labels(),
        reason=reason,
    )
    return bundle, view
