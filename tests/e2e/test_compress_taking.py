"""One step as the compress child takes it."""

from pathlib import Path

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from green_edge.compress import sample_files, taking  # noqa: E402 - needs Keras
from green_edge.compress.protocol import MODEL_FILE, TakeStep  # noqa: E402
from green_edge.compress.scene import Samples  # noqa: E402
from green_edge.convert.worker import unheard  # noqa: E402
from green_edge.core.steps import Prune, Recover, Step  # noqa: E402
from green_edge_wire.errors import ConfigError  # noqa: E402

pytestmark = [
    pytest.mark.tf,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


def asked(folder: Path, step: Step, classes: int, seed: int = 0) -> TakeStep:
    given = keras.Input((4,), name="x")
    hidden = keras.layers.Dense(8, "relu")(given)
    keras.Model(given, keras.layers.Dense(3, "softmax")(hidden)).save(folder / "three.keras")
    x = np.random.default_rng(1).normal(size=(40, 4)).astype(np.float32)
    samples = Samples((x,), np.arange(40) % classes)
    sample_files.write(folder / "samples", samples, samples.take(slice(0, 8)))
    return TakeStep(
        model=folder / "three.keras",
        taken=step,
        samples=folder / "samples",
        inputs=("x",),
        targets=("pi4",),
        seed=seed,
        checkpoints=folder / "work",
        out=folder / "out",
    )


def test_any_seed_that_a_recipe_takes_will_do(tmp_path: Path) -> None:
    step = Recover(epochs=1.0, augment=("noise",))
    taking.take(asked(tmp_path, step, 3, seed=2**63 - 1), unheard)
    assert (tmp_path / "out" / MODEL_FILE).is_file()


def test_labels_that_do_not_fit_are_refused_before_any_step(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"labels go from 0 to 3, but .* has 3 classes"):
        taking.take(asked(tmp_path, Prune(keep=0.5), 4), unheard)
    assert not (tmp_path / "out").exists()
