"""A small Keras model that has learned to tell blobs, one with a layer of its own, and their data.

`python -m support.shrinkable_keras FOLDER` writes:

    blobs.keras  image (8, 8, 1) -> 3 classes
    own.keras    the same with a layer that `own_layer.py` registers
    train.npz    900 labelled images
    test.npz     1500 others
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

OWN_LAYER = '''
import keras

@keras.saving.register_keras_serializable("own")
class Doubled(keras.layers.Layer):
    """Twice its input."""

    def call(self, inputs):
        """Double it."""
        return 2.0 * inputs
'''


def blobs(n: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Noisy images with a bright row, column or diagonal: (n, 8, 8, 1) and the class."""
    draw = np.random.default_rng(seed)
    y = draw.integers(0, 3, n)
    x = draw.normal(0, 0.3, (n, 8, 8, 1)).astype(np.float32)
    for i, (kind, place) in enumerate(zip(y, draw.integers(0, 8, n), strict=True)):
        if kind == 0:
            x[i, place, :, 0] += 1
        elif kind == 1:
            x[i, :, place, 0] += 1
        else:
            x[i, np.arange(8), (np.arange(8) + place) % 8, 0] += 1
    return x, y


def main(folder: Path) -> None:
    """Train and save."""
    import keras  # noqa: PLC0415 - seconds of import, for the child alone

    (folder / "own_layer.py").write_text(OWN_LAYER, encoding="utf-8")
    sys.path.insert(0, str(folder))
    from own_layer import Doubled  # type: ignore[import-not-found]  # noqa: PLC0415 - just written

    keras.utils.set_random_seed(3)
    x, y = blobs(900, 1)
    np.savez(folder / "train.npz", x=x, y=y)
    judged = blobs(1500, 2)
    np.savez(folder / "test.npz", x=judged[0], y=judged[1])
    model = _network(keras, [])
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=64, epochs=12, verbose=0)
    model.save(folder / "blobs.keras")
    own = _network(keras, [Doubled(name="doubled")])
    own.set_weights(model.get_weights())
    own.save(folder / "own.keras")


def _network(keras: Any, last: list[Any]) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 1), name="image"),
            layers.Conv2D(32, 3, padding="same", use_bias=False, name="one"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(name="relu"),
            layers.Conv2D(32, 3, padding="same", strides=2, activation="relu", name="two"),
            layers.GlobalAveragePooling2D(name="pool"),
            layers.Dense(32, activation="relu", name="hidden"),
            layers.Dense(3, name="scores"),
            *last,
            layers.Softmax(name="shares"),
        ]
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
