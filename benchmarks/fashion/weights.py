"""Weights by layer in an .npz: tf_keras and Keras 3 do not read each other's files."""

from pathlib import Path
from typing import Any

import numpy as np


def save(model: Any, path: Path) -> None:
    """Write every layer's arrays."""
    arrays = {
        f"{layer.name}/{i}": array
        for layer in model.layers
        for i, array in enumerate(layer.get_weights())
    }
    part = path.with_suffix(".part.npz")
    np.savez(part, **arrays)
    part.replace(path)


def load(model: Any, path: Path) -> None:
    """Fill a model of the same architecture."""
    with np.load(path) as arrays:
        for layer in model.layers:
            count = len(layer.get_weights())
            layer.set_weights([arrays[f"{layer.name}/{i}"] for i in range(count)])
