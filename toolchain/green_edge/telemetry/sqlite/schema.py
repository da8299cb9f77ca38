"""Tables of the SQLite store and how an older file becomes a current one.

Every record is kept whole, as JSON, in `raw`, or in `unread` while this version cannot decode it;
the narrow tables beside them hold the columns that queries need. Ids of boots, artefacts and meters
stand for their long names.
"""

import sqlite3

from green_edge_wire.errors import ConfigError

# One script a version, oldest first; scripts that were released never change.
_MIGRATIONS = (
    """
CREATE TABLE boot (
  id INTEGER PRIMARY KEY,
  device_id TEXT NOT NULL,
  boot_id TEXT NOT NULL,
  watermark INTEGER NOT NULL DEFAULT 0,
  first_kept INTEGER NOT NULL DEFAULT 1,
  unclean INTEGER NOT NULL DEFAULT 0,
  UNIQUE (device_id, boot_id)
) STRICT;
CREATE TABLE artefact (
  id INTEGER PRIMARY KEY,
  sha256 TEXT NOT NULL,
  model TEXT NOT NULL,
  model_version INTEGER NOT NULL,
  UNIQUE (sha256, model, model_version)
) STRICT;
CREATE TABLE meter (
  id INTEGER PRIMARY KEY,
  meter TEXT NOT NULL,
  boundary TEXT NOT NULL,
  kind TEXT NOT NULL,
  UNIQUE (meter, boundary, kind)
) STRICT;
CREATE TABLE raw (
  boot INTEGER NOT NULL REFERENCES boot (id),
  seq INTEGER NOT NULL,
  received_unix_ms INTEGER NOT NULL,
  record TEXT NOT NULL,
  PRIMARY KEY (boot, seq)
) STRICT;
CREATE TABLE sample (
  boot INTEGER NOT NULL REFERENCES boot (id),
  seq INTEGER NOT NULL,
  at_unix_ms INTEGER NOT NULL,
  artefact INTEGER NOT NULL REFERENCES artefact (id),
  window_ns INTEGER NOT NULL,
  errors INTEGER NOT NULL,
  sum_ns INTEGER NOT NULL,
  min_ns INTEGER NOT NULL,
  max_ns INTEGER NOT NULL,
  latency BLOB NOT NULL,
  PRIMARY KEY (boot, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX sample_at ON sample (boot, at_unix_ms);
CREATE TABLE energy (
  boot INTEGER NOT NULL REFERENCES boot (id),
  artefact INTEGER NOT NULL REFERENCES artefact (id),
  meter INTEGER NOT NULL REFERENCES meter (id),
  seq INTEGER NOT NULL,
  at_unix_ms INTEGER NOT NULL,
  window_ns INTEGER NOT NULL,
  energy_uj INTEGER NOT NULL,
  cumulative_uj INTEGER NOT NULL,
  idle_uj INTEGER,
  u_uj INTEGER NOT NULL,
  inferences INTEGER NOT NULL,
  valid INTEGER NOT NULL,
  flags TEXT NOT NULL,
  PRIMARY KEY (boot, artefact, meter, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX energy_at ON energy (boot, at_unix_ms);
CREATE TABLE event (
  boot INTEGER NOT NULL REFERENCES boot (id),
  seq INTEGER NOT NULL,
  received_unix_ms INTEGER NOT NULL,
  PRIMARY KEY (boot, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX event_received ON event (received_unix_ms);
CREATE TABLE gap (
  boot INTEGER NOT NULL REFERENCES boot (id),
  first_seq INTEGER NOT NULL,
  last_seq INTEGER NOT NULL,
  PRIMARY KEY (boot, first_seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE device (
  device_id TEXT PRIMARY KEY,
  site TEXT NOT NULL,
  last_seen_unix_ms INTEGER NOT NULL,
  presence TEXT,
  info TEXT,
  reported TEXT
) STRICT, WITHOUT ROWID;
CREATE TABLE counter (
  device_id TEXT NOT NULL,
  key_id TEXT NOT NULL,
  counter INTEGER NOT NULL,
  PRIMARY KEY (device_id, key_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE rollout (
  id INTEGER PRIMARY KEY,
  rollout_id TEXT NOT NULL UNIQUE,
  bundle_sha256 TEXT NOT NULL,
  model TEXT NOT NULL,
  model_version INTEGER NOT NULL,
  created_unix_ms INTEGER NOT NULL,
  deadline_unix_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE rollout_device (
  rollout INTEGER NOT NULL REFERENCES rollout (id),
  place INTEGER NOT NULL,
  device_id TEXT NOT NULL,
  site TEXT NOT NULL,
  envelope TEXT NOT NULL,
  state TEXT NOT NULL,
  reason TEXT NOT NULL,
  started_unix_ms INTEGER NOT NULL,
  ended_unix_ms INTEGER,
  PRIMARY KEY (rollout, place),
  UNIQUE (rollout, device_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX rollout_device_newest ON rollout_device (device_id, rollout);
CREATE INDEX rollout_device_state ON rollout_device (state);
""",
    """
CREATE TABLE unread (
  boot INTEGER NOT NULL REFERENCES boot (id),
  seq INTEGER NOT NULL,
  received_unix_ms INTEGER NOT NULL,
  channel TEXT NOT NULL,
  reason TEXT NOT NULL,
  record TEXT NOT NULL,
  PRIMARY KEY (boot, seq)
) STRICT;
CREATE INDEX unread_received ON unread (boot, received_unix_ms);
""",
)


def check_owner(connection: sqlite3.Connection, *, where: str) -> None:
    """Refuse a file that is not this version's to write into; writes nothing.

    Args:
        connection: on the file; new and empty ones are fine.
        where: the file, for the message.

    Raises:
        ConfigError: the file is a newer green-edge's, or another program's.
    """
    version = _version(connection)
    if version is None:
        raise ConfigError(
            f"{where} is another program's SQLite file",
            place="store",
            hint="name a file of its own for the store",
        )
    if version > len(_MIGRATIONS):
        raise ConfigError(
            f"{where} has schema {version}, this green-edge knows up to {len(_MIGRATIONS)}",
            place="store",
            hint="upgrade green-edge, or name another store",
        )


def bring_up_to_date(connection: sqlite3.Connection, *, where: str) -> None:
    """Make or migrate the tables, inside of the caller's write transaction.

    Raises:
        ConfigError: as `check_owner`: another process may have been faster.
    """
    check_owner(connection, where=where)
    version = _version(connection) or 0
    if version == len(_MIGRATIONS):
        return
    if version == 0:
        connection.execute("CREATE TABLE schema_version (version INTEGER NOT NULL) STRICT")
    for script in _MIGRATIONS[version:]:
        for statement in script.split(";\n"):
            connection.execute(statement)
    connection.execute("DELETE FROM schema_version")
    connection.execute("INSERT INTO schema_version VALUES (?)", (len(_MIGRATIONS),))


def _version(connection: sqlite3.Connection) -> int | None:
    """Version of the tables, 0 of an empty file; None where the tables are not ours."""
    names = {str(name) for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if not names:
        return 0
    # Other programs have a table `schema_version` too.
    if not {"schema_version", "boot", "raw"} <= names:
        return None
    (version,) = connection.execute("SELECT max(version) FROM schema_version").fetchone()
    return int(version)
