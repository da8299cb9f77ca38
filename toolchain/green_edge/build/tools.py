"""What a build asks of the converters; `convert.converters.Converters` does it."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from green_edge.convert.converters import NO_WIDE, Repaired, Wide
from green_edge.convert.formats import Source
from green_edge.core.recipe import Calibration
from green_edge.data.dataset import FineTuneSets

Samples = Sequence[NDArray[Any]]


class Tools(Protocol):
    """Conversions over bytes. Each raises ModelError where it cannot be done.

    `inputs` are names, `calibration` the samples of each of them, sample first.
    """

    def renew(self) -> None:
        """Convert the next Keras model as if it were the first."""
        ...

    def to_float(self, source: Source) -> bytes:
        """Float .tflite of a model, batch 1."""
        ...

    def to_int8(self, source: Source, inputs: Sequence[str], calibration: Samples) -> bytes:
        """Full int8 by the TF converter."""
        ...

    def quantize(
        self,
        float_tflite: bytes,
        inputs: Sequence[str],
        calibration: Samples,
        *,
        ranges: Calibration = "minmax",
        wide: Wide = NO_WIDE,
    ) -> bytes:
        """Full int8 of a float .tflite by ai-edge-quantizer."""
        ...

    def correct_bias(
        self, float_tflite: bytes, int8_tflite: bytes, inputs: Sequence[str], calibration: Samples
    ) -> Repaired:
        """The int8 file with the mean error of each layer taken out of its bias."""
        ...

    def round_adaptively(
        self, float_tflite: bytes, int8_tflite: bytes, inputs: Sequence[str], calibration: Samples
    ) -> Repaired:
        """The int8 file with its weights rounded so that layer outputs change least."""
        ...

    def equalise(self, float_tflite: bytes) -> Repaired:
        """The float model with the weight ranges of adjacent layers evened out."""
        ...

    def fine_tune(self, source: Source, sets: FineTuneSets, *, seed: int, steps: int) -> bytes:
        """Full int8 of a Keras model after short quantization-aware training."""
        ...


class OpenTools(Protocol):
    """Opens the tools of one build; `Converters` is one."""

    def __call__(
        self, folder: Path, *, timeout_s: float, custom: Sequence[str] = ()
    ) -> AbstractContextManager[Tools]:
        """Open them.

        Args:
            folder: for files in transit.
            timeout_s: limit of one conversion.
            custom: modules that register Keras objects.
        """
        ...
