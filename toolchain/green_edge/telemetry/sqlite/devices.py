"""What the store knows of each device: presence, equipment, state of its update, events."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from green_edge.telemetry.presence import (
    Presence,
    after_record,
    after_status,
    at_time,
    problems,
)
from green_edge.telemetry.store import DeviceRow, EventRow, Record, UnreadRecord
from green_edge_wire import codec
from green_edge_wire.device import DeviceInfo, Reported, Status
from green_edge_wire.telemetry import Event

# Presence, info and report as JSON, where they are known.
_Texts = tuple[str | None, str | None, str | None]

_SEEN = """
INSERT INTO device (device_id, site, last_seen_unix_ms) VALUES (?, ?, ?)
ON CONFLICT (device_id) DO UPDATE SET site = excluded.site,
  last_seen_unix_ms = max(last_seen_unix_ms, excluded.last_seen_unix_ms)
"""

# The longest of a device's last windows: one cut short by an update says nothing of the next.
_DEVICES = """
SELECT d.presence, d.info, d.reported,
  (
    SELECT max(l.window_ns) FROM (
      SELECT s.window_ns FROM sample s WHERE s.boot = (
        SELECT max(b.id) FROM boot b
        WHERE b.device_id = d.device_id AND EXISTS (SELECT 1 FROM sample n WHERE n.boot = b.id)
      ) ORDER BY s.seq DESC LIMIT 3
    ) l
  ),
  d.device_id, d.site, d.last_seen_unix_ms,
  (
    SELECT r.bundle_sha256 FROM rollout_device n JOIN rollout r ON r.id = n.rollout
    WHERE n.device_id = d.device_id ORDER BY n.rollout DESC LIMIT 1
  ),
  EXISTS (SELECT 1 FROM boot b JOIN unread u ON u.boot = b.id WHERE b.device_id = d.device_id)
FROM device d ORDER BY d.device_id
"""

_EVENTS = """
SELECT e.received_unix_ms, w.record
FROM event e
JOIN boot b ON b.id = e.boot
JOIN raw w ON w.boot = e.boot AND w.seq = e.seq
WHERE :device IS NULL OR b.device_id = :device
ORDER BY e.received_unix_ms DESC, e.boot DESC, e.seq DESC LIMIT :limit
"""


def keep_seen(
    connection: sqlite3.Connection, site: str, device_id: str, received_unix_ms: int
) -> None:
    """Note that something of a device arrived."""
    connection.execute(_SEEN, (device_id, site, received_unix_ms))


def keep_status(
    connection: sqlite3.Connection, site: str, status: Status, received_unix_ms: int
) -> None:
    """Note a birth or last will."""
    keep_seen(connection, site, status.device_id, received_unix_ms)
    known = _presence(connection, status.device_id)
    _keep_presence(connection, status.device_id, after_status(known, status, received_unix_ms))


def keep_signs_of_life(
    connection: sqlite3.Connection,
    site: str,
    records: Iterable[Record],
    received_unix_ms: int,
) -> None:
    """Note the devices that records come from, and boots that live though they were replaced."""
    before: dict[str, Presence | None] = {}
    after: dict[str, Presence | None] = {}
    for record in records:
        device_id = record.device_id
        if device_id not in before:
            keep_seen(connection, site, device_id, received_unix_ms)
            before[device_id] = after[device_id] = _presence(connection, device_id)
        known = after[device_id]
        if known is not None and not isinstance(record, UnreadRecord):
            after[device_id] = after_record(known, record, received_unix_ms)
    for device_id, known in after.items():
        if known is not None and known != before[device_id]:
            _keep_presence(connection, device_id, known)


def keep_info(
    connection: sqlite3.Connection, site: str, info: DeviceInfo, received_unix_ms: int
) -> None:
    """Note what a device is."""
    keep_seen(connection, site, info.device_id, received_unix_ms)
    connection.execute(
        "UPDATE device SET info = ? WHERE device_id = ?", (codec.dumps(info), info.device_id)
    )


def keep_reported(
    connection: sqlite3.Connection, site: str, reported: Reported, received_unix_ms: int
) -> None:
    """Note the state of a device's update."""
    keep_seen(connection, site, reported.device_id, received_unix_ms)
    connection.execute(
        "UPDATE device SET reported = ? WHERE device_id = ?",
        (codec.dumps(reported), reported.device_id),
    )


