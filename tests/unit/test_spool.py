"""The spool keeps every committed record until the host confirms it, whatever happens to us."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from green_edge_agent.spool import Record, Spool
from green_edge_wire.errors import ConfigError, DeviceError
from green_edge_wire.latency import LatencyHistogram
from green_edge_wire.telemetry import Event, Sample

MAX = 1 << 20


def opened(path: Path, boot_id: str, max_bytes: int = MAX) -> Spool:
    return Spool(path, boot_id, max_bytes=max_bytes, period_ms=1000)


def sample(boot_id: str, inferences: int = 1) -> Sample:
    latency = LatencyHistogram.of([1000] * inferences)
    return Sample("pi", boot_id, 1, 0, 10, 5, "d", "m", 1, latency)


def record_of(boot_id: str) -> Callable[[int], Record]:
    return lambda seq: replace(sample(boot_id), seq=seq)


def event_of(boot_id: str, message: str = "hello") -> Callable[[int], Record]:
    return lambda seq: Event("pi", boot_id, seq, 5, "boot", message)


def test_records_and_events_share_one_sequence_from_one(tmp_path: Path) -> None:
    spool = opened(tmp_path / "s.db", "b1")
    first = spool.append(event_of("b1"))
    second = spool.append(record_of("b1"))
    assert (first.seq, second.seq) == (1, 2)
    assert [entry.record for entry in spool.after(0, 10)] == [first, second]
    assert spool.after(spool.after(0, 1)[0].id, 10)[0].seq == 2
    spool.close(clean=True)
    spool.close(clean=True)


def test_an_acknowledgement_removes_up_to_its_seq_and_raises_first_kept(tmp_path: Path) -> None:
    spool = opened(tmp_path / "s.db", "b1")
    for _ in range(4):
        spool.append(record_of("b1"))
    size = spool.size_bytes
    assert spool.acknowledge("b1", 2)
    assert [(e.seq, e.record.first_kept_seq) for e in spool.after(0, 9)] == [(3, 3), (4, 3)]
    assert spool.size_bytes == size // 2
    assert not spool.acknowledge("never-seen", 5)
    spool.close(clean=True)


def test_a_clean_end_is_not_reported_and_its_records_are_sent_on(tmp_path: Path) -> None:
    spool = opened(tmp_path / "s.db", "b1")
    spool.append(record_of("b1"))
    spool.close(clean=True)
    again = opened(tmp_path / "s.db", "b2")
    assert again.unclean_ends == ()
    assert [entry.boot_id for entry in again.after(0, 9)] == ["b1"]
    assert again.append(record_of("b2")).seq == 1
    again.close(clean=True)


def test_an_unclean_end_closes_the_open_window_as_it_was_committed(tmp_path: Path) -> None:
    spool = opened(tmp_path / "s.db", "b1")
    spool.append(record_of("b1"))
    spool.checkpoint(sample("b1", 2), bound_ms=1000)
    spool.checkpoint(sample("b1", 7), bound_ms=1400)
    spool.close(clean=False)
    again = opened(tmp_path / "s.db", "b2")
    (end,) = again.unclean_ends
    assert (end.boot_id, end.last_seq, end.bound_ms) == ("b1", 2, 1400)
    cut = again.after(0, 9)[-1].record
    assert isinstance(cut, Sample)
    assert (cut.seq, cut.cut, cut.latency.count) == (2, True, 7)
    again.append(event_of("b2"), tells_end_of="b1")
    again.close(clean=False)
    third = opened(tmp_path / "s.db", "b3")
    assert [end.boot_id for end in third.unclean_ends] == ["b2"]
    assert len(third.after(0, 9)) == 3
    third.close(clean=True)


def test_an_unclean_end_that_was_not_told_is_left_to_the_next_start(tmp_path: Path) -> None:
    spool = opened(tmp_path / "s.db", "b1")
    spool.checkpoint(sample("b1"), bound_ms=1000)
    spool.close(clean=False)
    # Killed before it could commit the event.
    opened(tmp_path / "s.db", "b2").close(clean=False)
    third = opened(tmp_path / "s.db", "b3")
    assert [(end.boot_id, end.last_seq) for end in third.unclean_ends] == [("b1", 1), ("b2", 0)]
    assert third.pending == 1
    for end in third.unclean_ends:
        third.append(event_of("b3"), tells_end_of=end.boot_id)
    third.close(clean=True)
    fourth = opened(tmp_path / "s.db", "b4")
    assert fourth.unclean_ends == ()
    fourth.close(clean=True)


def test_closing_a_window_and_forgetting_its_checkpoint_is_one_commit(tmp_path: Path) -> None:
    spool = opened(tmp_path / "s.db", "b1")
    spool.checkpoint(sample("b1", 3), bound_ms=1000)
    spool.append(record_of("b1"), closes_window=True)
    spool.close(clean=False)
    again = opened(tmp_path / "s.db", "b2")
    assert again.pending == 1
    assert again.unclean_ends[0].last_seq == 1
    again.close(clean=True)


def test_a_full_spool_drops_the_oldest_and_counts_them(tmp_path: Path) -> None:
    spool = opened(tmp_path / "s.db", "b1", max_bytes=20_000)
    for _ in range(200):
        spool.append(record_of("b1"))
        assert spool.size_bytes <= 20_000 + 1_000
    kept = spool.after(0, 1000)
    assert spool.dropped == 200 - len(kept) > 0
    assert [entry.seq for entry in kept] == list(range(spool.dropped + 1, 201))
    assert {entry.record.first_kept_seq for entry in kept} == {spool.dropped + 1}
    spool.close(clean=True)
    again = opened(tmp_path / "s.db", "b2", max_bytes=20_000)
    assert again.dropped == spool.dropped
    again.close(clean=True)


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(
        st.one_of(
            st.just(("append", 0)),
            st.just(("checkpoint", 0)),
            st.tuples(st.just("ack"), st.integers(0, 30)),
            st.just(("kill", 0)),
        ),
        max_size=40,
    )
)
def test_nothing_unacknowledged_is_missing_after_any_history(
    steps: list[tuple[str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("spool") / "s.db"
    boot, spool, expected = 0, opened(path, "b0"), set[tuple[str, int]]()
    window_open = False
    for step, number in steps:
        boot_id = f"b{boot}"
        if step == "append":
            record = spool.append(record_of(boot_id), closes_window=True)
            expected.add((boot_id, record.seq))
            window_open = False
        elif step == "checkpoint":
            spool.checkpoint(sample(boot_id), bound_ms=1000)
            window_open = True
        elif step == "ack":
            spool.acknowledge(boot_id, number)
            expected = {(b, seq) for b, seq in expected if b != boot_id or seq > number}
        else:
            spool.close(clean=False)
            boot += 1
            spool = opened(path, f"b{boot}")
            end = spool.unclean_ends[-1]
            if window_open:
                expected.add((end.boot_id, end.last_seq))
            window_open = False
    entries = spool.after(0, 1000)
    assert {(entry.boot_id, entry.seq) for entry in entries} == expected
    assert len(entries) == len(expected) == spool.pending
    with closing(sqlite3.connect(path)) as db:
        assert spool.size_bytes == (
            db.execute("SELECT sum(size_bytes) FROM records").fetchone()[0] or 0
        )
    spool.close(clean=True)


def test_a_locked_database_refuses_and_nothing_changes(tmp_path: Path) -> None:
    spool = opened(tmp_path / "s.db", "b1")
    spool._db.execute("PRAGMA busy_timeout = 10")
    spool.append(record_of("b1"))
    with closing(sqlite3.connect(tmp_path / "s.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DeviceError, match="locked"):
            spool.append(record_of("b1"))
        with pytest.raises(DeviceError, match="locked"):
            spool.acknowledge("b1", 1)
        other.execute("ROLLBACK")
    assert spool.append(record_of("b1")).seq == 2
    spool.close(clean=True)


def damage(path: Path) -> None:
    """Overwrite all pages but the first two of a database that nobody has open."""
    content = path.read_bytes()
    path.write_bytes(content[:8192] + b"\xff" * (len(content) - 8192))


def filled(path: Path) -> None:
    spool = opened(path, "full")
    for _ in range(50):
        spool.append(event_of("full", "x" * 500))
    spool.close(clean=True)


def test_a_damaged_database_is_moved_aside_and_a_new_one_begun(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    path.write_bytes(b"this is no database, and long enough to be read as one" * 9)
    first = opened(path, "b1")
    assert first.damaged == tmp_path / "s.damaged-1.db"
    assert first.damaged.read_bytes().startswith(b"this is no database")
    first.close(clean=True)
    filled(path)
    damage(path)
    second = opened(path, "b2")
    assert second.damaged == tmp_path / "s.damaged-2.db"
    assert (second.pending, second.append(event_of("b2")).seq) == (0, 1)
    second.close(clean=True)
    third = opened(path, "b3")
    assert (third.damaged, third.pending) == (None, 1)
    third.close(clean=True)


def test_damage_while_the_agent_runs_is_a_device_error_everywhere(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    filled(path)
    spool = opened(path, "b2")
    spool._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    spool._db.close()
    damage(path)
    spool._db = sqlite3.connect(path, isolation_level=None)
    for act in (
        lambda: spool.after(0, 20),
        lambda: spool.pending,
        lambda: spool.append(event_of("b2")),
        lambda: spool.checkpoint(sample("b2"), bound_ms=1000),
        lambda: spool.acknowledge("full", 1),
    ):
        with pytest.raises(DeviceError, match="malformed; at its next start"):
            act()
    spool.close(clean=False)


def test_a_newer_or_unreachable_database_is_told(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "new.db")) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(ConfigError, match="newer agent"):
        opened(tmp_path / "new.db", "b1")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="state_dir"):
        opened(tmp_path / "file" / "s.db", "b1")


def test_boots_without_records_are_forgotten_after_a_while(tmp_path: Path) -> None:
    for number in range(70):
        opened(tmp_path / "s.db", f"b{number}").close(clean=True)
    spool = opened(tmp_path / "s.db", "last")
    assert not spool.acknowledge("b0", 1)
    assert spool.acknowledge("b60", 1)
    spool.close(clean=True)
