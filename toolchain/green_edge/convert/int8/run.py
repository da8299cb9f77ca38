"""Runs a .tflite over calibration samples, kernel by kernel as the file says.

Default delegates stay off: XNNPACK computes several operations as one and rounds differently by
processor. One thread: sums split over threads round differently from run to run.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from green_edge.convert.samples import Sample
from green_edge.convert.signature import names
from green_edge_wire.errors import ModelError


def in_file_order(tflite: bytes, samples: Iterable[Sample]) -> Iterator[list[NDArray[Any]]]:
    """Arrays of each sample in the order of the file's inputs.

    Raises:
        ModelError: a file's input is not among the sample's.
    """
    order = names(tflite).inputs
    for sample in samples:
        missing = [name for name in order if name not in sample]
        if missing:
            raise ModelError(f"the calibration samples have no {', '.join(map(repr, missing))}")
        yield [sample[name] for name in order]


def tensors(
    tflite: bytes, samples: Iterable[Sequence[NDArray[Any]]], wanted: Sequence[int] | None = None
) -> Iterator[list[NDArray[Any]]]:
    """Values of a model's tensors, sample by sample, as stored.

    Args:
        tflite: the model.
        samples: one array an input, float for quantized inputs, batch 1.
        wanted: tensors of the main graph; the model's outputs when None.

    Raises:
        ModelError: the runtime cannot run it.
    """
    interpreter = _ready(tflite, keep=wanted is not None)
    outputs = [int(detail["index"]) for detail in interpreter.get_output_details()]
    places = outputs if wanted is None else [int(index) for index in wanted]
    inputs = interpreter.get_input_details()
    for arrays in samples:
        # Recurrent layers keep a state, and samples have nothing to do with one another.
        interpreter.reset_all_variables()
        for detail, array in zip(inputs, arrays, strict=True):
            interpreter.set_tensor(detail["index"], _stored(detail, array))
        _invoke(interpreter)
        yield [interpreter.get_tensor(index) for index in places]


def _ready(tflite: bytes, *, keep: bool) -> Interpreter:
    try:
        interpreter = Interpreter(
            model_content=tflite,
            num_threads=1,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            experimental_preserve_all_tensors=keep,
        )
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"the runtime cannot load the model: {error}") from error
    return interpreter


def _invoke(interpreter: Interpreter) -> None:
    try:
        interpreter.invoke()
    except RuntimeError as error:
        raise ModelError(f"the runtime cannot run the model: {error}") from error


def _stored(detail: Any, array: NDArray[Any]) -> NDArray[Any]:
    """A sample as the input stores it: quantized where the input is."""
    dtype = np.dtype(detail["dtype"])
    scale, zero_point = detail["quantization"]
    values: NDArray[Any] = np.reshape(array, detail["shape"])
    if not np.issubdtype(dtype, np.integer) or not scale:
        return values.astype(dtype)
    limits = np.iinfo(dtype)
    steps = np.round(values.astype(np.float64) / scale) + zero_point
    stored: NDArray[Any] = np.clip(steps, limits.min, limits.max).astype(dtype)
    return stored
