"""Rules of the house that no linter knows."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [*ROOT.glob("toolchain/**/*.py"), *ROOT.glob("device_agent/**/*.py")]
TESTS = [path for path in ROOT.glob("tests/**/*.py") if path != Path(__file__)]

# Where anything unforeseen ends, each with its reason on the line or above it: the two command
# lines, the agent's inference loop, and a user's own data hook.
BROAD = {
    "toolchain/green_edge/cli/__init__.py",
    "device_agent/green_edge_agent/cli.py",
    "device_agent/green_edge_agent/inference.py",
    "toolchain/green_edge/data/hook.py",
    "toolchain/green_edge/evaluate/metrics.py",
}


def imports(statement: str, *unwanted: str) -> str:
    """Which of some modules a fresh interpreter has after a statement."""
    probe = f"{statement}\nimport sys\nprint(*(m for m in {unwanted!r} if m in sys.modules))"
    paths = f"{ROOT}/toolchain:{ROOT}/device_agent"
    ran = subprocess.run(
        [sys.executable, "-c", probe],
        env={"PYTHONPATH": paths}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return ran.stdout.split("\n")[-2]


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_costs_neither_numpy_nor_tensorflow(arguments: list[str]) -> None:
    statement = (
        "from green_edge.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit:\n    pass"
    )
    assert imports(statement, "numpy", "tensorflow", "keras", "starlette", "paho") == ""


def test_the_agent_brings_nothing_of_the_host() -> None:
    found = imports("import green_edge_agent", "green_edge", "numpy", "click", "tensorflow")
    assert found == ""


def test_broad_excepts_are_the_few_that_are_known() -> None:
    found = {
        str(path.relative_to(ROOT))
        for path in SOURCES
        if re.search(r"except Exception\b", path.read_text())
    }
    assert found == BROAD


def test_what_catches_everything_elsewhere_raises_it_again() -> None:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ExceptHandler) and ast.dump(node.type or node).startswith(
                "Name(id='BaseException'"
            ):
                assert isinstance(node.body[-1], ast.Raise), f"{path}:{node.lineno}"


def test_nothing_is_patched() -> None:
    for path in TESTS:
        assert not re.search(r"\b(unittest\.mock|MagicMock|monkeypatch\.setattr)\b",
                             path.read_text()), path  # fmt: skip


def test_files_stay_small_and_are_named_for_what_they_hold() -> None:
    for path in SOURCES:
        assert len(path.read_text().splitlines()) <= 400, path
        assert path.stem not in {"utils", "util", "helpers", "common", "manager", "misc"}, path


def test_nothing_is_left_to_do() -> None:
    for path in SOURCES:
        assert not re.search(r"\b(TODO|FIXME|XXX)\b", path.read_text()), path
