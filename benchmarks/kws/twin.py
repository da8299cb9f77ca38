"""The network of MLPerf Tiny keyword spotting for Keras 3, with the published weights.

Layers after github.com/mlcommons/tiny (Apache-2.0),
benchmark/training/keyword_spotting/keras_model.py, `ds_cnn`; weights from its SavedModel.
Its two dropouts are left out: they act in training alone, and what learns from the original's
outputs on changed inputs does better without (divergence 0.084 against 0.126 on 250 inputs).
"""

from pathlib import Path
from typing import Any

from green_edge_wire.errors import ModelError

SHAPE = (49, 10, 1)
WORDS = 12
_CHANNELS = 64
_BLOCKS = 4
# Of the whole map: half the input's height, rounded up, and width.
_POOL = (25, 5)


def ds_cnn(keras: Any) -> Any:
    """One convolution, four depthwise separable ones, mean, softmax: 2.66 MMAC."""
    layers = keras.layers
    mfcc = keras.Input(SHAPE, name="mfcc")
    stem = layers.Conv2D(_CHANNELS, (10, 4), strides=2, padding="same", name="stem")
    x = _normalised(layers, stem(mfcc), "stem")
    for i in range(1, _BLOCKS + 1):
        depthwise = layers.DepthwiseConv2D(3, padding="same", name=f"depthwise{i}")
        x = _normalised(layers, depthwise(x), f"depthwise{i}")
        pointwise = layers.Conv2D(_CHANNELS, 1, padding="same", name=f"pointwise{i}")
        x = _normalised(layers, pointwise(x), f"pointwise{i}")
    x = layers.AveragePooling2D(_POOL, name="mean")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(WORDS, activation="softmax", name="word")(x)
    return keras.Model(mfcc, x, name="kws_ds_cnn")


def load(keras: Any, saved_model: Path) -> Any:
    """The network with the weights of a SavedModel folder of the reference.

    Raises:
        ModelError: the folder's weights are not those of this network.
    """
    import tensorflow as tf  # noqa: PLC0415 - seconds of import, in the process that trains

    model = ds_cnn(keras)
    reader = tf.train.load_checkpoint(str(saved_model / "variables" / "variables"))
    shapes = reader.get_variable_to_shape_map()
    weighted = [layer for layer in model.layers if layer.weights]
    for i, layer in enumerate(weighted):
        for variable in layer.weights:
            name = "depthwise_kernel" if _is_depthwise(keras, layer, variable) else variable.name
            key = f"layer_with_weights-{i}/{name}/.ATTRIBUTES/VARIABLE_VALUE"
            if tuple(shapes.get(key, ())) != tuple(variable.shape):
                raise ModelError(f"{saved_model} has no {key} of shape {tuple(variable.shape)}")
            variable.assign(reader.get_tensor(key))
    return model


def _is_depthwise(keras: Any, layer: Any, variable: Any) -> bool:
    return isinstance(layer, keras.layers.DepthwiseConv2D) and variable.name == "kernel"


def _normalised(layers: Any, x: Any, name: str) -> Any:
    x = layers.BatchNormalization(name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)
