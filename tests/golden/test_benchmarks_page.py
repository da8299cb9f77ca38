"""docs/benchmarks.md says what the recorded results say."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RESULTS = sorted((ROOT / "benchmarks" / "results").glob("*.json"))
KEYS = {"benchmark", "command", "date", "commit", "machine", "versions", "wall_s", "figures"}


def test_the_page_of_benchmarks_is_up_to_date() -> None:
    check = subprocess.run(
        [sys.executable, "-m", "benchmarks", "docs", "--check"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert check.returncode == 0, check.stderr


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_a_result_says_what_it_was_measured_with(path: Path) -> None:
    document = json.loads(path.read_text())
    assert set(document) == KEYS
    assert document["benchmark"] == path.stem
    assert document["date"] >= "2026-11-01"
    assert document["machine"]["architecture"]
    assert (ROOT / "benchmarks" / f"{path.stem}.py").is_file()
