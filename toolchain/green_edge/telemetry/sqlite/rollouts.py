"""Rollouts, their devices, and the counters of signed envelopes."""

import sqlite3

from green_edge.telemetry.store import OPEN_STATES, Rollout, RolloutDevice
from green_edge_wire import codec
from green_edge_wire.errors import ConfigError

# Row, id, bundle, model, version, created, deadline: the fields of Rollout in their order.
_Head = tuple[int, str, str, str, int, int, int]

_ONE = """
SELECT id, rollout_id, bundle_sha256, model, model_version, created_unix_ms, deadline_unix_ms
FROM rollout WHERE rollout_id = ?
"""
_OPEN = """
SELECT id, rollout_id, bundle_sha256, model, model_version, created_unix_ms, deadline_unix_ms
FROM rollout
WHERE id IN (
  SELECT rollout FROM rollout_device WHERE state IN (SELECT value FROM json_each(?))
)
ORDER BY id
"""
_DEVICES = (
    "SELECT device_id, site, envelope, state, reason, started_unix_ms, ended_unix_ms"
    " FROM rollout_device WHERE rollout = ? ORDER BY place"
)


def take_counter(connection: sqlite3.Connection, device_id: str, key_id: str, at_least: int) -> int:
    """Next counter of a device and key, at least `at_least`, greater than every one before."""
    (counter,) = connection.execute(
        "INSERT INTO counter VALUES (?, ?, ?) ON CONFLICT (device_id, key_id)"
        " DO UPDATE SET counter = max(counter + 1, excluded.counter) RETURNING counter",
        (device_id, key_id, max(at_least, 1)),
    ).fetchone()
    return int(counter)


def keep_rollout(connection: sqlite3.Connection, rollout: Rollout) -> None:
    """Keep a new rollout with its devices."""
    added = connection.execute(
        "INSERT OR IGNORE INTO rollout (rollout_id, bundle_sha256, model, model_version,"
        " created_unix_ms, deadline_unix_ms) VALUES (?, ?, ?, ?, ?, ?)",
        (
            *(rollout.rollout_id, rollout.bundle_sha256, rollout.model, rollout.model_version),
            *(rollout.created_unix_ms, rollout.deadline_unix_ms),
        ),
    )
    if added.rowcount != 1:
        raise ConfigError(f"rollout {rollout.rollout_id!r} is there already", place="rollout_id")
    connection.executemany(
        "INSERT INTO rollout_device VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                *(added.lastrowid, place, device.device_id, device.site, device.envelope),
                *(device.state, device.reason, device.started_unix_ms, device.ended_unix_ms),
            )
            for place, device in enumerate(rollout.devices)
        ],
    )


def read_rollout(connection: sqlite3.Connection, rollout_id: str) -> Rollout | None:
    """Rollout by id."""
    row = connection.execute(_ONE, (rollout_id,)).fetchone()
    return None if row is None else _rollout(connection, row)


def read_open_rollouts(connection: sqlite3.Connection) -> tuple[Rollout, ...]:
    """Rollouts with a device that is not in a final state, oldest first."""
    states = codec.dumps(sorted(OPEN_STATES))
    rows = connection.execute(_OPEN, (states,)).fetchall()
    return tuple(_rollout(connection, row) for row in rows)


def replace_device(connection: sqlite3.Connection, rollout_id: str, device: RolloutDevice) -> None:
    """Replace one device of a rollout."""
    changed = connection.execute(
        "UPDATE rollout_device SET site = ?, envelope = ?, state = ?, reason = ?,"
        " started_unix_ms = ?, ended_unix_ms = ? WHERE device_id = ?"
        " AND rollout = (SELECT id FROM rollout WHERE rollout_id = ?)",
        (
            *(device.site, device.envelope, device.state, device.reason),
            *(device.started_unix_ms, device.ended_unix_ms, device.device_id, rollout_id),
        ),
    )
    if changed.rowcount != 1:
        raise ConfigError(
            f"rollout {rollout_id!r} has no device {device.device_id!r}", place="rollout_id"
        )


def _rollout(connection: sqlite3.Connection, head: _Head) -> Rollout:
    found = connection.execute(_DEVICES, (head[0],)).fetchall()
    return Rollout(*head[1:], tuple(RolloutDevice(*columns) for columns in found))
