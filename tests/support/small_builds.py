"""Inputs for builds that need no TensorFlow: a float `.tflite` and data sets for it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from green_edge.build.options import BuildOptions
from support.tiny_models import dense_weights, tiny_float_dense

LABELS = ("ant", "bee", "cat")
# Samples whose best class is better than the next by so much survive the rounding to int8.
_CLEAR = 0.12


@dataclass(frozen=True, slots=True)
class Workshop:
    """A folder with a model and its sets; `labelled` are right by the float model's own word."""

    folder: Path
    model: Path
    calibration: Path
    labelled: Path

    def options(self, out: str = "out", **changes: object) -> BuildOptions:
        """Options of a build that passes its guard."""
        given: dict[str, object] = {
            "model": self.model,
            "name": "dense",
            "targets": ("host",),
            "out": self.folder / out,
            "calibration": str(self.calibration),
            "eval": str(self.labelled),
            "labels": LABELS,
        }
        return BuildOptions(**(given | changes))  # type: ignore[arg-type]


def workshop(folder: Path, *, seed: int = 0, samples: int = 1500) -> Workshop:
    """Write the model of a seed, 100 calibration samples and labelled ones."""
    rng = np.random.default_rng(11)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dense.tflite").write_bytes(tiny_float_dense(seed=seed))
    x = rng.uniform(-1, 1, (samples, 4)).astype(np.float32)
    y = np.argmax(x @ dense_weights(seed=seed).T, axis=1)
    np.savez(folder / "calibration.npz", x=rng.uniform(-1, 1, (100, 4)).astype(np.float32))
    np.savez(folder / "labelled.npz", x=x, y=y)
    return Workshop(
        folder, folder / "dense.tflite", folder / "calibration.npz", folder / "labelled.npz"
    )


def clear_workshop(folder: Path, *, seed: int = 0, samples: int = 1500) -> Workshop:
    """A workshop whose labelled samples are clear cases."""
    made = workshop(folder, seed=seed, samples=3 * samples)
    with np.load(made.labelled) as drawn:
        x, y = drawn["x"], drawn["y"]
    ranked = np.sort(x @ dense_weights(seed=seed).T, axis=1)
    clear = np.flatnonzero(ranked[:, -1] - ranked[:, -2] > _CLEAR)[:samples]
    assert len(clear) == samples
    np.savez(made.labelled, x=x[clear], y=y[clear])
    return made
