"""The networks of the benchmarks are what their tables say they are."""

import importlib.util
import io
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.fashion import weights
from benchmarks.peers.networks import NETWORKS

pytestmark = pytest.mark.tf

TRAIN = Path(__file__).parents[2] / "models" / "digits" / "train.py"


@pytest.fixture(scope="module")
def keras() -> Any:
    pytest.importorskip("tensorflow", reason="needs the extra build")
    import keras as module  # noqa: PLC0415 - after the skip

    return module


@pytest.mark.parametrize(
    ("name", "parameters"), [("fashion_resnet", 174_850), ("fashion_cnn", 421_642)]
)
def test_a_network_has_the_parameters_that_it_says(keras: Any, name: str, parameters: int) -> None:
    assert NETWORKS[name](keras).count_params() == parameters


def test_the_digits_network_takes_the_weights_of_models_digits(keras: Any, tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="needs the extra models")
    spec = importlib.util.spec_from_file_location("digits_train", TRAIN)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Its dataclass looks itself up there.
    sys.modules["digits_train"] = module
    spec.loader.exec_module(module)
    trained, same = module.network(), NETWORKS["digits"](keras)
    weights.save(trained, tmp_path / "w.npz")
    weights.load(same, tmp_path / "w.npz")
    x = np.random.default_rng(0).uniform(0, 1, (5, 8, 8, 1)).astype(np.float32)
    with redirect_stdout(io.StringIO()):
        assert np.array_equal(np.asarray(same(x)), np.asarray(trained(x)))
