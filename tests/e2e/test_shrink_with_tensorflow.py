"""Builds that really shrink a Keras model: the child, the passes, the converters."""

import json
import sys
from pathlib import Path

import pytest

from green_edge.build.options import BuildOptions
from green_edge.build.pipeline import build
from green_edge.core.recipe import Recipe
from green_edge.core.report import BuildReport
from green_edge.core.steps import (
    BatchNorm,
    Cluster,
    External,
    LowRank,
    Prune,
    Reconstruct,
    Recover,
    Sparsify,
    Step,
)
from green_edge_wire.errors import ModelError
from support.bundles import test_signer
from support.tiny_keras import make_models

pytestmark = [pytest.mark.tf, pytest.mark.timeout(600)]

SHORT = Recover(epochs=25.0)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    return make_models(folder, "support.shrinkable_keras")


def made(models: Path, out: Path, *steps: Step, **changes: object) -> BuildReport:
    recipe = Recipe("own", quantizers=("tf",), calibrations=("minmax",), repair=(), steps=steps)
    given: dict[str, object] = {
        "model": models / "blobs.keras",
        "name": "blobs",
        "targets": ("pi4",),
        "out": out / "out",
        "train": str(models / "train.npz"),
        "eval": str(models / "test.npz"),
        "recipe": recipe,
    }
    options = BuildOptions(**(given | changes))  # type: ignore[arg-type]
    return build(options, test_signer(), cache=out / "cache")


def test_a_pruned_model_is_smaller_and_nearly_as_good(models: Path, tmp_path: Path) -> None:
    report = made(models, tmp_path, Prune(keep=0.6), SHORT)
    before, after = report.int8_baseline, report.chosen
    assert after.macs < 0.75 * before.macs
    assert after.params < before.params
    assert report.guard.drop_pp < 5
    assert report.predicted is not None
    child = report.steps[1].share
    assert child is not None
    # What the child foresaw is what the converted files cost.
    assert report.predicted.share.instructions_ratio == pytest.approx(
        child.instructions_ratio, rel=0.03
    )
    assert report.steps[0].plan
    assert report.steps[0].params_after == report.steps[1].params_before < before.params


def test_the_same_build_gives_the_same_bytes_with_an_empty_cache(
    models: Path, tmp_path: Path
) -> None:
    steps = (Prune(keep=0.6, criterion="l1"), Recover(epochs=1.0))
    digests = []
    for k in range(2):
        made(models, tmp_path / str(k), *steps)
        digests.append((tmp_path / str(k) / "out" / "blobs.pi4.tflite").read_bytes())
    assert digests[0] == digests[1]


def test_every_kind_of_step_can_follow_every_other(models: Path, tmp_path: Path) -> None:
    report = made(
        models, tmp_path,
        LowRank(energy=0.9), Prune(keep=0.7), Reconstruct(), BatchNorm(), Sparsify(0.3),
        Cluster(clusters=16), Recover(epochs=1.0),
    )  # fmt: skip
    assert len(report.steps) == 8
    assert report.chosen.zip_bytes < 0.8 * report.int8_baseline.zip_bytes


def test_a_layer_of_the_users_own_is_known_by_its_module(models: Path, tmp_path: Path) -> None:
    own = models / "own.keras"
    with pytest.raises(
        ModelError,
        match=r"does not know the class .*name the module of its custom layers by --custom",
    ):
        made(models, tmp_path, BatchNorm(), model=own)
    module = (str(models / "own_layer.py"),)
    report = made(models, tmp_path, Prune(keep=0.7), SHORT, model=own, custom=module)
    assert report.chosen.macs < report.int8_baseline.macs


def test_a_pass_of_another_package_is_found_by_its_entry_point(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site"
    info = package / "halver-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: halver\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("[green_edge.passes]\nhalve = halver\n")
    (package / "halver.py").write_text(
        "from dataclasses import dataclass\n"
        "from green_edge.compress.graph.rebuild import remove\n"
        "@dataclass(frozen=True)\n"
        "class Plan:\n    kept: dict\n    skipped: tuple = ()\n"
        "    def lines(self): return ('half of ' + ', '.join(self.kept),)\n"
        "def plan(graph, parameters, scene):\n"
        "    kept = {g.name: range(g.size // 2) for g in graph.groups}\n"
        "    return Plan({n: kept[n] for n in parameters['groups']})\n"
        "def apply(graph, plan, scene): return remove(graph, plan.kept)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(package))
    sys.path.insert(0, str(package))
    try:
        report = made(models, tmp_path, External("halve", {"groups": ["hidden"]}))
    finally:
        sys.path.remove(str(package))
    assert report.steps[0].plan == ("half of hidden",)
    kept = json.loads((tmp_path / "out" / "build-report.json").read_text())["recipe_used"]
    assert kept["steps"] == [{"step": "halve", "parameters": {"groups": ["hidden"]}}]
