"""What the device has said and the host has not yet confirmed, on disk.

SQLite in WAL mode with `synchronous=NORMAL`: a transaction survives the end of the process in any
way, SIGKILL included; a loss of power may take the last few. Records stay until the host
acknowledges them (a broker's PUBACK is no such word). The open reporting window is rewritten every
spool period; if the process ends uncleanly, the next start closes it as it was, marked `cut`.

One thread owns a Spool.
"""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from green_edge_agent.spool_file import is_damage, open_spool
from green_edge_wire import codec
from green_edge_wire.errors import ConfigError, DeviceError
from green_edge_wire.telemetry import Event, Sample

Record = Sample | Event

# Boots that are remembered without records, so that a late acknowledgement is not taken for one
# of another agent's.
_BOOTS_KEPT = 64
# What a row costs on disk beside its payload: ids, index entry, page overhead.
_ROW_BYTES = 96


@dataclass(frozen=True, slots=True)
class Entry:
    """One record as the spool holds it; `id` orders all records of all boots, oldest first."""

    id: int
    boot_id: str
    seq: int
    record: Record


@dataclass(frozen=True, slots=True)
class UncleanEnd:
    """A start of the agent that did not end by its own hand.

    Attributes:
        last_seq: of its last record, the closed open window included.
        bound_ms: how much of its end may be lost: its spool period, or the longest time it took
            between two commits.
    """

    boot_id: str
    last_seq: int
    bound_ms: int


