"""ONNX and PyTorch models through the whole build, in an environment with their packages."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from green_edge.convert.signature import names
from green_edge.tflite.read import read
from support.frameworks import Frameworks, frameworks

pytestmark = [pytest.mark.slow, pytest.mark.tf, pytest.mark.timeout(900)]

_ENTRY = "from green_edge.cli import entry; entry()"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Frameworks:
    return frameworks(tmp_path_factory.mktemp("frameworks") / "venv")


@pytest.fixture(scope="module")
def folder(installed: Frameworks, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models")
    for module in ("support.digits_in_torch", "support.onnx_by_hand"):
        done = installed.run("-m", module, str(made), cwd=made)
        assert done.returncode == 0, done.stderr
    rng = np.random.default_rng(0)
    np.savez(made / "images.npz", x=rng.normal(size=(150, 12, 10, 3)).astype(np.float32))
    np.savez(
        made / "words.npz",
        ids=rng.integers(0, 50, (150, 6)).astype(np.int32),
        steps=rng.normal(size=(150, 6, 8)).astype(np.float32),
    )
    np.savez(made / "ids.npz", x=rng.integers(0, 50, (150, 6)).astype(np.int32))
    return made


def built(
    installed: Frameworks, folder: Path, model: str, *arguments: str
) -> tuple[dict[str, Any], bytes]:
    """The report and the .tflite of a build that ends well or undecided."""
    out = folder / f"out-{model}"
    wanted = ("build", model, "--target", "pi4", "--out", str(out), "--json", *arguments)
    done = installed.run("-c", _ENTRY, *wanted, cwd=folder)
    assert done.returncode in {0, 8}, done.stderr
    report = json.loads(done.stdout)
    return report, (out / report["targets"][0]["file"]).read_bytes()


@pytest.mark.parametrize("model", ["net.pt2", "net.onnx"])
def test_a_trained_pytorch_network_keeps_its_accuracy_in_int8(
    installed: Frameworks, folder: Path, model: str
) -> None:
    report, content = built(installed, folder, model, "--train", "train.npz", "--eval", "eval.npz")
    assert report["float"]["quality"]["value"] > 0.93
    assert report["guard"]["drop_pp"] < 1.0
    assert [spec.shape for spec in read(content).inputs] == [(1, 8, 8, 1)]
    assert {spec.dtype for spec in read(content).inputs} == {"int8"}


def test_onnx_goes_through_both_quantizers_and_keeps_the_order_of_its_outputs(
    installed: Frameworks, folder: Path
) -> None:
    report, content = built(installed, folder, "image.onnx", "--train", "images.npz")
    recipes = {candidate["recipe"] for candidate in report["candidates"]}
    assert {"int8-tf-minmax", "int8-aeq-minmax"} <= recipes
    assert names(content).inputs == ("in_image",)
    assert names(content).outputs == ("z.scores", "a.side")
    assert [spec.shape for spec in read(content).outputs] == [(1, 5), (1, 2)]


def test_int64_ids_of_onnx_and_pytorch_enter_as_int32(installed: Frameworks, folder: Path) -> None:
    _, content = built(installed, folder, "ids.onnx", "--train", "words.npz")
    found = {spec.dtype for spec in read(content).inputs}
    assert found == {"int32", "int8"}
    _, content = built(installed, folder, "text.pt2", "--train", "ids.npz")
    assert [spec.dtype for spec in read(content).inputs] == ["int32"]


def test_torchscript_is_refused_before_anything_is_loaded(
    installed: Frameworks, folder: Path
) -> None:
    wanted = ("build", "script.pt", "--train", "train.npz", "--out", str(folder / "none"))
    done = installed.run("-c", _ENTRY, *wanted, cwd=folder)
    assert done.returncode == 3
    assert "TorchScript, which is not read" in done.stderr
    assert "torch.export.save" in done.stderr
