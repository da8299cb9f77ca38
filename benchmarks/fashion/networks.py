"""The two architectures, for Keras 3 and for tf_keras alike: the caller hands in its module."""

from typing import Any

CLASSES = 10
SHAPE = (28, 28, 1)


def small_resnet(keras: Any) -> Any:
    """Three residual blocks of 24, 48 and 96 channels: 174,850 parameters, 5.85 MMAC."""
    layers = keras.layers
    image = keras.Input(SHAPE, name="image")
    x = _conv_bn(layers, image, 24, "stem")
    x = layers.ReLU(name="stem_relu")(x)
    x = layers.MaxPooling2D(2, name="stem_pool")(x)
    for name, channels, stride in (("a", 24, 1), ("b", 48, 2), ("c", 96, 2)):
        shortcut = x
        x = _conv_bn(layers, x, channels, f"{name}1", stride=stride)
        x = layers.ReLU(name=f"{name}1_relu")(x)
        x = _conv_bn(layers, x, channels, f"{name}2")
        if stride > 1:
            shortcut = _conv_bn(layers, shortcut, channels, f"{name}0", size=1, stride=stride)
        x = layers.Add(name=f"{name}_add")([x, shortcut])
        x = layers.ReLU(name=f"{name}_relu")(x)
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    x = layers.Dense(CLASSES, activation="softmax", name="article")(x)
    return keras.Model(image, x, name="fashion_resnet")


def dense_cnn(keras: Any) -> Any:
    """Two convolutions and a dense head that holds 95 % of 421,642 parameters: 4.24 MMAC."""
    layers = keras.layers
    image = keras.Input(SHAPE, name="image")
    x = layers.Conv2D(32, 3, padding="same", activation="relu", name="conv1")(image)
    x = layers.MaxPooling2D(2, name="pool1")(x)
    x = layers.Conv2D(64, 3, padding="same", activation="relu", name="conv2")(x)
    x = layers.MaxPooling2D(2, name="pool2")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dropout(0.4, name="dropout1")(x)
    x = layers.Dense(128, activation="relu", name="hidden")(x)
    x = layers.Dropout(0.4, name="dropout2")(x)
    x = layers.Dense(CLASSES, activation="softmax", name="article")(x)
    return keras.Model(image, x, name="fashion_cnn")


def _conv_bn(
    layers: Any, x: Any, channels: int, name: str, *, size: int = 3, stride: int = 1
) -> Any:
    conv = layers.Conv2D(
        channels, size, strides=stride, padding="same", use_bias=False, name=f"{name}_conv"
    )
    return layers.BatchNormalization(name=f"{name}_bn")(conv(x))