class Spool:
    """Records of this boot and of earlier ones.

    Args:
        path: of the database; made when it is not there.
        boot_id: of this start.
        max_bytes: bound of the records; the oldest are dropped and counted beyond it.
        period_ms: the spool period, kept with the boot for an unclean end's bound.

    Attributes:
        damaged: where a damaged database of earlier starts was moved; None where there was none.

    Raises:
        ConfigError: the database cannot be opened or written, or is of a newer agent.
    """

    def __init__(self, path: Path, boot_id: str, *, max_bytes: int, period_ms: int) -> None:
        self.boot_id = boot_id
        self._max_bytes = max_bytes
        self._closed = False
        self._bytes = self._dropped = 0
        self._db, self.damaged = open_spool(path)
        try:
            with self._transaction():
                self.unclean_ends = tuple(self._close_earlier_boots())
                self._begin_boot(period_ms)
            self._bytes = self._sum("SELECT sum(size_bytes) FROM records")
            self._dropped = self._sum("SELECT sum(dropped) FROM boots")
        except DeviceError as error:
            self._db.close()
            raise ConfigError(
                f"spool {path} cannot be written: {error}",
                place="state_dir",
                hint="check the folder's owner and the disk's free space",
            ) from None

    def close(self, *, clean: bool) -> None:
        """Close the database; `clean` says that nothing of this boot is missing. Twice is once."""
        if self._closed:
            return
        self._closed = True
        try:
            if clean:
                with self._transaction():
                    self._mark_clean(self.boot_id)
        finally:
            self._db.close()

    # --- writing ---------------------------------------------------------------------------------

    def append(
        self,
        make: Callable[[int], Record],
        *,
        closes_window: bool = False,
        tells_end_of: str | None = None,
    ) -> Record:
        """Commit the record that `make` builds for the next seq.

        Args:
            make: called once with the seq.
            closes_window: the record is the open window's; its checkpoint goes in the same
                transaction, so the window is never there twice and never missing.
            tells_end_of: boot whose unclean end the record tells; later starts do not tell it
                again.

        Raises:
            DeviceError: the disk refused; nothing changed.
        """
        with self._transaction():
            dropped, freed_bytes = self._make_room()
            record = make(self._last_seq() + 1)
            added_bytes = self._insert(record)
            if closes_window:
                self._db.execute("DELETE FROM open_window")
            if tells_end_of is not None:
                self._mark_clean(tells_end_of)
        self._bytes += added_bytes - freed_bytes
        self._dropped += dropped
        return record

    def checkpoint(self, window: Sample, *, bound_ms: int) -> None:
        """Keep the open window as it would be if the agent ended now.

        Args:
            window: its seq is of no meaning yet.
            bound_ms: longest time between two commits so far, for the bound of an unclean end.

        Raises:
            DeviceError: the disk refused; the last checkpoint stands.
        """
        with self._transaction():
            self._db.execute(
                "INSERT OR REPLACE INTO open_window VALUES (?, ?)",
                [self.boot_id, codec.dumps(window)],
            )
            self._db.execute(
                "UPDATE boots SET bound_ms = max(bound_ms, ?) WHERE boot_id = ?",
                [bound_ms, self.boot_id],
            )

    def acknowledge(self, boot_id: str, seq: int) -> bool:
        """Forget records that the host has; False when this spool never had that boot.

        Raises:
            DeviceError: the disk refused; the records stay.
        """
        if not self._sum("SELECT count(*) FROM boots WHERE boot_id = ?", boot_id):
            return False
        with self._transaction():
            freed_bytes = self._sum(
                "SELECT sum(size_bytes) FROM records WHERE boot_id = ? AND seq <= ?", boot_id, seq
            )
            self._db.execute("DELETE FROM records WHERE boot_id = ? AND seq <= ?", [boot_id, seq])
        self._bytes -= freed_bytes
        return True

    # --- reading ---------------------------------------------------------------------------------

    def after(self, entry_id: int, limit: int) -> tuple[Entry, ...]:
        """Next records behind an id (0: from the start), with `first_kept_seq` as of now.

        Raises:
            DeviceError: the database cannot be read.
        """
        with _translated("read"):
            rows = self._db.execute(
                "SELECT id, boot_id, seq, kind, payload FROM records"
                " WHERE id > ? ORDER BY id LIMIT ?",
                [entry_id, limit],
            ).fetchall()
        first: dict[str, int] = {}
        entries = []
        for row_id, boot_id, seq, kind, payload in rows:
            if boot_id not in first:
                first[boot_id] = self._first_kept_seq(boot_id)
            record = _parse(kind, payload)
            record = replace(record, first_kept_seq=first[boot_id])
            entries.append(Entry(row_id, boot_id, seq, record))
        return tuple(entries)

    @property
    def pending(self) -> int:
        """Number of records that wait for an acknowledgement.

        Raises:
            DeviceError: the database cannot be read.
        """
        return self._sum("SELECT count(*) FROM records")

    @property
    def dropped(self) -> int:
        """Records that were dropped because the spool was full, over all boots it remembers."""
        return self._dropped

    @property
    def full(self) -> bool:
        """Whether the next record has to push out old ones."""
        return self._bytes >= self._max_bytes

    @property
    def size_bytes(self) -> int:
        """Size of the records, as compared with the bound."""
        return self._bytes

    # --- inside ----------------------------------------------------------------------------------

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with _translated("written"):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _close_earlier_boots(self) -> Iterator[UncleanEnd]:
        rows = self._db.execute(
            "SELECT boot_id, last_seq, bound_ms FROM boots WHERE clean = 0 ORDER BY number"
        ).fetchall()
        for boot_id, last_seq, bound_ms in rows:
            left = self._db.execute(
                "SELECT payload FROM open_window WHERE boot_id = ?", [boot_id]
            ).fetchone()
            if left is not None:
                window = codec.loads(Sample, left[0], strict=False)
                last_seq += 1  # noqa: PLW2901 - the window becomes the boot's last record
                self._insert(replace(window, seq=last_seq, cut=True))
            # Not marked clean yet: if this start ends before it has told, the next one tells.
            yield UncleanEnd(boot_id, last_seq, bound_ms)
        self._db.execute("DELETE FROM open_window")

    def _mark_clean(self, boot_id: str) -> None:
        self._db.execute("UPDATE boots SET clean = 1 WHERE boot_id = ?", [boot_id])

    def _begin_boot(self, period_ms: int) -> None:
        self._db.execute(
            "INSERT INTO boots SELECT ?, coalesce(max(number), 0) + 1, 0, 0, ?, 0 FROM boots",
            [self.boot_id, period_ms],
        )
        self._db.execute(
            "DELETE FROM boots WHERE number <= (SELECT max(number) FROM boots) - ?"
            " AND boot_id NOT IN (SELECT boot_id FROM records)",
            [_BOOTS_KEPT],
        )

    def _insert(self, record: Record) -> int:
        """Insert a record; its size in bytes."""
        kind = "telemetry" if isinstance(record, Sample) else "event"
        payload = codec.dumps(record)
        size_bytes = len(payload.encode()) + _ROW_BYTES
        self._db.execute(
            "INSERT INTO records (boot_id, seq, kind, payload, size_bytes) VALUES (?, ?, ?, ?, ?)",
            [record.boot_id, record.seq, kind, payload, size_bytes],
        )
        self._db.execute(
            "UPDATE boots SET last_seq = ? WHERE boot_id = ?", [record.seq, record.boot_id]
        )
        return size_bytes

    def _make_room(self) -> tuple[int, int]:
        """Drop the oldest records when the bound is reached; (records, bytes) dropped."""
        if self._bytes < self._max_bytes:
            return 0, 0
        # A tenth more than needed, so that a full spool is not trimmed at every record.
        goal_bytes = self._bytes - self._max_bytes + self._max_bytes // 10
        freed_bytes = 0
        doomed: list[tuple[int, str]] = []
        with closing(
            self._db.execute("SELECT id, boot_id, size_bytes FROM records ORDER BY id")
        ) as rows:
            for row_id, boot_id, size_bytes in rows:
                doomed.append((row_id, boot_id))
                freed_bytes += size_bytes
                if freed_bytes >= goal_bytes:
                    break
        self._db.execute("DELETE FROM records WHERE id <= ?", [doomed[-1][0]])
        for boot_id, n in Counter(boot_id for _, boot_id in doomed).items():
            self._db.execute(
                "UPDATE boots SET dropped = dropped + ? WHERE boot_id = ?", [n, boot_id]
            )
        return len(doomed), freed_bytes

    def _last_seq(self) -> int:
        return self._sum("SELECT last_seq FROM boots WHERE boot_id = ?", self.boot_id)

    def _first_kept_seq(self, boot_id: str) -> int:
        return self._sum("SELECT min(seq) FROM records WHERE boot_id = ?", boot_id)

    def _sum(self, query: str, *values: str | int) -> int:
        """The one number that a query gives; nothing counts as 0."""
        with _translated("read"):
            row = self._db.execute(query, values).fetchone()
        return int(row[0] or 0)


@contextmanager
def _translated(done: str) -> Iterator[None]:
    """Turn what SQLite complains about into a DeviceError, which the service survives."""
    try:
        yield
    except sqlite3.Error as error:
        hint = None
        if is_damage(error):
            hint = "at its next start the agent moves the damaged file aside and begins a new one"
        raise DeviceError(f"spool cannot be {done}: {error}", hint=hint) from error


def _parse(kind: str, payload: str) -> Record:
    if kind == "telemetry":
        return codec.loads(Sample, payload, strict=False)
    return codec.loads(Event, payload, strict=False)
