"""Documentation that can be checked is checked."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

from green_edge.cli import COMMANDS, main

ROOT = Path(__file__).parents[2]
PAGES = [
    *ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("models/*/*.md"),
]  # fmt: skip
_LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")
_COMMAND = re.compile(r"\bgreen-edge ([a-z]+)")
_MAKE = re.compile(r"^make ([a-z-]+)", re.MULTILINE)


def test_the_command_reference_is_up_to_date() -> None:
    check = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "make_cli.py"), "--check"],
        env={"PYTHONPATH": f"{ROOT}/toolchain:{ROOT}/device_agent"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert check.returncode == 0, check.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    missing = [
        link for link in _LINK.findall(page.read_text()) if not (page.parent / link).exists()
    ]
    assert missing == []


def test_commands_in_the_readme_exist() -> None:
    readme = (ROOT / "README.md").read_text()
    context = click.Context(main)
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", readme, re.DOTALL))
    named = set(_COMMAND.findall(blocks))
    assert named
    assert [name for name in named if main.get_command(context, name) is None] == []
    targets = set(_MAKE.findall(blocks))
    makefile = (ROOT / "Makefile").read_text()
    assert {"demo", "test"} <= targets
    assert [name for name in targets if f"\n{name}:" not in makefile] == []


@pytest.mark.parametrize(
    ("words", "extra"),
    [(["install"], "[dev]"), (["install-device"], "[device]"),
     (["install-device", "EXTRA=coral"], "[coral]")],
)  # fmt: skip
def test_make_installs_the_extra_that_the_docs_name(
    words: list[str], extra: str, tmp_path: Path
) -> None:
    make = ["make", "--dry-run", f"VENV={tmp_path}", *words]
    plan = subprocess.run(make, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    installs = [line for line in plan.splitlines() if "pip install" in line]
    assert len(installs) == 1, plan
    assert extra in installs[0]


def test_every_command_is_in_the_readme_or_the_reference() -> None:
    reference = (ROOT / "docs" / "cli.md").read_text()
    assert [name for name in COMMANDS if f"### green-edge {name}\n" not in reference] == []


def test_every_decision_record_says_when_and_whether_it_holds() -> None:
    records = sorted((ROOT / "docs" / "adr").glob("*.md"))
    numbers = [record.name[:4] for record in records]
    assert numbers == [f"{number:04d}" for number in range(1, len(records) + 1)]
    for record in records:
        text = record.read_text()
        assert text.startswith(f"# {record.name[:4]} "), record
        assert re.search(r"Date: \d{4}-\d\d-\d\d\. Status: (accepted|superseded)", text), record


def test_every_reference_model_is_complete() -> None:
    for folder in (ROOT / "models").iterdir():
        described = tomllib.loads((folder / "model.toml").read_text())
        assert (folder / described["train"]).is_file()
        assert (folder / "CARD.md").is_file()
