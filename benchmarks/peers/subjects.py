"""Trained networks with the data that judge them: what every row of a table starts from."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import cache, record
from benchmarks.fashion import data, trained
from benchmarks.fashion.batches import Images
from benchmarks.fashion.data import Labelled

# Images that calibrate, the first of the training images.
CALIBRATION = 200
# Of every method that trains on Fashion-MNIST: as many as the recipes of green-edge's rows have.
FASHION_EPOCHS = 16


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """A network trained on some images and judged on others.

    Attributes:
        weights: .npz by layer.
    """

    weights: Path
    train: Labelled
    test: Labelled

    @property
    def calibration(self) -> Images:
        """Training images to calibrate with."""
        return self.train.x[:CALIBRATION]


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """What a table is about.

    Attributes:
        network: a name of NETWORKS.
        folds: one, or several that together judge every image once.
        fine_tuning_epochs: of every method that trains.
        shift_px: by which training images were moved, and are in fine-tuning.
        training: how the weights came to be, for the record.
    """

    network: str
    folds: tuple[Fold, ...]
    fine_tuning_epochs: int
    shift_px: int
    training: Mapping[str, Any]


def fashion(name: str) -> Subject:
    """A network of benchmarks/fashion, judged on the 10,000 test images."""
    images = data.load()
    found = trained.subject(name)
    fold = Fold(found.weights, images.train, images.test)
    return Subject(name, (fold,), FASHION_EPOCHS, 0, found.record)


def digits() -> Subject:
    """The network of models/digits, five folds that judge each of 1,797 images once."""
    folder = cache.folder("weights") / "digits"
    if not (folder / "training.json").is_file():
        script = record.ROOT / "models" / "digits" / "train.py"
        subprocess.run([sys.executable, str(script), "--out", str(folder)], check=True)
    places = sorted((folder / "folds").iterdir())
    if not all((place / "weights.npz").is_file() for place in places):
        command = [sys.executable, "-m", "benchmarks.peers.digits_weights", *map(str, places)]
        subprocess.run(command, check=True, cwd=record.ROOT)
    folds = tuple(
        Fold(place / "weights.npz", _labelled(place / "train.npz"), _labelled(place / "eval.npz"))
        for place in places
    )
    # Images moved by a pixel as in its training, and a few more steps than that took.
    return Subject("digits", folds, 60, 1, json.loads((folder / "training.json").read_text()))


def _labelled(path: Path) -> Labelled:
    with np.load(path) as arrays:
        return Labelled(arrays["x"], arrays["y"])
