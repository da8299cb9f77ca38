"""Files that hold a .tflite, the file itself or a bundle around it, and those that become one."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from green_edge.build.options import Progress, quietly
from green_edge.bundle import check, keys
from green_edge.convert.converters import Converters
from green_edge.convert.formats import open_source
from green_edge_wire.archive import Bundle, open_bundle
from green_edge_wire.errors import IntegrityError, ModelError
from green_edge_wire.manifest import MANIFEST_MEMBER, SIGNATURE_MEMBER, Manifest, Pipeline

_HEAD_BYTES = 64
_CONVERT_TIMEOUT_S = 300.0


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


def as_tflite(
    path: Path, *, timeout_s: float = _CONVERT_TIMEOUT_S, progress: Progress = quietly
) -> bytes:
    """Any model as .tflite: a .tflite and the one in a bundle unchanged, all others as float.

    Whoever signed a bundle, its bytes are checked. The .tflite is not.

    Args:
        path: .tflite, bundle, or what a build takes: Keras file, SavedModel folder, .onnx, .pt2.
        timeout_s: limit for a conversion.
        progress: told of a conversion, which takes seconds.

    Raises:
        ModelError: it is no model, or it cannot be converted; names the file.
        IntegrityError: a bundle with wrong bytes.
    """
    with named(path):
        if is_bundle(path):
            return open_file(path.read_bytes(), path)[0].model()
        source = open_source(path)
        if source.format == "tflite":
            return path.read_bytes()
        progress(f"converting {path.name} to float .tflite", None)
        with (
            tempfile.TemporaryDirectory(prefix="green-edge-") as folder,
            Converters(Path(folder), timeout_s=timeout_s) as converters,
        ):
            return converters.to_float(source)


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Name the file in what goes wrong with the model that it holds."""
    try:
        yield
    except ModelError as error:
        known = error.message.startswith(str(path))
        message = error.message if known else f"{path}: {error.message}"
        raise ModelError(message, hint=error.hint) from error


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
