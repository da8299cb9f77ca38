"""The TF converter: Keras and SavedModel to float and to int8; imported by the child only.

Inputs and outputs stand in the author's order in what it makes, float and int8 alike.
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from green_edge.convert import keras_models, samples, saved_model
from green_edge.convert.signature import as_converted
from green_edge.core.report import ModelFormat


def to_float(path: Path, model_format: ModelFormat) -> bytes:
    """Convert to float32, batch 1."""
    return _convert(path, model_format, _leave)


def to_int8(
    path: Path, model_format: ModelFormat, calibration: Path, inputs: Sequence[str]
) -> bytes:
    """Convert to full int8 with min-max calibration, int8 input and output, batch 1.

    Integer inputs, such as token ids, keep their type. Dense layers stay quantized per channel:
    switching that off costs quality and only dynamic-range files need it.
    """

    def configure(converter: Any) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: samples.read(calibration, inputs)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8

    return _convert(path, model_format, configure)


def _leave(converter: Any) -> None:
    """Keep the converter's defaults: float32 throughout."""
    del converter


def _convert(path: Path, model_format: ModelFormat, configure: Callable[[Any], None]) -> bytes:
    inputs: tuple[str, ...] = ()
    with tempfile.TemporaryDirectory(prefix="green-edge-") as folder:
        if model_format == "saved-model":
            fixed = Path(folder) / "batch-1"
            saved_model.rewrite_batch_1(path, fixed)
            converter = tf.lite.TFLiteConverter.from_saved_model(str(fixed))
        else:
            model = keras_models.load_batch_1(path)
            inputs = tuple(tensor.name for tensor in model.inputs)
            converter = tf.lite.TFLiteConverter.from_keras_model(model)
        configure(converter)
        return as_converted(bytes(converter.convert()), inputs)
