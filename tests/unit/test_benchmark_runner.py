import json
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks import record, runner
from benchmarks.tables import table

from green_edge_wire.errors import ConfigError

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT, env={"HOME": "/nonexistent"}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_list_names_each_benchmark_with_what_it_needs() -> None:
    done = run("list")
    assert done.returncode == 0, done.stderr
    (pairs,) = [line for line in done.stdout.splitlines() if line.startswith("edgetpu_pairs ")]
    assert "needs GREEN_EDGE_TEST_DATA" in pairs
    assert "peers_fashion_resnet" in done.stdout
    assert "kill_audit" not in done.stdout


def test_a_benchmark_whose_variable_is_unset_is_refused_and_the_variable_named() -> None:
    done = run("run", "edgetpu_pairs")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: edgetpu_pairs needs GREEN_EDGE_TEST_DATA")
    assert done.stderr.count("\n") == 1


def test_an_unknown_benchmark_is_refused_with_the_names_of_all() -> None:
    with pytest.raises(ConfigError, match=r"no benchmark 'pears'.*peers_digits"):
        runner.run("pears")


def test_every_benchmark_has_a_title_of_its_own() -> None:
    titles = [entry.title for entry in runner.entries()]
    assert len(set(titles)) == len(titles) > 10


def test_a_result_tells_machine_versions_date_and_commit() -> None:
    found = record.now("some", {"figure": 1}, 2.34)
    assert found.command == "python -m benchmarks run some"
    assert found.wall_s == 2.3
    assert found.machine.cores
    assert found.machine.processor
    assert found.versions["python"] == ".".join(map(str, sys.version_info[:3]))
    assert len(found.date) == len("2026-11-23")


def test_what_is_written_is_read_again() -> None:
    name = "edgetpu_pairs"
    document = json.loads(record.path_of(name).read_text())
    found = record.read(name)
    assert found.figures == document["figures"]
    assert found.machine.architecture == document["machine"]["architecture"]


def test_the_page_tells_of_a_result_without_commit_or_time_only_what_is_known() -> None:
    machine = record.Machine("x86_64")
    figures = {"inferences_a_record": 50, "rows": []}
    old = record.Record(
        "wire_cost", "python old.py", "2026-11-23", None, machine, {}, None, figures
    )
    last = runner.markdown(old).splitlines()[-1]
    assert last == (
        "`python old.py`, 2026-11-23. x86_64. All figures: `benchmarks/results/wire_cost.json`."
    )


def test_columns_of_figures_stand_to_the_right() -> None:
    made = table(("name", "bytes", "share"), [("a", "1,024", "-0.5 %"), ("b", "7", "")])
    assert made.splitlines() == [
        "| name | bytes | share |",
        "| --- | ---: | ---: |",
        "| a | 1,024 | -0.5 % |",
        "| b | 7 |  |",
    ]


def test_a_table_without_rows_keeps_its_head() -> None:
    assert table(("a", "b"), []) == "| a | b |\n| --- | --- |"
