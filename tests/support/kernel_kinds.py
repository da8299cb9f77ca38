"""A small Keras model with a kernel of every kind, and a scene for passes that need no data."""

from pathlib import Path
from typing import Any

import keras
import numpy as np

from green_edge.compress.scene import Samples, Scene
from support.recovery import NoPrices, Told


def every_kind(seed: int = 3) -> Any:
    """An image and three tokens to four scores."""
    layers = keras.layers
    keras.utils.set_random_seed(seed)
    image = keras.Input((8, 8, 4), name="image")
    x = layers.Conv2D(8, 3, name="conv")(image)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.PReLU(shared_axes=(1, 2), name="prelu")(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, name="depth")(x)
    x = layers.SeparableConv2D(6, 3, name="separable")(x)
    x = layers.Conv2DTranspose(5, 3, name="up")(x)
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    tokens = keras.Input((3,), dtype="int32", name="tokens")
    t = layers.Embedding(11, 6, name="words")(tokens)
    t = layers.MultiHeadAttention(2, 4, name="attention")(t, t)
    t = layers.LSTM(4, name="memory")(t)
    x = layers.Concatenate(name="both")([x, t])
    return keras.Model([image, tokens], layers.Dense(4, name="scores")(x))


KERNELS = {
    ("conv", "kernel"), ("depth", "kernel"), ("separable", "depthwise_kernel"),
    ("separable", "pointwise_kernel"), ("up", "kernel"), ("words", "embeddings"),
    ("attention", "query/kernel"), ("attention", "key/kernel"), ("attention", "value/kernel"),
    ("attention", "attention_output/kernel"), ("memory", "lstm_cell/kernel"),
    ("memory", "lstm_cell/recurrent_kernel"), ("scores", "kernel"),
}  # fmt: skip


def without_data(folder: Path) -> Scene:
    """A scene with no samples and no prices."""
    none = Samples((np.zeros((0, 1)),))
    return Scene(none, none, NoPrices(), None, 0, folder, Told())
