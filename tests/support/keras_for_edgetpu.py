"""Int8 models that the installed TF converter makes of typical Keras layers; run as a program.

`python -m support.keras_for_edgetpu FOLDER` writes one `.tflite` a layer, untrained.
"""

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

IMAGE, ROWS = (8, 8, 8), (6, 8)


def main(folder: Path) -> None:
    """Convert all."""
    import keras  # noqa: PLC0415 - seconds of import, for the child alone
    import tensorflow as tf  # noqa: PLC0415 - as above

    warnings.simplefilter("ignore")
    keras.utils.set_random_seed(5)
    draw = np.random.default_rng(5)
    for name, (shape, build) in _layers(keras.layers).items():
        x = keras.Input(batch_shape=(1, *shape))
        converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(x, build(x)))
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        samples = [draw.normal(0, 1, (1, *shape)).astype(np.float32) for _ in range(8)]
        converter.representative_dataset = lambda samples=samples: ([s] for s in samples)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        (folder / f"{name}.tflite").write_bytes(converter.convert())


def _layers(layers: Any) -> dict[str, tuple[tuple[int, ...], Callable[[Any], Any]]]:
    conv = layers.Conv2D
    return {
        "convolutions": (
            IMAGE,
            lambda x: layers.SeparableConv2D(8, 3, activation="relu6")(
                layers.BatchNormalization()(conv(8, 3, padding="same", activation="relu")(x))
            ),
        ),
        "grouped": (IMAGE, conv(8, 3, groups=4, activation="relu")),
        "transposed": (
            IMAGE,
            lambda x: layers.ReLU()(
                layers.BatchNormalization()(layers.Conv2DTranspose(4, 3, strides=2)(x))
            ),
        ),
        "dense": (IMAGE, lambda x: layers.Dense(5, activation="softmax")(layers.Flatten()(x))),
        "dense_rows": (ROWS, layers.Dense(5, activation="relu")),
        "dense_without_bias": (ROWS, layers.Dense(5, use_bias=False)),
        "dense_of_an_image": (IMAGE, layers.Dense(5)),
        "rows_and_vector": (
            ROWS,
            lambda x: layers.Dense(4)(layers.Flatten()(layers.Dense(5)(x))),
        ),
        "attention": (ROWS, lambda x: layers.MultiHeadAttention(2, 4)(x, x)),
        "joined": (
            IMAGE,
            lambda x: layers.GlobalAveragePooling2D()(
                layers.Concatenate()([layers.Add()([x, conv(8, 1)(x)]), layers.Multiply()([x, x])])
            ),
        ),
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
