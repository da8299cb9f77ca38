"""What a device has committed to its spool, found out without host and without the agent's help.

While the agent runs, a thread reads its spool through a read-only connection, about a thousand
times a second, because records go as soon as the host has acknowledged them. When the agent has
been killed, its files are copied as they lie there and the copy is opened, as the next start will:
that tells the last sequence number and the open window of the dead boot. From these two follows
what exists: a boot's records are numbered from 1 to its last, without a hole.
"""

import shutil
import sqlite3
import threading
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from green_edge_wire import codec
from green_edge_wire.telemetry import Event, Sample

Record = Sample | Event
Place = tuple[str, int]  # boot id and sequence number

# The way of a record to the host and of the acknowledgement back takes a few milliseconds.
_LOOK_EVERY_S = 0.001
_BUSY_WAIT_S = 5.0


@dataclass(frozen=True, slots=True)
class BootRow:
    """What the spool keeps of a start.

    Attributes:
        number: of the start, counted from the first.
        last_seq: of its records.
        dropped: records given up because the spool was full.
        clean: it ended by its own hand, or its end has been told.
    """

    number: int
    last_seq: int
    dropped: int
    clean: bool


@dataclass(frozen=True, slots=True)
class PostMortem:
    """A spool right after its agent's end.

    Attributes:
        records: that were still there.
        boots: every start so far.
        open_windows: the last checkpoint of the window that was open, by boot.
    """

    records: Mapping[Place, Record]
    boots: Mapping[str, BootRow]
    open_windows: Mapping[str, Sample]


@dataclass
class Truth:
    """All that was ever committed.

    Attributes:
        records: content of the records that were seen.
        last_seq: of every boot; all numbers up to it were committed.
        dropped: records that the spool itself gave up and counted.
    """

    records: dict[Place, Record] = field(default_factory=dict)
    last_seq: dict[str, int] = field(default_factory=dict)
    dropped: int = 0

    def places(self) -> set[Place]:
        """Every record that exists or existed."""
        return {(boot, seq) for boot, last in self.last_seq.items() for seq in range(1, last + 1)}

    def learn(self, found: PostMortem) -> None:
        """Take what a dead spool says; an open window counts as the record it has to become."""
        self.records.update(found.records)
        for boot_id, row in found.boots.items():
            self.last_seq[boot_id] = max(row.last_seq, self.last_seq.get(boot_id, 0))
        for boot_id, window in found.open_windows.items():
            self.last_seq[boot_id] += 1
            seq = self.last_seq[boot_id]
            self.records[boot_id, seq] = replace(window, seq=seq, cut=True)
        self.dropped = sum(row.dropped for row in found.boots.values())


class SpoolTail:
    """Collects every record that shows up in a spool while one agent process lives.

    It connects only once the agent itself has opened the database, and leaves before the next one
    does, so that each start meets the files as the killed process left them.

    Args:
        spool: the database.
        pid: of the agent.
        seen: gets the records.
    """

    def __init__(self, spool: Path, pid: int, seen: dict[Place, Record]) -> None:
        self._spool = spool
        self._pid = pid
        self._seen = seen
        self._last_id = 0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="spool-tail")
        self.boots = 0
        self._thread.start()

    def stop(self) -> None:
        """Look a last time and leave the database."""
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._opened_by_agent():
            if self._ending.wait(_LOOK_EVERY_S):
                return
        with closing(_read_only(self._spool)) as db:
            ending = False
            while not ending:
                ending = self._ending.wait(_LOOK_EVERY_S)
                with suppress(sqlite3.OperationalError):  # the first start makes the tables
                    self._look(db)

    def _look(self, db: sqlite3.Connection) -> None:
        rows = db.execute(
            "SELECT id, boot_id, seq, kind, payload FROM records WHERE id > ? ORDER BY id",
            [self._last_id],
        )
        for row_id, boot_id, seq, kind, payload in rows:
            self._last_id = row_id
            self._seen[boot_id, seq] = as_record(kind, payload)
        (self.boots,) = db.execute("SELECT count(*) FROM boots").fetchone()

    def _opened_by_agent(self) -> bool:
        index = Path(f"{self._spool}-shm")
        with suppress(OSError):  # descriptors and processes come and go
            return index in [link.readlink() for link in Path(f"/proc/{self._pid}/fd").iterdir()]
        return False


def examine(spool: Path, scratch: Path) -> PostMortem:
    """Read the spool of an agent that does not run, from a copy."""
    scratch.mkdir()
    for suffix in ("", "-wal"):
        file = Path(f"{spool}{suffix}")
        if file.exists():
            shutil.copy(file, scratch / f"copy.db{suffix}")
    with closing(sqlite3.connect(scratch / "copy.db")) as db:
        return PostMortem(
            {
                (boot_id, seq): as_record(kind, payload)
                for boot_id, seq, kind, payload in db.execute(
                    "SELECT boot_id, seq, kind, payload FROM records"
                )
            },
            {
                boot_id: BootRow(number, last_seq, dropped, bool(clean))
                for boot_id, number, last_seq, dropped, clean in db.execute(
                    "SELECT boot_id, number, last_seq, dropped, clean FROM boots"
                )
            },
            {
                boot_id: codec.loads(Sample, payload, strict=False)
                for boot_id, payload in db.execute("SELECT boot_id, payload FROM open_window")
            },
        )


def end_mono_ns(sample: Sample) -> int:
    """End of a window on the machine's monotonic clock, which all its processes share."""
    return sample.window_start_mono_ns + sample.window_ns


def _read_only(spool: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{spool}?mode=ro", uri=True, timeout=_BUSY_WAIT_S)


def as_record(kind: str, payload: str) -> Record:
    """Record of a kind (`telemetry`, `event`) from its JSON."""
    if kind == "telemetry":
        return codec.loads(Sample, payload, strict=False)
    return codec.loads(Event, payload, strict=False)
