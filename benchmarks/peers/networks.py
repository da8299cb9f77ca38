"""The subjects' architectures, for Keras 3 and tf_keras alike: the caller hands in its module."""

from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.fashion.networks import dense_cnn, small_resnet


def digits(keras: Any) -> Any:
    """The network of models/digits, with the same names: 12,250 parameters."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 1), name="image"),
            layers.Conv2D(16, 3, padding="same", activation="relu", name="conv1"),
            layers.Conv2D(16, 3, padding="same", activation="relu", name="conv2"),
            layers.MaxPooling2D(2, name="pool"),
            layers.Conv2D(32, 3, padding="same", activation="relu", name="conv3"),
            layers.Flatten(name="flatten"),
            layers.Dropout(0.3, name="dropout"),
            layers.Dense(10, activation="softmax", name="digit"),
        ],
        name="digits",
    )


NETWORKS: Mapping[str, Callable[[Any], Any]] = {
    "fashion_resnet": small_resnet,
    "fashion_cnn": dense_cnn,
    "digits": digits,
}
