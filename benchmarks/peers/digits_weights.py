"""Takes the weights out of the digits models; a process of its own, because of Keras.

python -m benchmarks.peers.digits_weights FOLDER...
"""

import sys
from pathlib import Path

import keras

from benchmarks.fashion import weights


def main() -> None:
    """Write weights.npz beside each model.keras."""
    for folder in map(Path, sys.argv[1:]):
        weights.save(keras.models.load_model(folder / "model.keras"), folder / "weights.npz")


if __name__ == "__main__":
    main()
