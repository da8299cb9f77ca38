"""The trained Fashion networks and their data sets as the files that `green-edge build` takes.

    python -m benchmarks.compression.fashion NETWORK FILE

writes a network in a process of its own: TensorFlow never gives its memory back.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import cache, record
from benchmarks.fashion import data, trained, weights
from benchmarks.fashion.data import Labelled

RECIPES = Path(__file__).parent / "recipes"


@dataclass(frozen=True, slots=True)
class Files:
    """What a build is given; the test images are not among it.

    Attributes:
        model: trained float Keras file.
        train: the 55,000 images that it was trained on.
        validation: the 5,000 that chose its epoch.
    """

    model: Path
    train: Path
    validation: Path

    @property
    def data(self) -> tuple[str, ...]:
        """Options of `green-edge build` that name the sets."""
        return ("--train", str(self.train), "--eval", str(self.validation))

    @property
    def inputs(self) -> tuple[Path, ...]:
        """Both sets."""
        return (self.train, self.validation)


def files(network: str) -> Files:
    """A network's files, written where the cache does not hold them."""
    found = trained.subject(network)
    model = cache.folder("models") / f"{found.weights.stem}.keras"
    if not model.is_file():
        command = [sys.executable, "-m", "benchmarks.compression.fashion", network, str(model)]
        quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"}
        subprocess.run(command, check=True, cwd=record.ROOT, env=quiet)
    images = data.load()
    folder = cache.folder("fashion")
    return Files(
        model,
        _written(folder / "train.npz", images.train),
        _written(folder / "validation.npz", images.validation),
    )


def _written(path: Path, images: Labelled) -> Path:
    if not path.is_file():
        part = path.with_suffix(".part.npz")
        np.savez(part, x=images.x, y=images.y)
        part.replace(path)
    return path


def main() -> None:
    """Write a network with its trained weights."""
    import keras  # noqa: PLC0415 - seconds of import, in this script's own process alone

    network, path = sys.argv[1], Path(sys.argv[2])
    model = trained.NETWORKS[network](keras)
    weights.load(model, trained.subject(network).weights)
    part = path.with_suffix(".part.keras")
    model.save(part)
    part.replace(path)


if __name__ == "__main__":
    main()
