"""Train the digits model on scikit-learn's handwritten digits, with cross-fitted folds.

Writes to `--out DIR`:

    digits.keras            trained on all 1,797 images: the model that ships
    train.npz               all images as the model takes them, with labels: calibration, and what
                            the demo's device is fed
    labels.txt pipeline.json
    folds/<k>/model.keras   trained without fold k
    folds/<k>/train.npz     what that model was trained on: its calibration
    folds/<k>/eval.npz      fold k: images that model never saw
    training.json           accuracy by fold and over all, seconds, versions, date

Every image is judged by a model that never saw it, so a quality figure rests on all 1,797 of them.
"""

import argparse
import datetime as dt
import json
import platform
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import sklearn
from sklearn.datasets import load_digits

HERE = Path(__file__).resolve().parent
FOLDS = 5
EPOCHS = 24
BATCH = 64
PEAK_LEARNING_RATE = 4e-3
# The scanner's grey levels are 0..16; pipeline.json has the same factor for the device.
SCALE = 1.0 / 16.0

Array = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Digits:
    """Images (n, 8, 8, 1) in 0..16 and their classes (n,)."""

    raw: Array
    y: Labels

    @property
    def x(self) -> Array:
        """Images as the model takes them, 0..1."""
        return self.raw * np.float32(SCALE)

    def take(self, rows: npt.NDArray[np.int64]) -> "Digits":
        """Some of the images."""
        return Digits(self.raw[rows], self.y[rows])


def load() -> Digits:
    """Read the data set that scikit-learn ships (UCI optdigits test part, 1,797 images)."""
    bunch = load_digits()
    return Digits(bunch.images.astype(np.float32)[..., None], bunch.target.astype(np.int64))


def folds_of(y: Labels, seed: int) -> npt.NDArray[np.int64]:
    """Fold number of each image: shuffled, the classes spread evenly."""
    rng = np.random.default_rng(seed)
    fold = np.empty(len(y), np.int64)
    for digit in np.unique(y):
        rows = rng.permutation(np.flatnonzero(y == digit))
        fold[rows] = (np.arange(len(rows)) + digit) % FOLDS
    return fold


def network() -> Any:
    """Build a small CNN for 8x8 images: 3 convolutions and a dense head, 12,250 parameters."""
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


def shifted(x: Array, rng: np.random.Generator) -> Array:
    """Copy of the images, each moved by up to one pixel in both directions, zeros moving in."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    dy, dx = rng.integers(0, 3, (2, len(x)))
    rows = np.arange(len(x))[:, None, None]
    ys = (dy[:, None] + np.arange(8))[:, :, None]
    xs = (dx[:, None] + np.arange(8))[:, None, :]
    moved: Array = padded[rows, ys, xs]
    return moved


def batches(data: Digits, seed: int) -> Iterator[tuple[Array, Labels]]:
    """All epochs' batches, shuffled and shifted, as one stream."""
    rng = np.random.default_rng(seed)
    x, y = data.x, data.y
    for _ in range(EPOCHS):
        order = rng.permutation(len(y))
        for start in range(0, len(y) - BATCH + 1, BATCH):
            rows = order[start : start + BATCH]
            yield shifted(x[rows], rng), y[rows]


def train(data: Digits, seed: int) -> Any:
    """Train one model."""
    keras.utils.set_random_seed(seed)
    model = network()
    steps = EPOCHS * (len(data.y) // BATCH)
    rate = keras.optimizers.schedules.CosineDecay(PEAK_LEARNING_RATE, steps)
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    # One epoch over the whole stream: the schedule counts steps, and Keras builds its graph once.
    model.fit(batches(data, seed), steps_per_epoch=steps, epochs=1, verbose=0)
    return model


def accuracy(model: Any, data: Digits) -> float:
    """Share of images whose best class is the right one."""
    probabilities = np.asarray(model(data.x, training=False))
    return float(np.mean(np.argmax(probabilities, axis=1) == data.y))


def save(path: Path, data: Digits) -> None:
    """Write images as the model takes them, and their classes."""
    np.savez_compressed(path, x=data.x, y=data.y)


def run(out: Path, seed: int) -> dict[str, Any]:
    """Train all models, write everything, return the figures."""
    start_s = time.monotonic()
    data = load()
    fold = folds_of(data.y, seed)
    correct = 0.0
    by_fold: list[float] = []
    for k in range(FOLDS):
        rest, held = data.take(np.flatnonzero(fold != k)), data.take(np.flatnonzero(fold == k))
        model = train(rest, seed + 1 + k)
        by_fold.append(accuracy(model, held))
        correct += by_fold[-1] * len(held.y)
        folder = out / "folds" / str(k)
        folder.mkdir(parents=True, exist_ok=True)
        model.save(folder / "model.keras")
        save(folder / "train.npz", rest)
        save(folder / "eval.npz", held)
        print(f"fold {k + 1} of {FOLDS}: {by_fold[-1]:.4f} of {len(held.y)}", flush=True)
    model = train(data, seed)
    model.save(out / "digits.keras")
    save(out / "train.npz", data)
    for name in ("labels.txt", "pipeline.json"):
        shutil.copyfile(HERE / name, out / name)
    figures = {
        "model": "digits",
        "cross_fitted_accuracy": correct / len(data.y),
        "accuracy_by_fold": by_fold,
        "images": len(data.y),
        "parameters": int(model.count_params()),
        "seed": seed,
        "wall_s": round(time.monotonic() - start_s, 1),
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "keras": keras.__version__,
        "scikit_learn": sklearn.__version__,
    }
    (out / "training.json").write_text(json.dumps(figures, indent=2) + "\n")
    return figures


def main() -> None:
    """Train and print the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    figures = run(arguments.out, arguments.seed)
    print(
        f"digits: {figures['cross_fitted_accuracy']:.4f} over {figures['images']} images, "
        f"cross-fitted, {figures['wall_s']} s",
    )


if __name__ == "__main__":
    main()
