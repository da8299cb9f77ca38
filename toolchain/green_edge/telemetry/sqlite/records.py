"""Committing samples and events: once each, with the watermark of their boots."""

import sqlite3
import struct
from collections.abc import Iterator, Sequence

from green_edge.telemetry.merge import unclean_boot
from green_edge.telemetry.store import Record, UnreadRecord, Watermark
from green_edge.telemetry.watermark import Gap, advance, gaps_between, without
from green_edge.telemetry.windows import (
    MeterId,
    believed_first_kept_seq,
    done,
    energy_windows,
    moment_unix_ms,
)
from green_edge_wire import codec
from green_edge_wire.errors import DecodeError
from green_edge_wire.latency import LatencyHistogram
from green_edge_wire.telemetry import Event, Sample

_KINDS: dict[str, type[Sample | Event]] = {"telemetry": Sample, "event": Event}

# Bucket index and count; the same on every machine, because store files travel.
_BUCKET = struct.Struct("<HQ")

# Read lazily up to the first hole: SQLite merges both tables in the order of their keys.
_PRESENT = """
SELECT seq FROM raw WHERE boot = :boot AND seq BETWEEN :low AND :high
UNION ALL
SELECT seq FROM unread WHERE boot = :boot AND seq BETWEEN :low AND :high
ORDER BY seq
"""
_NO_END = (1 << 63) - 1

_KEEP_UNREAD = """
INSERT OR IGNORE INTO unread
SELECT :boot, :seq, :received, :channel, :reason, :record
WHERE NOT EXISTS (SELECT 1 FROM raw WHERE boot = :boot AND seq = :seq)
"""
_UNREAD_AFTER = """
SELECT boot, seq, received_unix_ms, channel, record FROM unread
WHERE (boot, seq) > (?, ?) ORDER BY boot, seq LIMIT ?
"""
# Unread records are tried again in transactions of so many, so that others can write in between.
_REREAD_AT_ONCE = 500


def pack_latency(latency: LatencyHistogram) -> bytes:
    """Bucket and count pairs of a histogram as bytes."""
    pairs = zip(latency.buckets, latency.counts, strict=True)
    return b"".join(_BUCKET.pack(bucket, n) for bucket, n in pairs)


def unpack_latency(packed: bytes) -> Iterator[tuple[int, int]]:
    """Bucket and count pairs that `pack_latency` made bytes of."""
    return _BUCKET.iter_unpack(packed)


def reread_some(
    connection: sqlite3.Connection, after: tuple[int, int]
) -> tuple[int, tuple[int, int] | None]:
    """Commit those of the next unread records that can be decoded by now.

    Args:
        connection: with a write transaction open.
        after: boot and seq of the last one tried; zeros before the first.

    Returns:
        How many were committed, and the last one tried; None at the end.
    """
    rows = connection.execute(_UNREAD_AFTER, (*after, _REREAD_AT_ONCE)).fetchall()
    committed = 0
    for boot, seq, received_unix_ms, channel, text in rows:
        after = (boot, seq)
        try:
            record = codec.loads(_KINDS[channel], text, strict=False)
        except DecodeError:
            continue
        Commit(connection, received_unix_ms).keep([record])
        committed += 1
    return committed, after if rows else None


