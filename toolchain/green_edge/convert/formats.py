"""What kind of model a path holds, and the digest that names its bytes."""

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

from green_edge.core.report import ModelFormat
from green_edge_wire.errors import ModelError
from green_edge_wire.units import MIB_BYTES

_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_ZIP_MAGIC = b"PK\x03\x04"
# A flatbuffer's file identifier stands after the four bytes of its root offset.
_TFLITE_MAGIC = b"TFL3"
_READABLE = "build reads Keras .keras and .h5 files, SavedModel folders and float .tflite files"


@dataclass(frozen=True, slots=True)
class Source:
    """A model as the user gave it.

    Attributes:
        sha256: of the file, or of a SavedModel folder's relative names and contents.
    """

    path: Path
    format: ModelFormat
    sha256: str


def open_source(path: Path) -> Source:
    """Recognize the model at `path` by its content and take its digest.

    Raises:
        ModelError: nothing is there, it cannot be read, or it is no model.
    """
    try:
        return Source(path, _recognize(path), _digest(path))
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error


def _recognize(path: Path) -> ModelFormat:
    if not path.exists():
        raise ModelError(f"{path}: no such file or folder", hint=_READABLE)
    if path.is_dir():
        if (path / "saved_model.pb").is_file():
            return "saved-model"
        raise ModelError(f"{path}: a folder without saved_model.pb is not a model", hint=_READABLE)
    with path.open("rb") as stream:
        head = stream.read(8)
    if head[4:8] == _TFLITE_MAGIC:
        return "tflite"
    if head == _HDF5_MAGIC:
        return "h5"
    if head.startswith(_ZIP_MAGIC) and _holds_keras(path):
        return "keras"
    raise ModelError(f"{path}: not a model", hint=_READABLE)


def _holds_keras(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return {"config.json", "metadata.json"} <= set(archive.namelist())
    except zipfile.BadZipFile:
        return False


def _digest(path: Path) -> str:
    if path.is_file():
        return _digest_file(path)
    total = hashlib.sha256()
    for member in sorted(item for item in path.rglob("*") if item.is_file()):
        total.update(f"{member.relative_to(path).as_posix()}\n{_digest_file(member)}\n".encode())
    return total.hexdigest()


def _digest_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(MIB_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
