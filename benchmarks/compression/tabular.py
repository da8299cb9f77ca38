"""A small tabular problem and its network, trained honestly, by seed.

1,000 rows of ten features by scikit-learn's `make_classification` (random_state 42), of which 200
test; a network of 128 and 64 units and one sigmoid, as tutorials have it.

    python -m benchmarks.compression.tabular SEED FILE...

trains it.
"""

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import make_classification
from sklearn.model_selection import train_test_split

from benchmarks import cache, record

FEATURES = 10
EPOCHS = 50
_ROWS = 1000
_TEST_SHARE = 0.2
_DATA_SEED = 42


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Features (n, 10) and classes 0 and 1 (n,)."""

    x: NDArray[np.float32]
    y: NDArray[np.int64]

    def save(self, path: Path) -> Path:
        """Write them as a data set."""
        np.savez(path, x=self.x, y=self.y)
        return path


def load() -> tuple[Rows, Rows]:
    """Training rows and test rows, standardised by the training rows' mean and spread."""
    x, y = make_classification(_ROWS, FEATURES, random_state=_DATA_SEED)
    parts = train_test_split(x, y, test_size=_TEST_SHARE, random_state=_DATA_SEED)
    mean, spread = parts[0].mean(axis=0), parts[0].std(axis=0)
    train, test = ((part - mean) / spread for part in parts[:2])
    return (
        Rows(train.astype(np.float32), parts[2].astype(np.int64)),
        Rows(test.astype(np.float32), parts[3].astype(np.int64)),
    )


def trained(keras: Any, rows: Rows, seed: int) -> Any:
    """The network after 50 epochs, without a look at the test rows."""
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((FEATURES,), name="features"),
            layers.Dense(128, activation="relu", name="first"),
            layers.Dense(64, activation="relu", name="second"),
            layers.Dense(1, activation="sigmoid", name="risk"),
        ],
        name="tabular",
    )
    model.compile("adam", "binary_crossentropy")
    model.fit(rows.x, rows.y, epochs=EPOCHS, batch_size=32, verbose=0)
    return model


def files(seeds: Sequence[int]) -> tuple[Path, ...]:
    """Trained Keras files, one a seed, made where the cache does not hold them."""
    digest = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    found = tuple(cache.folder("models") / f"tabular-{seed}-{digest}.keras" for seed in seeds)
    missing = [
        argument
        for seed, path in zip(seeds, found, strict=True)
        if not path.is_file()
        for argument in (str(seed), str(path))
    ]
    if missing:
        # A process of its own: TensorFlow never gives its memory back.
        command = [sys.executable, "-m", "benchmarks.compression.tabular", *missing]
        quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"}
        subprocess.run(command, check=True, cwd=record.ROOT, env=quiet)
    return found


def main() -> None:
    """Write a trained network for each seed and file named."""
    import keras  # noqa: PLC0415 - seconds of import, in this script's own process alone

    train, _ = load()
    for seed, path in zip(sys.argv[1::2], map(Path, sys.argv[2::2]), strict=True):
        part = path.with_suffix(".part.keras")
        trained(keras, train, int(seed)).save(part)
        part.replace(path)


if __name__ == "__main__":
    main()
