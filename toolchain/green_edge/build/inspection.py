"""What is in a file: a .tflite, a Keras file, a SavedModel folder or a bundle, as values."""

import hashlib
import importlib.util
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from green_edge.build.model_file import BundleView, is_bundle, open_file
from green_edge.build.words import zeros_counted
from green_edge.convert.formats import open_source
from green_edge.convert.keras_layers import KerasFile, read_keras
from green_edge.convert.protocol import ToFloat
from green_edge.convert.worker import Worker
from green_edge.core.report import ModelFormat
from green_edge.targets.edgetpu.compiled import Compiled, read_compiled
from green_edge.tflite.model import TfliteModel
from green_edge.tflite.read import read
from green_edge_wire.errors import ModelError

_CONVERT_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a file holds.

    Attributes:
        sha256: of the file; of a SavedModel's files in the order of their names.
        tflite: the model as .tflite; of Keras models the float one that a build starts from.
        keras: the layers of a Keras file.
        bundle: of a bundle.
        edgetpu: of a .tflite compiled for the Edge TPU, or of the one beside a bundle's model.
        notes: what could not be shown, and why.
    """

    file: str
    kind: ModelFormat | Literal["bundle"]
    sha256: str
    tflite: TfliteModel | None = None
    keras: KerasFile | None = None
    bundle: BundleView | None = None
    edgetpu: Compiled | None = None
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
        opened, view = open_file(data, path)
        digest = hashlib.sha256(data).hexdigest()
        on_chip = opened.edgetpu_model()
        return Inspection(
            str(path), "bundle", digest, read(opened.model(), static=False), bundle=view,
            edgetpu=None if on_chip is None else read_compiled(on_chip),
        )  # fmt: skip
    source = open_source(path)
    found = Inspection(str(path), source.format, source.sha256)
    if source.format == "tflite":
        model, compiled = _tflite(path)
        return replace(found, tflite=model, edgetpu=compiled, notes=zeros_counted(model))
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


def _tflite(path: Path) -> tuple[TfliteModel, Compiled | None]:
    data = path.read_bytes()
    try:
        return read(data, static=False), read_compiled(data)
    except ModelError as error:
        raise ModelError(f"{path}: {error.message}", hint=error.hint) from None


def _converted(path: Path, model_format: ModelFormat) -> TfliteModel:
    with tempfile.TemporaryDirectory(prefix="green-edge-") as folder:
        out = Path(folder) / "float.tflite"
        with Worker(Path(folder), timeout_s=_CONVERT_TIMEOUT_S) as worker:
            worker.ask(ToFloat(path.resolve(), model_format, out))
        return read(out.read_bytes(), static=False)
