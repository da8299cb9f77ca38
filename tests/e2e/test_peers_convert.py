"""The peers that only convert, each in a process of its own as the tables' benchmarks run them."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from benchmarks.fashion import weights
from benchmarks.peers.job import Job, Order
from benchmarks.peers.networks import NETWORKS

from green_edge.data.dataset import Dataset
from green_edge.evaluate.predict import predict
from green_edge.tflite.read import read

pytestmark = pytest.mark.tf

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("tensorflow", reason="needs the extra build")
    import keras  # noqa: PLC0415 - after the skip

    keras.utils.set_random_seed(3)
    path = tmp_path_factory.mktemp("weights") / "w.npz"
    weights.save(NETWORKS["digits"](keras), path)
    return path


def test_the_converters_make_full_int8_close_to_float(weights_file: Path, tmp_path: Path) -> None:
    x = np.random.default_rng(0).uniform(0, 1, (60, 8, 8, 1)).astype(np.float32)
    jobs = [
        Job(tmp_path / name, Order("digits", str(weights_file), name), x, np.zeros(60, int), x[:30])
        for name in ("float", "int8", "static_wi8_ai8")
    ]
    for job in jobs:
        job.folder.mkdir()
        job.write()
    subprocess.run(
        [sys.executable, "-m", "benchmarks.peers.converting", *(str(job.folder) for job in jobs)],
        cwd=ROOT, env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}, capture_output=True, check=True,
    )  # fmt: skip
    in_float, *others = (job.out.read_bytes() for job in jobs)
    (wanted,) = predict(in_float, Dataset({"image": x}))
    assert read(in_float).inputs[0].dtype == "float32"
    for model in others:
        facts = read(model)
        assert (facts.inputs[0].dtype, facts.outputs[0].dtype) == ("int8", "int8")
        assert facts.inputs[0].shape == (1, 8, 8, 1)
        assert len(model) < len(in_float) / 2
        (found,) = predict(model, Dataset({"image": x}))
        assert np.abs(wanted - found).max() < 0.05
