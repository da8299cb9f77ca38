"""What is in a file: a .tflite, a Keras file, a SavedModel folder or a bundle, as values."""

import hashlib
import importlib.util
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from green_edge.bundle import check, keys
from green_edge.convert.formats import open_source
from green_edge.convert.keras_layers import KerasFile, read_keras
from green_edge.convert.protocol import ToFloat
from green_edge.convert.worker import Worker
from green_edge.core.report import ModelFormat
from green_edge.tflite.model import TfliteModel
from green_edge.tflite.read import read
from green_edge_wire.archive import Bundle, open_bundle
from green_edge_wire.errors import IntegrityError, ModelError
from green_edge_wire.manifest import MANIFEST_MEMBER, SIGNATURE_MEMBER, Manifest, Pipeline

_CONVERT_TIMEOUT_S = 300.0
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


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a file holds.

    Attributes:
        sha256: of the file; of a SavedModel's files in the order of their names.
        tflite: the model as .tflite; of Keras models the float one that a build starts from.
        keras: the layers of a Keras file.
        bundle: of a bundle.
        notes: what could not be shown, and why.
    """

    file: str
    kind: ModelFormat | Literal["bundle"]
    sha256: str
    tflite: TfliteModel | None = None
    keras: KerasFile | None = None
    bundle: BundleView | None = None
    notes: tuple[str, ...] = ()


def inspect(
    path: Path, *, convert: bool = True, progress: Callable[[str], None] | None = None
) -> Inspection:
    """Look into a file.

    Args:
        path: `.tflite`, `.keras`, `.h5`, SavedModel folder or `.gedge`.
        convert: show Keras models and SavedModels as float .tflite too, which takes TensorFlow and
            some seconds.
        progress: told what takes long.

    Raises:
        ModelError: it is no model, or broken.
        IntegrityError: a bundle with wrong bytes.
    """
    if is_bundle(path):
        data = path.read_bytes()
        opened, view = _bundle(data, path)
        digest = hashlib.sha256(data).hexdigest()
        return Inspection(str(path), "bundle", digest, read(opened.model(), static=False),
                          bundle=view)  # fmt: skip
    source = open_source(path)
    found = Inspection(str(path), source.format, source.sha256)
    if source.format == "tflite":
        return replace(found, tflite=_tflite(path))
    if source.format != "saved-model":
        found = replace(found, keras=read_keras(path))
    if not convert:
        return found
    if importlib.util.find_spec("tensorflow") is None:
        note = "operations and MACs need TensorFlow: pip install 'green-edge[build]'"
        return replace(found, notes=(note,))
    if progress is not None:
        progress("converting to float .tflite")
    try:
        return replace(found, tflite=_converted(path, source.format))
    except ModelError as error:
        return replace(found, notes=(f"cannot be converted: {error}",))


def model_bytes(path: Path) -> bytes:
    """Content of a .tflite, or of the one in a bundle.

    Raises:
        ModelError: it is neither.
        IntegrityError: a bundle with wrong bytes.
    """
    if is_bundle(path):
        return _bundle(path.read_bytes(), path)[0].model()
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


def _bundle(data: bytes, path: Path) -> tuple[Bundle, BundleView]:
    """Open a bundle; one that an unknown key signed is opened too, and said to be unverified."""
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


def _tflite(path: Path) -> TfliteModel:
    try:
        return read(path.read_bytes(), static=False)
    except ModelError as error:
        raise ModelError(f"{path}: {error.message}", hint=error.hint) from None


def _converted(path: Path, model_format: ModelFormat) -> TfliteModel:
    with tempfile.TemporaryDirectory(prefix="green-edge-") as folder:
        out = Path(folder) / "float.tflite"
        with Worker(Path(folder), timeout_s=_CONVERT_TIMEOUT_S) as worker:
            worker.ask(ToFloat(path.resolve(), model_format, out))
        return read(out.read_bytes(), static=False)
