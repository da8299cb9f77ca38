"""A build that makes zeros writes a float file that stores them away, where a target gains."""

from pathlib import Path

import pytest

from green_edge.build.options import BuildOptions
from green_edge.build.pipeline import build
from green_edge.core.recipe import Recipe
from green_edge.core.report import BuildReport
from green_edge.core.steps import Recover, Sparsify
from green_edge.tflite.read import read
from support.bundles import test_signer
from support.tiny_keras import make_models

pytestmark = [pytest.mark.tf, pytest.mark.timeout(600)]

NAME = "zeros+sparse-float"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_models(tmp_path_factory.mktemp("models"), "support.sparse_keras")


def made(models: Path, out: Path, sparsity: float) -> BuildReport:
    steps = (Sparsify(sparsity), Recover(epochs=1.0))
    recipe = Recipe("zeros", quantizers=("tf",), calibrations=("minmax",), repair=(), steps=steps)
    options = BuildOptions(
        model=models / "ready.keras",
        name="ready",
        targets=("pi4", "pi4:bookworm-armhf"),
        out=out / "out",
        train=str(models / "train.npz"),
        eval=str(models / "test.npz"),
        recipe=recipe,
    )
    return build(options, test_signer(), cache=out / "cache")


def test_the_sparse_float_file_stands_among_the_candidates_and_is_not_chosen(
    models: Path, tmp_path: Path
) -> None:
    report = made(models, tmp_path, 0.8)
    found = {candidate.recipe: candidate for candidate in report.candidates}
    assert list(found) == ["int8-tf-minmax", "zeros+int8-tf-minmax", NAME]
    assert report.chosen.recipe == "zeros+int8-tf-minmax"
    assert found[NAME].quality.n == 400
    content = (tmp_path / "out" / found[NAME].file).read_bytes()
    facts = read(content)
    assert facts.sparse_kernels == 1
    assert found[NAME].size_bytes == len(content) < report.steps[1].size_bytes_after
    assert found[NAME].macs == report.steps[1].macs_after
    lines = " ".join(line.strip() for line in report.steps[0].plan or ())
    assert "on pi4 float skips the zeros of 1 kernel" in lines
    assert "no speed gain expected on pi4:bookworm-armhf: float kernels of tflite-runtime" in lines
    assert all(len(line) <= 80 for line in report.steps[0].plan or ())
    assert any(NAME in note and "--target pi4" in note for note in report.notes)


def test_too_few_zeros_make_no_file_and_the_plan_says_why(models: Path, tmp_path: Path) -> None:
    report = made(models, tmp_path, 0.5)
    assert NAME not in {candidate.recipe for candidate in report.candidates}
    lines = " ".join(line.strip() for line in report.steps[0].plan or ())
    assert "no speed gain expected on pi4: 50% of the weights of 1 x 1 convolutions" in lines
