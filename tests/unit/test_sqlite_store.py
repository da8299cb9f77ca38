"""What only the SQLite store can get wrong: its file."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from green_edge.telemetry.sqlite import SqliteStore
from green_edge.telemetry.sqlite.records import pack_latency, unpack_latency
from green_edge.telemetry.store import StoreError, open_store
from green_edge.telemetry.url import sqlite_path
from green_edge_wire.errors import ConfigError
from green_edge_wire.latency import LatencyHistogram
from green_edge_wire.telemetry import Sample
from support.records import T0_UNIX_MS, Steady

NOW_UNIX_MS = T0_UNIX_MS + 3_600_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "fleet.db")
    yield opened
    opened.close()


def commit(store: SqliteStore, *samples: Sample) -> int:
    (mark,) = store.commit(samples, site="home", received_unix_ms=NOW_UNIX_MS)
    return mark.seq


def test_a_store_is_named_by_url_or_path() -> None:
    assert sqlite_path("sqlite:///var/lib/fleet.db") == Path("/var/lib/fleet.db")
    assert sqlite_path("sqlite:///with%20blank.db") == Path("/with blank.db")
    assert sqlite_path("fleet.db") == Path("fleet.db")
    assert sqlite_path("~/fleet.db") == Path.home() / "fleet.db"


@pytest.mark.parametrize("url", ["postgresql://host/db", "sqlite://relative.db", "sqlite://", ""])
def test_other_urls_are_refused_with_the_remedy(url: str) -> None:
    with pytest.raises(ConfigError, match=r"use sqlite:///absolute/path\.db"):
        open_store(url)


def test_a_store_that_is_only_read_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'green-edge up' makes one"):
        open_store(str(tmp_path / "no.db"), create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_store_is_made_with_its_folders(tmp_path: Path) -> None:
    open_store(str(tmp_path / "deep" / "down" / "fleet.db")).close()
    open_store(str(tmp_path / "deep" / "down" / "fleet.db"), create=False).close()


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"not a database, but long enough to have a header" * 10)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="not an SQLite file"):
        open_store(str(path))
    assert path.read_bytes() == before


def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE music (title TEXT)")
    with pytest.raises(ConfigError, match="another program's"):
        open_store(str(path))
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("music",)]


def test_a_store_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "fleet.db"
    open_store(str(path)).close()
    with closing(sqlite3.connect(path)) as newer, newer:
        newer.execute("UPDATE schema_version SET version = 99")
    with pytest.raises(ConfigError, match=r"schema 99.*upgrade green-edge"):
        open_store(str(path))


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match=r"store .*file"):
        open_store(str(tmp_path / "file" / "fleet.db"))


def test_a_full_disk_is_a_clear_error_and_keeps_what_was_acknowledged(store: SqliteStore) -> None:
    assert commit(store, *Steady().windows(range(1, 11))) == 10
    # The limit on pages makes SQLite meet a full disk without filling one.
    store._database._writer.execute("PRAGMA max_page_count = 1")
    with pytest.raises(StoreError, match=r"disk is full; free disk space"):
        commit(store, *Steady().windows(range(11, 3_000)))
    assert store.figures()[0].windows == 10
    store._database._writer.execute("PRAGMA max_page_count = 1000000")
    assert commit(store, *Steady().windows(range(11, 3_000))) == 2_999


def test_readers_see_the_last_commit_while_another_process_writes(
    store: SqliteStore, tmp_path: Path
) -> None:
    commit(store, *Steady().windows([1]))
    reader = SqliteStore(tmp_path / "fleet.db", create=False)
    with store.batch():
        commit(store, *Steady().windows([2]))
        assert reader.figures()[0].windows == 1
        assert store.figures()[0].windows == 1
    assert reader.figures()[0].windows == 2
    reader.close()


def test_several_threads_write_and_read_at_once(store: SqliteStore) -> None:
    def one_device(name: str) -> None:
        for seq in range(1, 21):
            commit(store, Steady(device_id=name).window(seq))
            store.figures(device_id=name)

    threads = [threading.Thread(target=one_device, args=(f"pi-{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [row.windows for row in store.figures()] == [20, 20, 20, 20]


def test_two_processes_may_open_a_new_store_at_once(tmp_path: Path) -> None:
    errors: list[Exception] = []

    def opening() -> None:
        try:
            SqliteStore(tmp_path / "new.db").close()
        except (ConfigError, StoreError) as error:
            errors.append(error)

    threads = [threading.Thread(target=opening) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_a_histogram_survives_its_packing() -> None:
    latency = LatencyHistogram.of([1, 5, 5, 2_000_000, 3_000_000_000])
    pairs = list(zip(latency.buckets, latency.counts, strict=True))
    assert list(unpack_latency(pack_latency(latency))) == pairs
    assert list(unpack_latency(pack_latency(LatencyHistogram()))) == []


def test_the_whole_record_is_kept_as_it_was_sent(store: SqliteStore, tmp_path: Path) -> None:
    commit(store, Steady().window(1))
    with closing(sqlite3.connect(tmp_path / "fleet.db")) as other:
        (text,) = other.execute("SELECT json_extract(record, '$.energy[0].meter') FROM raw")
    assert text == ("hwmon:ina226",)
