"""Conversions as functions over bytes: the children, their files and their clean-up."""

import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from numpy.typing import NDArray

from green_edge.convert import samples
from green_edge.convert.formats import Source
from green_edge.convert.protocol import QuantizeFloat, Request, ToFloat, ToInt8
from green_edge.convert.worker import Worker
from green_edge_wire.errors import GreenEdgeError, ModelError

_REMEDY = "install it: pip install 'green-edge[build]'"


class Converters:
    """The TF converter and ai-edge-quantizer, each in a child of its own, started when needed.

    Args:
        folder: existing folder for files in transit, removed by its owner.
        timeout_s: limit for one conversion.
    """

    def __init__(self, folder: Path, *, timeout_s: float) -> None:
        self._folder = folder
        self._tensorflow = Worker(_made(folder / "tensorflow"), timeout_s=timeout_s)
        self._quantizer = Worker(_made(folder / "quantizer"), timeout_s=timeout_s)
        self._count = 0

    def __enter__(self) -> Self:
        """Start nothing yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the children."""
        for worker in (self._tensorflow, self._quantizer):
            worker.close(at_once=error is not None)

    def to_float(self, source: Source) -> bytes:
        """Float .tflite of a model, batch 1; a .tflite is taken as it is.

        Raises:
            ModelError: it cannot be converted.
        """
        if source.format == "tflite":
            return source.path.read_bytes()
        out = self._file()
        return self._ask(self._tensorflow, ToFloat(source.path, source.format, out))

    def to_int8(
        self, source: Source, inputs: Sequence[str], calibration: Sequence[NDArray[Any]]
    ) -> bytes:
        """Full int8 of a model by the TF converter.

        Args:
            source: a Keras file or a SavedModel.
            inputs: names of the inputs.
            calibration: samples of each input, sample first.

        Raises:
            ModelError: it is a .tflite, or it cannot be converted.
        """
        if source.format == "tflite":
            raise ModelError("the TF converter starts from Keras or SavedModel, not from .tflite")
        file = self._samples(calibration)
        names = tuple(inputs)
        request = ToInt8(source.path, source.format, file, names, self._file())
        return self._ask(self._tensorflow, request)

    def quantize(
        self, float_tflite: bytes, inputs: Sequence[str], calibration: Sequence[NDArray[Any]]
    ) -> bytes:
        """Full int8 of a float .tflite by ai-edge-quantizer.

        Raises:
            ModelError: it cannot be quantized.
        """
        model = self._file()
        with _on_disk(self._folder):
            model.write_bytes(float_tflite)
        request = QuantizeFloat(model, self._samples(calibration), tuple(inputs), self._file())
        return self._ask(self._quantizer, request)

    def _ask(self, worker: Worker, request: Request) -> bytes:
        package = "ai_edge_quantizer" if request.op == "quantize" else "tensorflow"
        if importlib.util.find_spec(package) is None:
            raise ModelError(f"{package.replace('_', '-')} is not installed", hint=_REMEDY)
        worker.ask(request)
        content = request.out.read_bytes()
        request.out.unlink()
        return content

    def _samples(self, calibration: Sequence[NDArray[Any]]) -> Path:
        file = self._folder / "calibration.npz"
        with _on_disk(self._folder):
            samples.write(file, calibration)
        return file

    def _file(self) -> Path:
        self._count += 1
        return self._folder / f"{self._count}.tflite"


@contextmanager
def _on_disk(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = "make room there, or set TMPDIR to a folder on another disk"
        message = f"cannot write in {folder.parent}: {error.strerror}"
        raise GreenEdgeError(message, hint=hint) from error


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
