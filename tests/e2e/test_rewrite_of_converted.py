"""The rewrite for the Edge TPU compiler, on what the installed TF converter makes of Keras."""

import subprocess
import sys
from pathlib import Path

import pytest

from green_edge.convert.worker import child_environment
from green_edge.targets.edgetpu.risks import fatal
from green_edge.tflite.read import read
from green_edge.tflite.rewrite import for_edgetpu
from green_edge.tflite.versions import lowest_version
from support.same_outputs import differing

pytestmark = pytest.mark.tf

ROOT = Path(__file__).parents[2]
# Highest versions that were seen mapped in compiled files, of the operations that the rewrite is
# about.
MAPPED = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4, "TRANSPOSE_CONV": 3, "ADD": 2}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("keras")
    paths = ":".join(str(ROOT / name) for name in ("toolchain", "device_agent", "tests"))
    subprocess.run(
        [sys.executable, "-m", "support.keras_for_edgetpu", str(folder)],
        env=child_environment({"PYTHONPATH": paths, "PATH": ""}),
        check=True,
        capture_output=True,
    )
    return {file.stem: file.read_bytes() for file in sorted(folder.glob("*.tflite"))}


def test_no_output_changes_and_what_can_be_is_made_old_enough(models: dict[str, bytes]) -> None:
    assert len(models) == 10
    for name, model in models.items():
        rewritten = for_edgetpu(model)
        assert differing(model, rewritten.content) == 0, name
        ops = read(rewritten.content).ops
        too_new = {op.op for op in ops if op.version > MAPPED.get(op.op, op.version)}
        # A convolution in groups is left as it is: nothing older rounds as it does.
        assert too_new == ({"CONV_2D"} if name == "grouped" else set()), name
        assert fatal(read(rewritten.content)) == (), name


def test_the_converter_does_make_what_the_compiler_refuses(models: dict[str, bytes]) -> None:
    changed = {name for name, model in models.items() if for_edgetpu(model).changes}
    assert changed == {
        "attention",
        "dense_of_an_image",
        "dense_rows",
        "dense_without_bias",
        "rows_and_vector",
        "transposed",
    }


def test_the_rules_give_the_versions_of_the_converter_itself(models: dict[str, bytes]) -> None:
    for name in ("convolutions", "dense", "joined", "attention", "grouped", "transposed"):
        model = read(models[name])
        found = {(op.op, op.version, lowest_version(op, model.tensors)) for op in model.ops}
        assert all(lowest in {None, version} for _, version, lowest in found), (name, found)