@dataclass(frozen=True, slots=True)
class _Told:
    """What a device has told of itself, decoded."""

    presence: Presence | None
    info: DeviceInfo | None
    reported: Reported | None


class Listing:
    """Reads the devices; not thread-safe.

    Remembers what the texts of the newest listing decode to: a listing is read every second, and
    most devices say something new of themselves once a day.
    """

    def __init__(self) -> None:
        self._told: dict[_Texts, _Told] = {}

    def read(
        self, connection: sqlite3.Connection, now_unix_ms: int | None = None
    ) -> tuple[DeviceRow, ...]:
        """All devices, by id; as they were last told to be where no moment is given."""
        known, self._told = self._told, {}
        rows = []
        for presence, info, reported, window_ns, *columns in connection.execute(_DEVICES):
            texts: _Texts = (presence, info, reported)
            told = self._told[texts] = known.get(texts) or _decoded(texts)
            row = _row(told, *columns)
            rows.append(row if now_unix_ms is None else at_time(row, window_ns, now_unix_ms))
        return tuple(rows)


def read_events(
    connection: sqlite3.Connection, device_id: str | None, limit: int
) -> tuple[EventRow, ...]:
    """Newest events first."""
    rows = connection.execute(_EVENTS, {"device": device_id, "limit": limit})
    return tuple(_event(received_unix_ms, record) for received_unix_ms, record in rows)


def _event(received_unix_ms: int, record: str) -> EventRow:
    event = codec.loads(Event, record, strict=False)
    return EventRow(
        device_id=event.device_id,
        boot_id=event.boot_id,
        seq=event.seq,
        at_unix_ms=event.at_unix_ms,
        received_unix_ms=received_unix_ms,
        kind=event.kind,
        message=event.message,
        facts=event.facts,
    )


def _decoded(texts: _Texts) -> _Told:
    presence, info, reported = texts
    return _Told(
        codec.loads(Presence, presence, strict=False) if presence else None,
        codec.loads(DeviceInfo, info, strict=False) if info else None,
        codec.loads(Reported, reported, strict=False) if reported else None,
    )


def _row(
    told: _Told,
    device_id: str,
    site: str,
    last_seen_unix_ms: int,
    desired_sha256: str | None,
    unread: int,
) -> DeviceRow:
    presence, info, reported = told.presence, told.info, told.reported
    slots = (reported.slots if reported else ()) or (info.slots if info else ())
    return DeviceRow(
        device_id=device_id,
        site=site,
        online=presence is not None and presence.online,
        last_seen_unix_ms=last_seen_unix_ms,
        since_unix_ms=presence.changed_unix_ms if presence else None,
        board=info.board if info else "",
        runtime=info.runtime if info else "",
        agent_version=info.agent_version if info else "",
        desired_sha256=desired_sha256 or (reported.desired_sha256 if reported else ""),
        reported_sha256=reported.active_sha256 if reported else "",
        state=reported.state if reported else None,
        reason=reported.reason if reported else "",
        runs_on=reported.runs_on if reported else "",
        slots=slots,
        meters=info.meters if info else (),
        problems=problems(presence, last_seen_unix_ms, unread=bool(unread)),
    )


def _presence(connection: sqlite3.Connection, device_id: str) -> Presence | None:
    (text,) = connection.execute(
        "SELECT presence FROM device WHERE device_id = ?", (device_id,)
    ).fetchone()
    return codec.loads(Presence, text, strict=False) if text else None


def _keep_presence(connection: sqlite3.Connection, device_id: str, presence: Presence) -> None:
    connection.execute(
        "UPDATE device SET presence = ? WHERE device_id = ?",
        (codec.dumps(presence), device_id),
    )
