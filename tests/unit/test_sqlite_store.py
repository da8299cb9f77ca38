"""What only the SQLite store can get wrong: its file."""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from green_edge.telemetry.opening import open_store
from green_edge.telemetry.sqlite import SqliteStore, figures, records, schema
from green_edge.telemetry.sqlite.devices import Listing
from green_edge.telemetry.sqlite.records import pack_latency, unpack_latency
from green_edge.telemetry.store import StoreError
from green_edge.telemetry.url import sqlite_path
from green_edge_wire.errors import ConfigError
from green_edge_wire.latency import LatencyHistogram
from green_edge_wire.telemetry import Sample
from support.nobody import without_root
from support.records import T0_UNIX_MS, Steady, info, reported, status, unread

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


@pytest.mark.parametrize("table", ["music (title TEXT)", "schema_version (version TEXT)"])
def test_a_database_of_another_program_is_refused_and_left_alone(
    tmp_path: Path, table: str
) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as other, other:
        other.execute(f"CREATE TABLE {table}")
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="another program's"):
        open_store(str(path))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_store_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "fleet.db"
    open_store(str(path)).close()
    with closing(sqlite3.connect(path)) as newer, newer:
        newer.execute("UPDATE schema_version SET version = 99")
    with pytest.raises(ConfigError, match=r"schema 99.*upgrade green-edge"):
        open_store(str(path))


def test_a_store_of_the_first_schema_is_brought_up_to_date_with_all_it_holds(
    tmp_path: Path,
) -> None:
    path = tmp_path / "fleet.db"
    with closing(SqliteStore(path)) as now:
        commit(now, *Steady().windows([1, 2]))
        before = now.figures()
    with closing(sqlite3.connect(path)) as older, older:
        older.execute("DROP TABLE unread")
        older.execute("UPDATE schema_version SET version = 1")
    with closing(SqliteStore(path)) as migrated:
        assert migrated.figures() == before
        migrated.commit([unread(3)], site="home", received_unix_ms=NOW_UNIX_MS)
        assert migrated.figures()[0].windows_missing == 1
    with closing(sqlite3.connect(path)) as file:
        (version,) = file.execute("SELECT version FROM schema_version").fetchone()
    assert version == len(schema._MIGRATIONS)


def test_a_path_that_cannot_be_a_store_is_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match=r"store: .*file.*name another file"):
        open_store(str(tmp_path / "file" / "fleet.db"))
    with pytest.raises(ConfigError, match="is a folder; name a file in it"):
        open_store(str(tmp_path))


def test_a_store_that_may_only_be_read_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "fleet.db"
    SqliteStore(path).close()
    path.chmod(0o444)
    with (
        without_root(tmp_path, *tmp_path.parents[:2]),
        pytest.raises(ConfigError, match=r"store: .*readonly.*give this user the right"),
    ):
        open_store(str(path), create=False)


@pytest.mark.parametrize("create", [True, False])
def test_a_store_in_a_folder_of_another_user_is_refused_with_the_remedy(
    tmp_path: Path, *, create: bool
) -> None:
    closed = tmp_path / "closed"
    SqliteStore(closed / "fleet.db").close()
    closed.chmod(0o700 if os.geteuid() == 0 else 0)
    try:
        with (
            without_root(*tmp_path.parents[:2], tmp_path),
            pytest.raises(ConfigError, match=r"store: .*denied.*give this user the right"),
        ):
            open_store(str(closed / "fleet.db"), create=create)
    finally:
        closed.chmod(0o700)


QUERIES = {
    "work": figures._WORK,
    "energy": figures._ENERGY,
    "missing": figures._MISSING,
}


@pytest.mark.parametrize("name", QUERIES)
def test_figures_of_a_time_read_no_table_of_records_whole(store: SqliteStore, name: str) -> None:
    store.commit(
        [*Steady().windows([1, 2, 7]), unread(4), Steady().window(9, first_kept_seq=9)],
        site="home",
        received_unix_ms=NOW_UNIX_MS,
    )
    arguments = figures.Selection(since_unix_ms=NOW_UNIX_MS).arguments()
    with store._database.read() as connection:
        plan = connection.execute(f"EXPLAIN QUERY PLAN {QUERIES[name]}", arguments)
        scanned = {line.split()[1] for *_, line in plan if line.startswith("SCAN")}
    # Aliases of boots, gaps and of what the queries themselves join; records have others.
    assert scanned <= {"b", "g", "u", "o", "m"}


def test_the_watermark_is_looked_for_without_sorting_what_lies_above_it(
    store: SqliteStore,
) -> None:
    with store._database.read() as connection:
        plan = connection.execute(
            f"EXPLAIN QUERY PLAN {records._PRESENT}", {"boot": 1, "low": 1, "high": 9}
        )
        lines = [line for *_, line in plan]
    assert "MERGE (UNION ALL)" in lines
    assert not any("TEMP B-TREE" in line for line in lines)


def test_a_listing_decodes_only_what_has_changed(store: SqliteStore) -> None:
    for device_id in ("pi-kitchen", "pi-porch"):
        store.put_status("home", status(device_id=device_id), NOW_UNIX_MS)
        store.put_info("home", info(device_id=device_id), NOW_UNIX_MS)
    listing = Listing()
    with store._database.read() as connection:
        before = listing.read(connection)
    store.put_reported("home", reported(), NOW_UNIX_MS + 1)
    with store._database.read() as connection:
        after = listing.read(connection)
    assert after[1].meters is before[1].meters
    assert (before[0].state, after[0].state) == (None, "active")
    assert len(listing._told) == len(after)


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


def test_a_new_store_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    before = os.umask(0)
    try:
        with closing(SqliteStore(path)) as store:
            commit(store, Steady().window(1))
            modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(("new.db", "new.db-wal", "new.db-shm"), 0o600)


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
