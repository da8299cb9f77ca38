"""An untrained Keras model as float kernels that skip zeros want it, and samples for it.

`python -m support.sparse_keras FOLDER` writes:

    ready.keras  image (16, 16, 3) -> 5 classes
    train.npz    200 labelled images
    test.npz     400 others
"""

import sys
from pathlib import Path

import numpy as np


def main(folder: Path) -> None:
    """Save the model, and what it says itself of random images."""
    import keras  # noqa: PLC0415 - seconds of import, for the child alone

    layers = keras.layers
    keras.utils.set_random_seed(1)
    image = keras.Input((16, 16, 3), name="image")
    x = layers.Conv2D(16, 3, 2, use_bias=False)(layers.ZeroPadding2D(1)(image))
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu")(x)
    x = layers.Conv2D(24, 1, activation="relu", name="wide")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, layers.Dense(5, activation="softmax")(x))
    model.save(folder / "ready.keras")
    draw = np.random.default_rng(2)
    for name, n in (("train", 200), ("test", 400)):
        images = draw.normal(size=(n, 16, 16, 3)).astype(np.float32)
        y = model.predict(images, verbose=0).argmax(axis=1)
        np.savez(folder / f"{name}.npz", image=images, y=y)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
