"""The TF converter: Keras, SavedModel and ONNX to float and to int8; imported by the child only.

Inputs and outputs stand in the author's order in what it makes, float and int8 alike.
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from green_edge.convert import extras, keras_models, lstm_int8, samples, saved_model, token_ids
from green_edge.convert.signature import as_converted
from green_edge.core.report import ModelFormat
from green_edge_wire.errors import ModelError


def to_float(path: Path, model_format: ModelFormat) -> bytes:
    """Convert to float32, batch 1.

    Raises:
        ModelError: it cannot be converted, or takes token ids as real numbers.
    """
    content = _convert(path, model_format, _leave)
    token_ids.refuse_real_ids(content)
    return content


def to_int8(
    path: Path, model_format: ModelFormat, calibration: Path, inputs: Sequence[str]
) -> bytes:
    """Convert to full int8 with min-max calibration, int8 input and output, batch 1.

    Integer inputs, such as token ids, keep their type. Dense layers stay quantized per channel:
    switching that off costs quality and only dynamic-range files need it.

    Raises:
        ModelError: it is a PyTorch model, which does not pass through the TF converter.
    """
    if model_format == "torch":
        raise ModelError("the TF converter does not read PyTorch; ai-edge-quantizer quantizes it")

    def configure(converter: Any) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: samples.read(calibration, inputs)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8

    return lstm_int8.mend(_convert(path, model_format, configure))


def _leave(converter: Any) -> None:
    """Keep the converter's defaults: float32 throughout."""
    del converter


def _convert(path: Path, model_format: ModelFormat, configure: Callable[[Any], None]) -> bytes:
    extras.check_installed(model_format)
    match model_format:
        case "saved-model":
            with tempfile.TemporaryDirectory(prefix="green-edge-") as folder:
                fixed = Path(folder) / "batch-1"
                saved_model.rewrite_batch_1(path, fixed)
                return _converted(tf.lite.TFLiteConverter.from_saved_model(str(fixed)), configure)
        case "onnx":
            from green_edge.convert import onnx_models  # noqa: PLC0415 - an extra

            model = onnx_models.load_batch_1(path, _from_onnx)
            return _from_onnx(model, onnx_models.output_names(model), configure)
        case "torch":
            from green_edge.convert import torch_models  # noqa: PLC0415 - an extra

            return torch_models.to_float(path)
        case _:
            model = keras_models.load_batch_1(path)
            converter = tf.lite.TFLiteConverter.from_keras_model(model)
            return _converted(converter, configure, [tensor.name for tensor in model.inputs])


def _from_onnx(
    model: Any, outputs: Sequence[str], configure: Callable[[Any], None] = _leave
) -> bytes:
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    return _converted(converter, configure, [tensor.name for tensor in model.inputs], outputs)


def _converted(
    converter: Any,
    configure: Callable[[Any], None],
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
) -> bytes:
    configure(converter)
    return as_converted(bytes(converter.convert()), inputs, outputs)
