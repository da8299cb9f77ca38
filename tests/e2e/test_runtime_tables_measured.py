"""The table of tflite-runtime is what that runtime answers, in an environment of its own."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from green_edge.targets import runtimes
from support.second_runtime import second_runtime

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "runtime_op_versions.py"


def test_the_script_finds_what_the_table_of_tflite_runtime_says(tmp_path: Path) -> None:
    second = second_runtime(tmp_path)
    done = subprocess.run(
        [sys.executable, SCRIPT, second.python],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    found = tomllib.loads(done.stdout)
    table = runtimes.load("tflite-runtime-2.14.0")
    assert found["ops"] == table.ops
    assert found["lowest"] == table.lowest
    assert tuple(found["custom"]) == table.custom
