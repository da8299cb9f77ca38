"""TFLiteConverter and ai-edge-quantizer as their documentation calls them; a process of its own.

python -m benchmarks.peers.converting FOLDER...
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.fashion.batches import Images
from benchmarks.peers.job import Job, read


def converter(keras: Any, model: Any) -> Any:
    """A TFLiteConverter for batch 1: an open batch adds operations around every reshape."""
    import tensorflow as tf  # noqa: PLC0415 - seconds of import

    one = keras.Input(batch_shape=(1, *model.input_shape[1:]), name="image")
    return tf.lite.TFLiteConverter.from_keras_model(keras.Model(one, model(one)))


def to_int8(keras: Any, model: Any, calibration: Images) -> bytes:
    """Full int8, input and output too, with calibrated ranges."""
    import tensorflow as tf  # noqa: PLC0415 - seconds of import

    def samples() -> Iterator[list[Images]]:
        return ([calibration[i : i + 1]] for i in range(len(calibration)))

    work = converter(keras, model)
    work.optimizations = [tf.lite.Optimize.DEFAULT]
    work.representative_dataset = samples
    work.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    work.inference_input_type = work.inference_output_type = tf.int8
    return bytes(work.convert())


def _converted(job: Job) -> bytes:
    import keras  # noqa: PLC0415 - seconds of import
    import tensorflow as tf  # noqa: PLC0415 - as above

    model = job.network(keras)
    if job.order.method == "int8":
        return to_int8(keras, model, job.calibration)
    work = converter(keras, model)
    if job.order.method == "dynamic range":
        work.optimizations = [tf.lite.Optimize.DEFAULT]
    return bytes(work.convert())


def _by_ai_edge_quantizer(job: Job) -> bytes:
    import keras  # noqa: PLC0415 - as above
    from ai_edge_quantizer import quantizer, recipe  # noqa: PLC0415 - seconds of import

    from green_edge.convert.signature import names  # noqa: PLC0415 - as above

    in_float = bytes(converter(keras, job.network(keras)).convert())
    work = quantizer.Quantizer(bytearray(in_float), recipe.static_wi8_ai8())
    (name,) = names(in_float).inputs
    samples: Any = [{name: job.calibration[i : i + 1]} for i in range(len(job.calibration))]
    return bytes(work.quantize(work.calibrate({"serving_default": samples})).quantized_model)


def main() -> None:
    """Do the jobs of the folders named."""
    for job in map(read, map(Path, sys.argv[1:])):
        make = _by_ai_edge_quantizer if job.order.method == "static_wi8_ai8" else _converted
        job.out.write_bytes(make(job))


if __name__ == "__main__":
    main()
