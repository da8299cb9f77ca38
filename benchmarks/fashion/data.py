"""Fashion-MNIST (Xiao, Rasul, Vollgraf 2017): 60,000 training and 10,000 test images of 28 x 28.

Debian's package dataset-fashion-mnist puts the files where this looks first.
"""

import gzip
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.fashion.batches import Images, Labels
from green_edge_wire.errors import GreenEdgeError

FOLDER = Path("/usr/share/datasets/fashion-mnist")
# Of the training images; they choose epochs and rate, so that the test images choose nothing.
VALIDATION = 5_000
_SPLIT_SEED = 20
# The magic number, the count and, for images, rows and columns, four bytes each (the idx format).
_IMAGES_HEADER, _LABELS_HEADER = 16, 8


@dataclass(frozen=True, slots=True)
class Labelled:
    """Images (n, 28, 28, 1) in 0..1 and their classes (n,)."""

    x: Images
    y: Labels

    def take(self, rows: slice | NDArray[np.int64]) -> "Labelled":
        """Some of the images."""
        return Labelled(self.x[rows], self.y[rows])


@dataclass(frozen=True, slots=True)
class FashionMnist:
    """Training images without those for validation, validation images, test images."""

    train: Labelled
    validation: Labelled
    test: Labelled


def load() -> FashionMnist:
    """Read the four files.

    Raises:
        GreenEdgeError: they are not there.
    """
    folder = Path(os.environ.get("GREEN_EDGE_FASHION_MNIST", FOLDER))
    if not (folder / "train-images-idx3-ubyte.gz").is_file():
        raise GreenEdgeError(
            f"no Fashion-MNIST in {folder}",
            hint="apt install dataset-fashion-mnist, or set GREEN_EDGE_FASHION_MNIST to a folder"
            " with the four *-ubyte.gz files",
        )
    whole = _labelled(folder, "train")
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(whole.y))
    return FashionMnist(
        train=whole.take(order[VALIDATION:]),
        validation=whole.take(order[:VALIDATION]),
        test=_labelled(folder, "t10k"),
    )


def _labelled(folder: Path, part: str) -> Labelled:
    pixels = gzip.decompress((folder / f"{part}-images-idx3-ubyte.gz").read_bytes())
    classes = gzip.decompress((folder / f"{part}-labels-idx1-ubyte.gz").read_bytes())
    x = np.frombuffer(pixels, np.uint8, offset=_IMAGES_HEADER).reshape(-1, 28, 28, 1)
    y = np.frombuffer(classes, np.uint8, offset=_LABELS_HEADER)
    return Labelled((x / np.float32(255)).astype(np.float32), y.astype(np.int64))
