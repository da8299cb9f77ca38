"""Fine-tunes a Keras file for int8 and converts what came of it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from green_edge.convert import keras_models, samples
from green_edge.convert.aware.plan import make_plan
from green_edge.convert.aware.student import Student, describe, make_student
from green_edge.convert.aware.train import distil, start_ranges
from green_edge.convert.keras_graph import flat
from green_edge.convert.protocol import FineTune
from green_edge.convert.signature import as_converted
from green_edge_wire.errors import ModelError


def fine_tune(request: FineTune) -> bytes:
    """Full int8 of a Keras model after short quantization-aware fine-tuning.

    The bytes are the same for the same inputs and seed on the same kind of processor.

    Raises:
        ModelError: a model that cannot be fine-tuned, or that the converter refuses.
    """
    keras.utils.set_random_seed(request.seed)
    tf.config.experimental.enable_op_determinism()
    model = flat(keras_models.load(request.model))
    student = make_student(model, make_plan(*describe(model)))
    names = [tensor.name for tensor in model.inputs]
    ranging = _ordered(request.calibration, request.inputs, names)
    learned = _ordered(request.training, request.inputs, names)
    start_ranges(student, ranging, request.seed)
    distil(student, model, learned, request.steps, request.seed)
    return _convert(student, names, ranging)


def _ordered(file: Path, inputs: Sequence[str], names: Sequence[str]) -> list[NDArray[Any]]:
    """Arrays of a file in the order of the Keras model's inputs."""
    if set(inputs) != set(names):
        raise ModelError(
            f"the .tflite calls its inputs {', '.join(inputs)}, Keras {', '.join(names)}"
        )
    with np.load(file, allow_pickle=False) as arrays:
        whole = {name: arrays[f"arr_{i}"] for i, name in enumerate(inputs)}
    return [whole[name] for name in names]


def _convert(student: Student, names: Sequence[str], ranging: Sequence[NDArray[Any]]) -> bytes:
    for layer in student.weighted:
        layer.bake()
    batch_1 = [
        keras.Input(batch_shape=(1, *tensor.shape[1:]), dtype=tensor.dtype, name=tensor.name)
        for tensor in student.model.inputs
    ]
    model = keras.Model(batch_1, student.model(batch_1[0] if len(batch_1) == 1 else batch_1))
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    # The learned ranges are in the graph; the samples only make the converter accept no float.
    converter.representative_dataset = lambda: _one_by_one(names, ranging)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    return as_converted(bytes(converter.convert()), tuple(names))


def _one_by_one(names: Sequence[str], arrays: Sequence[NDArray[Any]]) -> Iterator[samples.Sample]:
    for i in range(len(arrays[0])):
        yield {name: array[i : i + 1] for name, array in zip(names, arrays, strict=True)}
