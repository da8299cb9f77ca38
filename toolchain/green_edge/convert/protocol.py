"""What the parent asks of a converter child and what it answers: one JSON line each way."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from green_edge.core.recipe import Calibration, WideDtype
from green_edge.core.report import ModelFormat, Skip


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
class FineTune:
    """Fine-tune a Keras model quantization-aware and write it as full int8.

    Attributes:
        training: `.npz` of samples to learn from, as `samples.write` writes it.
        calibration: `.npz` of samples that give the first ranges.
        inputs: name of each array of the two.
        steps: batches to learn from.
        seed: of all draws.
    """

    model: Path
    training: Path
    calibration: Path
    inputs: tuple[str, ...]
    steps: int
    seed: int
    out: Path
    op: Literal["fine-tune"] = "fine-tune"


@dataclass(frozen=True, slots=True)
class QuantizeFloat:
    """Write a float .tflite as full int8 by ai-edge-quantizer; no TensorFlow.

    Attributes:
        ranges: how activations get theirs.
        wide: names of the output tensors of layers that stay wider than int8.
        wide_dtype: type of those layers' activations.
    """

    model: Path
    calibration: Path
    inputs: tuple[str, ...]
    out: Path
    ranges: Calibration = "minmax"
    wide: tuple[str, ...] = ()
    wide_dtype: WideDtype = "float32"
    op: Literal["quantize"] = "quantize"


@dataclass(frozen=True, slots=True)
class CorrectBias:
    """Take the mean error of each layer of an int8 file out of its bias; no TensorFlow."""

    model: Path
    int8: Path
    calibration: Path
    inputs: tuple[str, ...]
    out: Path
    op: Literal["correct-bias"] = "correct-bias"


@dataclass(frozen=True, slots=True)
class RoundAdaptively:
    """Round the weights of an int8 file anew so that layer outputs change least; no TensorFlow."""

    model: Path
    int8: Path
    calibration: Path
    inputs: tuple[str, ...]
    out: Path
    op: Literal["round"] = "round"


@dataclass(frozen=True, slots=True)
class Equalise:
    """Write a float .tflite with the channel ranges of adjacent layers evened out."""

    model: Path
    out: Path
    op: Literal["equalise"] = "equalise"


Request = ToFloat | ToInt8 | FineTune | QuantizeFloat | CorrectBias | RoundAdaptively | Equalise


@dataclass(frozen=True, slots=True)
class Order:
    """One line to the child."""

    request: Request


@dataclass(frozen=True, slots=True)
class Reply:
    """One line from the child; `error` is absent when the file was written.

    Attributes:
        done: what was changed, in the step's own words; steps that change all or nothing tell none.
        skipped: layers left as they are.
    """

    error: str | None = None
    hint: str | None = None
    done: tuple[str, ...] = ()
    skipped: tuple[Skip, ...] = ()


@dataclass(frozen=True, slots=True)
class Sign:
    """A line that a child may send before its reply: it is alive, and this is what it does.

    Attributes:
        share: of the request that is done, where known.
    """

    doing: str
    share: float | None = None