class Commit:
    """One call of `commit` inside of a write transaction; ids are looked up once."""

    def __init__(self, connection: sqlite3.Connection, received_unix_ms: int) -> None:
        self._sql = connection
        self._received_unix_ms = received_unix_ms
        self._boots: dict[tuple[str, str], int] = {}
        self._artefacts: dict[tuple[str, str, int], int] = {}
        self._meters: dict[MeterId, int] = {}

    def keep(self, records: Sequence[Record]) -> tuple[Watermark, ...]:
        """Keep what is new and move the watermarks."""
        first_kept: dict[int, int] = {}
        for record in records:
            boot = self._boot(record.device_id, record.boot_id)
            kept = believed_first_kept_seq(record.first_kept_seq)
            first_kept[boot] = max(first_kept.get(boot, 1), kept)
            if isinstance(record, UnreadRecord):
                self._keep_unread(boot, record)
            elif self._is_new(boot, record):
                self._close_gap(boot, record.seq)
                if isinstance(record, Sample):
                    self._keep_sample(boot, record)
                else:
                    self._keep_event(boot, record)
        reached = {boot: self._move(boot, kept) for boot, kept in first_kept.items()}
        return tuple(
            Watermark(device_id, boot_id, reached[boot])
            for (device_id, boot_id), boot in self._boots.items()
            if boot in reached
        )

    def _is_new(self, boot: int, record: Sample | Event) -> bool:
        added = self._sql.execute(
            "INSERT OR IGNORE INTO raw VALUES (?, ?, ?, ?)",
            (boot, record.seq, self._received_unix_ms, codec.dumps(record)),
        )
        if added.rowcount != 1:
            return False
        self._sql.execute("DELETE FROM unread WHERE boot = ? AND seq = ?", (boot, record.seq))
        return True

    def _keep_unread(self, boot: int, record: UnreadRecord) -> None:
        added = self._sql.execute(
            _KEEP_UNREAD,
            {
                "boot": boot,
                "seq": record.seq,
                "received": self._received_unix_ms,
                "channel": record.channel,
                "reason": record.reason,
                "record": record.text,
            },
        )
        if added.rowcount == 1:
            self._close_gap(boot, record.seq)

    def _keep_sample(self, boot: int, sample: Sample) -> None:
        at_unix_ms = moment_unix_ms(sample.ended_at_unix_ms, self._received_unix_ms)
        artefact = self._artefact(sample)
        work = done(sample)
        latency = work.latency
        self._sql.execute(
            "INSERT INTO sample VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(boot, sample.seq, at_unix_ms, artefact, sample.window_ns, work.errors),
                *(latency.sum_ns, latency.min_ns, latency.max_ns, pack_latency(latency)),
            ),
        )
        self._sql.executemany(
            "INSERT INTO energy VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    *(boot, artefact, self._meter(row.source), sample.seq, at_unix_ms),
                    *(row.window_ns, row.energy_uj, row.cumulative_uj, row.idle_uj),
                    *(row.u_uj, row.inferences, row.valid, ",".join(row.flags)),
                )
                for row in energy_windows(sample)
            ],
        )
        if sample.cut:
            self._mark_unclean(boot)

    def _keep_event(self, boot: int, event: Event) -> None:
        self._sql.execute(
            "INSERT INTO event VALUES (?, ?, ?)", (boot, event.seq, self._received_unix_ms)
        )
        ended = unclean_boot(event)
        if ended is not None:
            self._mark_unclean(self._boot(event.device_id, ended))

    def _mark_unclean(self, boot: int) -> None:
        self._sql.execute("UPDATE boot SET unclean = 1 WHERE id = ?", (boot,))

    def _close_gap(self, boot: int, seq: int) -> None:
        row = self._sql.execute(
            "SELECT first_seq, last_seq FROM gap WHERE boot = ? AND first_seq <= ?"
            " ORDER BY first_seq DESC LIMIT 1",
            (boot, seq),
        ).fetchone()
        if row is None or row[1] < seq:
            return
        gap = Gap(*row)
        self._sql.execute("DELETE FROM gap WHERE boot = ? AND first_seq = ?", (boot, gap.first_seq))
        self._keep_gaps(boot, without(gap, seq))

    def _move(self, boot: int, first_kept: int) -> int:
        before, known = self._sql.execute(
            "SELECT watermark, first_kept FROM boot WHERE id = ?", (boot,)
        ).fetchone()
        first_kept = max(first_kept, known)
        low, high = before + 1, first_kept - 1
        if low <= high:
            self._keep_gaps(boot, gaps_between(low, high, self._seqs(boot, low, high)))
        above = self._seqs(boot, max(before, high) + 1, _NO_END)
        reached = advance(before, first_kept, above)
        if (reached, first_kept) != (before, known):
            self._sql.execute(
                "UPDATE boot SET watermark = ?, first_kept = ? WHERE id = ?",
                (reached, first_kept, boot),
            )
        return reached

    def _keep_gaps(self, boot: int, gaps: Sequence[Gap]) -> None:
        rows = [(boot, gap.first_seq, gap.last_seq) for gap in gaps]
        self._sql.executemany("INSERT INTO gap VALUES (?, ?, ?)", rows)

    def _seqs(self, boot: int, low: int, high: int) -> Iterator[int]:
        found = self._sql.execute(_PRESENT, {"boot": boot, "low": low, "high": high})
        return (seq for (seq,) in found)

    def _boot(self, device_id: str, boot_id: str) -> int:
        key = (device_id, boot_id)
        if key not in self._boots:
            self._boots[key] = self._id(
                "INSERT OR IGNORE INTO boot (device_id, boot_id) VALUES (?, ?)",
                "SELECT id FROM boot WHERE device_id = ? AND boot_id = ?",
                key,
            )
        return self._boots[key]

    def _artefact(self, sample: Sample) -> int:
        key = (sample.artifact_sha256, sample.model, sample.model_version)
        if key not in self._artefacts:
            self._artefacts[key] = self._id(
                "INSERT OR IGNORE INTO artefact (sha256, model, model_version) VALUES (?, ?, ?)",
                "SELECT id FROM artefact WHERE sha256 = ? AND model = ? AND model_version = ?",
                key,
            )
        return self._artefacts[key]

    def _meter(self, source: MeterId) -> int:
        if source not in self._meters:
            self._meters[source] = self._id(
                "INSERT OR IGNORE INTO meter (meter, boundary, kind) VALUES (?, ?, ?)",
                "SELECT id FROM meter WHERE meter = ? AND boundary = ? AND kind = ?",
                (source.meter, source.boundary, source.kind),
            )
        return self._meters[source]

    def _id(self, insert: str, select: str, key: tuple[str | int, ...]) -> int:
        self._sql.execute(insert, key)
        (found,) = self._sql.execute(select, key).fetchone()
        return int(found)
