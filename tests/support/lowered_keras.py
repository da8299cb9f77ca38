"""Keras models for the truth of the lowering; imported where TensorFlow is."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

layers = keras.layers


def chain(shape: tuple[int, ...], *made: Any, dtype: str = "float32") -> Any:
    """One layer after the other."""
    fed = keras.Input(shape, dtype=dtype)
    data = fed
    for layer in made:
        data = layer(data)
    return keras.Model(fed, data)


def _around(shape: tuple[int, ...], inside: Callable[[Any], Any]) -> Any:
    fed = keras.Input(shape)
    return keras.Model(fed, inside(fed))


def _residual(fed: Any) -> Any:
    data = layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same")(fed))
    data = layers.ReLU(6.0)(data)
    short = layers.Conv2D(8, 1)(fed)
    data = layers.ReLU()(layers.Add()([data, short]))
    return layers.Dense(3)(layers.GlobalAveragePooling2D()(data))


def _joined(fed: Any) -> Any:
    first = layers.Conv2D(6, 3, padding="same", activation="relu")(fed)
    data = layers.Concatenate()([first, layers.Conv2D(3, 1)(fed)])
    data = layers.ReLU()(layers.BatchNormalization()(data))
    return layers.Conv2D(3, 1)(data)


def _gated(fed: Any) -> Any:
    data = layers.Conv2D(8, 3, padding="same", activation="swish")(fed)
    gate = layers.Reshape((1, 1, 8))(layers.GlobalAveragePooling2D()(data))
    gate = layers.Conv2D(4, 1, activation="relu")(gate)
    gate = layers.Conv2D(8, 1, activation="sigmoid")(gate)
    return layers.Conv2D(3, 1)(layers.Multiply()([data, gate]))


def _transformer(fed: Any) -> Any:
    data = layers.LayerNormalization()(fed)
    data = layers.MultiHeadAttention(2, 4, value_dim=3)(data, data)
    data = layers.Add()([data, fed])
    data = layers.Dense(8)(layers.Dense(16, activation="gelu")(data))
    return layers.Dense(3)(layers.GlobalAveragePooling1D()(data))


def ds_cnn() -> Any:
    """Keyword spotting of MLPerf Tiny: 64 channels, four depthwise blocks."""
    made = [layers.Conv2D(64, (10, 4), strides=2, padding="same")]
    for _ in range(4):
        made += [layers.BatchNormalization(), layers.ReLU()]
        made += [layers.DepthwiseConv2D(3, padding="same"), layers.BatchNormalization()]
        made += [layers.ReLU(), layers.Conv2D(64, 1, padding="same")]
    made += [layers.BatchNormalization(), layers.ReLU(), layers.Dropout(0.4)]
    made += [layers.AveragePooling2D((25, 5)), layers.Flatten()]
    return chain((49, 10, 1), *made, layers.Dense(12, activation="softmax"))


def mobilenet() -> Any:
    """MobileNet v2 at 96 x 96, a third of the channels."""
    return keras.applications.MobileNetV2((96, 96, 3), alpha=0.35, weights=None, classes=10)


def mixed() -> dict[str, Any]:
    """Small models that between them hold what the converter folds, fuses and moves."""
    image, steps = (8, 8, 4), (16, 4)
    return {
        "residual": _around(image, _residual),
        "concatenation": _around(image, _joined),
        "gate": _around(image, _gated),
        "separable": chain(
            image,
            layers.SeparableConv2D(8, 3, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.ZeroPadding2D(1),
            layers.DepthwiseConv2D(3, strides=2, depth_multiplier=2),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ),
        "transposed": chain(
            (4, 4, 4),
            layers.Conv2DTranspose(8, 3, strides=2, padding="same", use_bias=False),
            layers.ReLU(),
            layers.Conv2DTranspose(6, 2, strides=2),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2D(3, 1),
        ),
        "prelu": chain(
            image, layers.Conv2D(8, 3), layers.PReLU(shared_axes=[1, 2]), layers.Conv2D(6, 1),
            layers.PReLU(), layers.Conv2D(3, 1),
        ),
        "one axis": chain(
            steps, layers.Conv1D(8, 3, padding="causal"), layers.BatchNormalization(),
            layers.ReLU(), layers.MaxPooling1D(2), layers.SeparableConv1D(6, 3),
            layers.GlobalAveragePooling1D(), layers.Dense(3),
        ),
        "grouped": chain(
            (4, 4, 8), layers.Rescaling(1 / 255.0), layers.Conv2D(8, 3, groups=2),
            layers.BatchNormalization(), layers.ReLU(), layers.UpSampling2D(2),
            layers.Conv2D(3, 1),
        ),
        "dense": chain(
            (6,), layers.Dense(8), layers.BatchNormalization(), layers.ReLU(), layers.Dropout(0.2),
            layers.Dense(6, activation="relu"), layers.BatchNormalization(), layers.Dense(3),
        ),
        "lstm": chain(
            (6, 4), layers.LSTM(8, return_sequences=True), layers.LSTM(6), layers.Dense(3)
        ),
        "both ways": chain((6, 4), layers.Bidirectional(layers.LSTM(8)), layers.Dense(3)),
        "gru": chain((3, 4), layers.GRU(6), layers.Dense(3)),
        "attention": _around((6, 8), _transformer),
    }  # fmt: skip


def with_weights(model: Any, seed: int) -> Any:
    """The model with weights that no fold can leave out, such as a scale of one."""
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        drawn = rng.uniform(0.1, 0.5, variable.shape)
        if "float" in variable.dtype:
            variable.assign(drawn if variable.path.endswith("variance") else drawn - 0.25)
    return model
