"""Conversions as functions over bytes: the children, their files and their clean-up."""

import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from numpy.typing import NDArray

from green_edge.convert import samples
from green_edge.convert.formats import Source
from green_edge.convert.protocol import (
    CorrectBias,
    Equalise,
    FineTune,
    QuantizeFloat,
    Reply,
    Request,
    RoundAdaptively,
    ToFloat,
    ToInt8,
)
from green_edge.convert.worker import CHILD, Worker
from green_edge.core.recipe import Calibration, WideDtype
from green_edge.core.report import Skip
from green_edge.data.dataset import FineTuneSets
from green_edge_wire.errors import GreenEdgeError, ModelError

_REMEDY = "install it: pip install 'green-edge[build]'"


@dataclass(frozen=True, slots=True)
class Wide:
    """Layers that stay wider than int8.

    Attributes:
        layers: names of their output tensors in the float .tflite.
        dtype: int16 activations with int8 weights, or float32 throughout.
    """

    layers: tuple[str, ...] = ()
    dtype: WideDtype = "float32"


NO_WIDE = Wide()


@dataclass(frozen=True, slots=True)
class Repaired:
    """A .tflite after a repair.

    Attributes:
        done: names of the layers changed; of equalisation as `first -> second`.
        skipped: layers left as they are.
    """

    content: bytes
    done: tuple[str, ...] = ()
    skipped: tuple[Skip, ...] = ()


class Converters:
    """The TF converter and ai-edge-quantizer, each in a child of its own, started when needed.

    Args:
        folder: existing folder for files in transit, removed by its owner.
        timeout_s: limit for one conversion.
        custom: modules that register Keras objects.
    """

    def __init__(self, folder: Path, *, timeout_s: float, custom: Sequence[str] = ()) -> None:
        self._folder = folder
        keras = (*CHILD, *custom)
        self._tensorflow = Worker(_made(folder / "tensorflow"), timeout_s=timeout_s, command=keras)
        self._quantizer = Worker(_made(folder / "quantizer"), timeout_s=timeout_s)
        # Apart from the converter: training changes settings of the whole process.
        self._trainer = Worker(_made(folder / "trainer"), timeout_s=timeout_s, command=keras)
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
        for worker in (self._tensorflow, self._quantizer, self._trainer):
            worker.close(at_once=error is not None)

    def renew(self) -> None:
        """Convert the next model in a fresh process: names depend on what was built before."""
        self._tensorflow.close()

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
        self,
        float_tflite: bytes,
        inputs: Sequence[str],
        calibration: Sequence[NDArray[Any]],
        *,
        ranges: Calibration = "minmax",
        wide: Wide = NO_WIDE,
    ) -> bytes:
        """Full int8 of a float .tflite by ai-edge-quantizer.

        Args:
            float_tflite: the model; its weights are quantized per channel.
            inputs: names of the inputs.
            calibration: samples of each input, sample first.
            ranges: how the activations' ranges follow from the samples.
            wide: layers to leave wider than int8; input and output stay int8.

        Raises:
            ModelError: it cannot be quantized, or no operation gives one of `wide`'s tensors.
        """
        request = QuantizeFloat(
            self._written(float_tflite),
            self._samples(calibration),
            tuple(inputs),
            self._file(),
            ranges,
            wide.layers,
            wide.dtype,
        )
        return self._ask(self._quantizer, request)

    def fine_tune(self, source: Source, sets: FineTuneSets, *, seed: int, steps: int) -> bytes:
        """Full int8 of a Keras model after short quantization-aware fine-tuning.

        It learns the outputs of the float model, so labels are not used.

        Raises:
            ModelError: no Keras model, a layer that fine-tuning has no rule for, or it cannot be
                converted.
        """
        if source.format not in {"keras", "h5"}:
            raise ModelError("fine-tuning needs a Keras model (.keras or .h5)")
        request = FineTune(
            source.path,
            self._samples(sets.x, "training.npz"),
            self._samples(sets.calibration),
            sets.inputs,
            steps,
            seed,
            self._file(),
        )
        return self._ask(self._trainer, request)

    def correct_bias(
        self,
        float_tflite: bytes,
        int8_tflite: bytes,
        inputs: Sequence[str],
        calibration: Sequence[NDArray[Any]],
    ) -> Repaired:
        """The int8 file with the mean error of each layer taken out of its int32 bias.

        Raises:
            ModelError: the two are not one model, or cannot be run.
        """
        files = self._written(float_tflite), self._written(int8_tflite)
        samples_file = self._samples(calibration)
        return self._repaired(CorrectBias(*files, samples_file, tuple(inputs), self._file()))

    def round_adaptively(
        self,
        float_tflite: bytes,
        int8_tflite: bytes,
        inputs: Sequence[str],
        calibration: Sequence[NDArray[Any]],
    ) -> Repaired:
        """The int8 file with its weights rounded so that the layers' outputs change least.

        Raises:
            ModelError: the two are not one model, or cannot be run.
        """
        files = self._written(float_tflite), self._written(int8_tflite)
        samples_file = self._samples(calibration)
        return self._repaired(RoundAdaptively(*files, samples_file, tuple(inputs), self._file()))

    def equalise(self, float_tflite: bytes) -> Repaired:
        """The float model with the weight ranges of adjacent layers evened out channel by channel.

        Its outputs are the same up to float rounding.

        Raises:
            ModelError: it cannot be read.
        """
        request = Equalise(self._written(float_tflite), self._file())
        return self._repaired(request)

    def _repaired(self, request: Request) -> Repaired:
        reply = self._fulfilled(self._quantizer, request)
        return Repaired(_taken(request), reply.done, reply.skipped)

    def _ask(self, worker: Worker, request: Request) -> bytes:
        self._fulfilled(worker, request)
        return _taken(request)

    def _fulfilled(self, worker: Worker, request: Request) -> Reply:
        package = "ai_edge_quantizer" if worker is self._quantizer else "tensorflow"
        if importlib.util.find_spec(package) is None:
            raise ModelError(f"{package.replace('_', '-')} is not installed", hint=_REMEDY)
        return worker.ask(request)

    def _written(self, tflite: bytes) -> Path:
        file = self._file()
        with _on_disk(self._folder):
            file.write_bytes(tflite)
        return file

    def _samples(self, arrays: Sequence[NDArray[Any]], name: str = "calibration.npz") -> Path:
        file = self._folder / name
        with _on_disk(self._folder):
            samples.write(file, arrays)
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


def _taken(request: Request) -> bytes:
    content = request.out.read_bytes()
    request.out.unlink()
    return content


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
