"""The tables of docs/targets.md say what the registry says."""

import re
from pathlib import Path

from green_edge.targets.registry import find, names
from green_edge.targets.runtimes import newest

PAGE = (Path(__file__).parents[2] / "docs" / "targets.md").read_text(encoding="utf-8")


def _rows(first_header: str) -> list[list[str]]:
    table = PAGE.partition(f"| {first_header} |")[2].partition("\n\n")[0]
    return [
        [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        for line in table.splitlines()[2:]
    ]


def test_every_target_has_a_row() -> None:
    assert sorted(row[0] for row in _rows("target")) == sorted(names())


def test_every_system_of_a_board_has_a_row_with_its_runtime() -> None:
    systems = {
        target.system for target in map(find, names()) if target.system and not target.accelerator
    }
    rows = _rows("system")
    assert systems <= {row[0] for row in rows}
    for system, python, glibc, runtime, wheel, numpy in rows:
        board = "coral-devboard" if system.startswith("mendel") else "pi4"
        target = find(f"{board}:{system}")
        assert target.place is not None
        assert (python, glibc) == (target.place.python, target.place.glibc)
        plan = target.plan
        assert runtime == ("none" if plan is None else f"{plan.package} {plan.version}")
        assert wheel == ("" if plan is None else plan.wheel)
        assert numpy == ("" if plan is None else plan.numpy)


def test_the_versions_named_in_the_text_are_measured_ones() -> None:
    named = re.findall(r"`([A-Z_0-9]+)`\s+up\s+to\s+version\s+(\d+)", PAGE)
    assert len(named) == 3
    assert all(newest().ops[op] == int(version) for op, version in named)
