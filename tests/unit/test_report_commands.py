"""`green-edge report` and `green-edge watch` over a store with one device and none."""

import csv
import io
import json
import re
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from green_edge.cli import main
from green_edge.telemetry.opening import open_store
from green_edge_wire.device import SlotInfo
from green_edge_wire.errors import ConfigError, GreenEdgeError
from support.nobody import without_root
from support.records import T0_UNIX_MS, Steady, info, reading, reported, sample, status


@pytest.fixture(autouse=True)
def _state_of_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GREEN_EDGE_STATE", str(tmp_path / "state"))


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    """A store in which pi-kitchen has just sent ten windows, and pi-attic a modelled one."""
    path = tmp_path / "fleet.db"
    now_unix_ms = time.time_ns() // 1_000_000
    store = open_store(str(path))
    modelled = reading(
        10_000_000, meter="model:pi4", boundary="modelled", kind="modelled", u_ratio=0.31
    )
    records = [
        *Steady().windows(range(1, 10)),
        sample(10, energy=(reading(cumulative_uj=10**8),), ended_at_unix_ms=now_unix_ms - 1_000),
        sample(1, device_id="pi-attic", energy=(modelled,), model="<i>digits</i>"),
    ]
    store.commit(records, site="home", received_unix_ms=now_unix_ms)
    store.put_status("home", status(at_unix_ms=now_unix_ms), now_unix_ms)
    store.put_info("home", info(), now_unix_ms)
    store.put_reported("home", reported("failed", reason="disk full"), now_unix_ms)
    store.close()
    return path


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(main, list(arguments), standalone_mode=False)
    if isinstance(result.exception, Exception):
        raise result.exception
    return result


def ended(*arguments: str) -> tuple[int, list[str]]:
    """Exit code and lines of a command that fails."""
    with pytest.raises(GreenEdgeError) as caught:
        run(*arguments)
    return caught.value.exit_code, str(caught.value).splitlines()


def test_the_table_shows_gross_and_net_and_how_they_were_obtained(store_path: Path) -> None:
    lines = run("report", "--store", str(store_path)).stdout.splitlines()
    assert lines[0].split()[0] == "device"
    kitchen = next(line for line in lines if line.startswith("pi-kitchen"))
    assert re.search(r"500 +2\.0\d/2\.0\d +200\.0 ±4\.0 +40\.0 +mean$", kitchen)
    assert any("~200 ±62" in line and line.endswith("modelled") for line in lines)
    assert max(len(line) for line in lines) <= 80


def test_json_is_one_document_without_nulls(store_path: Path) -> None:
    result = run("report", "--store", str(store_path), "--json", "--device", "pi-kitchen")
    document = json.loads(result.stdout)
    (row,) = document["rows"]
    assert row["energy_uj_per_inference"] == 200_000
    assert row["net_uj_per_inference"] == 40_000
    assert (row["kind"], row["boundary"], row["windows_missing"]) == ("mean", "board-dc-in", 0)
    assert document["totals"]["energy"][0]["energy_uj"] == 100_000_000
    assert "null" not in result.stdout
    assert result.stderr == ""


