"""What the parent asks of a converter child and what it answers: one JSON line each way."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from green_edge.core.report import ModelFormat


@dataclass(frozen=True, slots=True)
class ToFloat:
    """Load a Keras model or SavedModel, fix its batch to 1 and write it as float .tflite."""

    model: Path
    format: ModelFormat
    out: Path
    op: Literal["float"] = "float"


@dataclass(frozen=True, slots=True)
class ToInt8:
    """Write the same model as full int8 by the TF converter with min-max calibration.

    Attributes:
        calibration: `.npz` written by `samples.write`, samples along axis 0.
        inputs: name of each of its arrays.
    """

    model: Path
    format: ModelFormat
    calibration: Path
    inputs: tuple[str, ...]
    out: Path
    op: Literal["int8"] = "int8"


@dataclass(frozen=True, slots=True)
class QuantizeFloat:
    """Write a float .tflite as full int8 by ai-edge-quantizer; no TensorFlow."""

    model: Path
    calibration: Path
    inputs: tuple[str, ...]
    out: Path
    op: Literal["quantize"] = "quantize"


Request = ToFloat | ToInt8 | QuantizeFloat


@dataclass(frozen=True, slots=True)
class Order:
    """One line to the child."""

    request: Request


@dataclass(frozen=True, slots=True)
class Reply:
    """One line from the child; `error` is absent when the file was written."""

    error: str | None = None
    hint: str | None = None
