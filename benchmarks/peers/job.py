"""What a peer is given: a trained network, its training images, images to calibrate with.

A job is a folder, because peers run in processes, and some in an environment, of their own. numpy
and the standard library alone.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fashion import weights
from benchmarks.fashion.batches import Images, Labels
from benchmarks.peers.networks import NETWORKS

_ORDER, _ARRAYS, _MODEL = "order.json", "arrays.npz", "model.tflite"


@dataclass(frozen=True, slots=True)
class Order:
    """What to do, and with what.

    Attributes:
        network: a name of NETWORKS.
        weights: .npz file of a network trained to the end.
        method: the peer's, such as "int8" or "prune".
        amount: its degree: share of zeros, number of clusters.
        epochs: of fine-tuning, where the method has it.
        rate: learning rate it begins with; falls to nothing along a cosine.
        shift_px: by which training images move at most, as in the training.
        seed: of shuffling and shifting.
    """

    network: str
    weights: str
    method: str
    amount: float = 0.0
    epochs: int = 0
    rate: float = 5e-4
    shift_px: int = 0
    seed: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """An order with its arrays, in a folder."""

    folder: Path
    order: Order
    x: Images
    y: Labels
    calibration: Images

    @property
    def out(self) -> Path:
        """Where the .tflite is to lie."""
        return self.folder / _MODEL

    def network(self, keras: Any) -> Any:
        """The trained model, of Keras 3 or tf_keras."""
        model = NETWORKS[self.order.network](keras)
        weights.load(model, Path(self.order.weights))
        return model

    def write(self) -> None:
        """Lay it down for another process."""
        (self.folder / _ORDER).write_text(json.dumps(asdict(self.order)))
        np.savez(self.folder / _ARRAYS, x=self.x, y=self.y, calibration=self.calibration)


def read(folder: Path) -> Job:
    """Take up what `write` laid down."""
    order = Order(**json.loads((folder / _ORDER).read_text()))
    with np.load(folder / _ARRAYS) as arrays:
        return Job(folder, order, arrays["x"], arrays["y"], arrays["calibration"])