def test_csv_reads_back(store_path: Path) -> None:
    result = run("report", "--store", str(store_path), "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["device_id"] for row in rows] == ["pi-attic", "pi-kitchen"]
    assert float(rows[1]["energy_uj_per_inference"]) == 200_000


def test_html_needs_nothing_from_elsewhere_and_escapes_what_devices_say(
    store_path: Path, tmp_path: Path
) -> None:
    page = tmp_path / "report.html"
    result = run("report", "--store", str(store_path), "--format", "html", "--out", str(page))
    assert result.stdout == ""
    text = page.read_text()
    seen = _References(text)
    assert seen.outside == []
    assert seen.tags.isdisjoint({"script", "link", "img", "iframe", "i"})
    assert {"svg", "table"} <= seen.tags
    assert "&lt;i&gt;digits" in text
    assert "200.0 ±4.0" in text


def test_an_empty_time_gives_an_empty_report_in_every_format(store_path: Path) -> None:
    chosen = ("report", "--store", str(store_path), "--until", "2001-01-01")
    assert "no telemetry in this time" in run(*chosen).stdout
    assert json.loads(run(*chosen, "--json").stdout)["rows"] == []
    assert len(run(*chosen, "--format", "csv").stdout.splitlines()) == 1
    assert "No telemetry arrived" in run(*chosen, "--format", "html").stdout


def test_since_and_model_choose_the_windows(store_path: Path) -> None:
    recent = json.loads(
        run("report", "--store", str(store_path), "--since", "5min", "--json").stdout
    )
    assert [row["inferences"] for row in recent["rows"]] == [50]
    assert recent["since_unix_ms"] > T0_UNIX_MS
    chosen = run("report", "--store", str(store_path), "--model", "digits", "--json")
    assert [row["device_id"] for row in json.loads(chosen.stdout)["rows"]] == ["pi-kitchen"]


def test_windows_before_the_first_model_are_named_so_and_stand_last(store_path: Path) -> None:
    now_unix_ms = time.time_ns() // 1_000_000
    with closing(open_store(str(store_path))) as store:
        bare = sample(
            1, device_id="a-first", model="", model_version=0, artefact="", latencies_us=()
        )
        store.commit([bare], site="home", received_unix_ms=now_unix_ms)
        slots = (SlotInfo("a", "empty"), SlotInfo("b", "empty"))
        told = replace(info(device_id="a-first"), slots=slots)
        store.put_info("home", told, now_unix_ms)
    chosen = ("report", "--store", str(store_path))
    lines = run(*chosen).stdout.splitlines()
    assert [line.split()[0] for line in lines[2:5]] == ["pi-attic", "pi-kitchen", "a-first"]
    assert re.split(" {2,}", lines[4])[1] == "none yet"
    rows = list(csv.DictReader(io.StringIO(run(*chosen, "--format", "csv").stdout)))
    assert [row["device_id"] for row in rows] == ["pi-attic", "pi-kitchen", "a-first"]
    assert (rows[2]["model"], rows[2]["model_version"]) == ("none yet", "")
    page = run(*chosen, "--format", "html").stdout
    assert page.index("none yet") > page.index("<th>pi-kitchen</th>")
    assert "none 0" not in page
    watched = run("watch", "--store", str(store_path), "--times", "1").stdout.splitlines()
    assert "none yet" in next(line for line in watched if line.startswith("a-first"))
    document = json.loads(run("watch", "--store", str(store_path), "--json").stdout)
    rows_told = {row["device_id"]: row.get("model") for row in document["devices"]}
    assert rows_told == {"a-first": "", "pi-attic": None, "pi-kitchen": "digits 1"}


def test_a_report_without_a_store_says_how_to_get_one_and_makes_nothing(tmp_path: Path) -> None:
    for path in (tmp_path / "none.db", tmp_path / "no" / "folder" / "none.db"):
        code, lines = ended("report", "--since", "2h", "--store", str(path))
        assert code == 2
        assert lines == [f"store: no store at {path}; 'green-edge up' makes one and fills it"]
    assert list(tmp_path.iterdir()) == []


def test_a_report_of_an_empty_store_says_so_and_is_no_failure(tmp_path: Path) -> None:
    open_store(str(tmp_path / "empty.db")).close()
    result = run("report", "--since", "2h", "--store", str(tmp_path / "empty.db"))
    assert result.stdout == (
        "no telemetry in this time; 'green-edge devices' shows who has reported\n"
    )
    assert (result.stderr, result.exit_code) == ("", 0)


def test_a_report_of_what_is_no_store_is_one_line_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database, but long enough to look at" * 30)
    with closing(sqlite3.connect(tmp_path / "music.db")) as other:
        other.execute("CREATE TABLE music (title TEXT)")
    for name, message in (
        ("notes.txt", "is not an SQLite file; name a file of its own for the store"),
        ("music.db", "is another program's SQLite file; name a file of its own for the store"),
        ("", "is a folder; name a file in it"),
        ("notes.txt/x.db", "'green-edge up' makes one and fills it"),
    ):
        code, lines = ended("report", "--since", "2h", "--store", str(tmp_path / name))
        assert code == 2
        assert len(lines) == 1
        assert lines[0].endswith(message)


def test_a_report_of_a_store_that_may_only_be_read_is_one_line_with_the_remedy(
    tmp_path: Path,
) -> None:
    path = tmp_path / "fleet.db"
    open_store(str(path)).close()
    path.chmod(0o444)
    with without_root(tmp_path, *tmp_path.parents[:2]):
        code, lines = ended("report", "--since", "2h", "--store", str(path))
    assert code == 2
    (line,) = lines
    assert line.startswith(f"store: {path}: attempt to write a readonly database; ")
    assert line.endswith("give this user the right to write the file and its folder")


def test_a_report_that_cannot_be_written_says_so(store_path: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--out: cannot write"):
        run("report", "--store", str(store_path), "--out", str(tmp_path / "no" / "report.txt"))


def test_watch_prints_one_document_and_ends(store_path: Path) -> None:
    document = json.loads(run("watch", "--store", str(store_path), "--json").stdout)
    rows = {row["device_id"]: row for row in document["devices"]}
    assert rows["pi-kitchen"]["online"]
    assert rows["pi-kitchen"]["inferences_per_s"] == 10
    assert rows["pi-kitchen"]["power_uw"] == 2_000_000
    assert "power_uw" not in rows["pi-attic"]


def test_watch_off_a_terminal_prints_only_what_changed(store_path: Path) -> None:
    result = run("watch", "--store", str(store_path), "--times", "2", "--every", "0.1")
    lines = result.stdout.splitlines()
    assert max(len(line) for line in lines) <= 80
    assert len([line for line in lines if line.startswith("pi-kitchen ")]) == 1
    assert "2.00 W" in next(line for line in lines if line.startswith("pi-kitchen "))
    assert "pi-kitchen: disk full" in lines


def test_watch_of_a_device_nobody_heard_of_is_refused(store_path: Path) -> None:
    with pytest.raises(ConfigError, match="no device 'pi-x' in the store"):
        run("watch", "pi-x", "--store", str(store_path), "--json")


def test_watch_of_an_empty_store_says_that_no_device_has_reported(tmp_path: Path) -> None:
    open_store(str(tmp_path / "empty.db")).close()
    result = run("watch", "--store", str(tmp_path / "empty.db"), "--times", "1")
    assert result.stdout == "no device has reported yet\n"


class _References(HTMLParser):
    """Tags of a page, and the addresses it would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.outside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.outside += [value or "" for name, value in attrs if name in {"src", "href"}]
