"""A trained Keras model with a planted outlier channel; run as a program, in a child of its own.

`python -m support.outlier_keras FOLDER NAME` writes NAME`.keras` and `digits.npz` (`x`, `y`). A
channel of the first convolution is a thousand times the others and the next layer takes it back by
as much, so the float model is as good as before and one range for all channels is useless. In
`residual` it runs past an addition, where no equalisation reaches it.
"""

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import numpy as np

Name = Literal["outlier", "residual"]
ROOT = Path(__file__).parents[2]
FACTOR = 1000.0
CHANNEL = 3
LEARNED = 1200  # samples of digits.npz that it was trained on; the others judge


def make_outlier(folder: Path, name: Name = "outlier") -> Path:
    """Write both files from a child process; returns the folder."""
    from green_edge.convert.worker import child_environment  # noqa: PLC0415 - not in the child

    paths = [ROOT / "toolchain", ROOT / "device_agent", ROOT / "tests"]
    environment = child_environment({"PYTHONPATH": ":".join(map(str, paths)), "PATH": ""})
    subprocess.run(
        [sys.executable, "-m", "support.outlier_keras", str(folder), name],
        env=environment,
        check=True,
        capture_output=True,
    )
    return folder


def main(folder: Path, name: str) -> None:
    """Train for some seconds, plant the outlier and save."""
    import keras  # noqa: PLC0415 - seconds of import, for the child alone

    digits = importlib.import_module("sklearn.datasets").load_digits()
    x, y = (digits.images[..., None] / 16).astype(np.float32), digits.target
    keras.utils.set_random_seed(0)
    model = network(keras, residual=name == "residual")
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x[:LEARNED], y[:LEARNED], epochs=15, verbose=0)
    plant(model, residual=name == "residual")
    model.save(folder / f"{name}.keras")
    np.savez(folder / "digits.npz", x=x, y=y)


def network(keras: Any, *, residual: bool) -> Any:
    """A small convolutional network, with a residual branch where asked."""
    layers = keras.layers
    image = keras.Input((8, 8, 1), name="image")
    y = layers.Conv2D(16, 3, padding="same", use_bias=False, name="wide")(image)
    y = layers.ReLU()(layers.BatchNormalization(name="norm")(y))
    if residual:
        branch = layers.Conv2D(16, 3, padding="same", use_bias=False, name="branch")(y)
        branch = layers.BatchNormalization(name="branch_norm")(branch)
        y = layers.ReLU()(layers.Add()([y, branch]))
    y = layers.BatchNormalization()(layers.Conv2D(16, 3, name="next")(y))
    y = layers.Flatten()(layers.ReLU()(y))
    return keras.Model(image, layers.Dense(10, activation="softmax")(y))


def plant(model: Any, *, residual: bool) -> None:
    """Scale one channel up wherever it is made and take it back wherever it is used."""
    norms, takers = ["norm"], ["next"]
    if residual:
        norms, takers = ["norm", "branch_norm"], ["branch", "next"]
    for name in norms:
        norm = model.get_layer(name)
        for variable in (norm.gamma, norm.beta):
            values = variable.numpy()
            values[CHANNEL] *= FACTOR
            variable.assign(values)
    for name in takers:
        kernel = model.get_layer(name).kernel.numpy()
        kernel[:, :, CHANNEL] /= FACTOR
        model.get_layer(name).kernel.assign(kernel)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
