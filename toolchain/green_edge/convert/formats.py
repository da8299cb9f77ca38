"""What kind of model a path holds, and the digest that names its bytes."""

import hashlib
import re
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
# A protobuf has none; an ONNX file starts with field 1, the version of its format, and goes on with
# one of fields 2 to 8: who made it, a text, the graph, the operator sets (onnx.proto, ModelProto).
_ONNX_HEAD = re.compile(rb"\x08[\x01-\x1f][\x12\x1a\x22\x28\x32\x3a\x42]")
# Protocols 2 to 5 of Python's pickle.
_PICKLE_MAGIC = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_READABLE = (
    "build reads Keras .keras and .h5 files, SavedModel folders, float .tflite, .onnx and "
    "torch.export's .pt2 files"
)
_EXPORT_TORCH = (
    "save an exported program: "
    "torch.export.save(torch.export.export(model.eval(), (x,)), 'model.pt2')"
)


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
    if _ONNX_HEAD.match(head):
        return "onnx"
    if head.startswith(_ZIP_MAGIC):
        return _recognize_zip(path)
    if head.startswith(_PICKLE_MAGIC):
        raise ModelError(f"{path}: a pickle, which could run code when opened", hint=_EXPORT_TORCH)
    raise ModelError(f"{path}: not a model", hint=_READABLE)


def _recognize_zip(path: Path) -> ModelFormat:
    try:
        with zipfile.ZipFile(path) as archive:
            members = set(archive.namelist())
    except zipfile.BadZipFile:
        members = set()
    if {"config.json", "metadata.json"} <= members:
        return "keras"
    # All that PyTorch writes is a zip with one folder at its top.
    within = {member.partition("/")[2] for member in members}
    if "constants.pkl" in within:
        raise ModelError(f"{path}: TorchScript, which is not read", hint=_EXPORT_TORCH)
    if "data.pkl" in within:
        message = f"{path}: pickled PyTorch weights or module, which could run code when opened"
        raise ModelError(message, hint=_EXPORT_TORCH)
    # The first releases of torch.export wrote the program at the top.
    if "archive_format" in within or "serialized_exported_program.json" in members:
        return "torch"
    raise ModelError(f"{path}: not a model", hint=_READABLE)


def _digest(path: Path) -> str:
    # Where torch.onnx.export leaves the weights of a .onnx.
    beside = path.with_name(f"{path.name}.data")
    if path.is_file() and not beside.is_file():
        return _digest_file(path)
    if path.is_file():
        folder, members = path.parent, [path, beside]
    else:
        folder, members = path, sorted(item for item in path.rglob("*") if item.is_file())
    total = hashlib.sha256()
    for member in members:
        total.update(f"{member.relative_to(folder).as_posix()}\n{_digest_file(member)}\n".encode())
    return total.hexdigest()


def _digest_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(MIB_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
