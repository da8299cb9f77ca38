"""The spool's file: opened, checked, and moved aside where it is damaged.

A memory card that fails leaves a file that SQLite calls malformed. The agent then begins a new one:
measuring on is worth more than records that cannot be read. The old file stays for whoever wants to
look what can be saved.
"""

import sqlite3
from itertools import count
from pathlib import Path

from green_edge_wire.errors import ConfigError

_SCHEMA_VERSION = 1
_TABLES = """
CREATE TABLE boots (
    boot_id TEXT PRIMARY KEY, number INTEGER NOT NULL, last_seq INTEGER NOT NULL,
    dropped INTEGER NOT NULL, bound_ms INTEGER NOT NULL, clean INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE records (
    id INTEGER PRIMARY KEY AUTOINCREMENT, boot_id TEXT NOT NULL, seq INTEGER NOT NULL,
    kind TEXT NOT NULL, payload TEXT NOT NULL, size_bytes INTEGER NOT NULL, UNIQUE (boot_id, seq)
);
CREATE TABLE open_window (boot_id TEXT PRIMARY KEY, payload TEXT NOT NULL) WITHOUT ROWID;
"""
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
# SQLite keeps what kind of a code it is in the lowest byte, details above it.
_PRIMARY_CODE = 0xFF


def open_spool(path: Path) -> tuple[sqlite3.Connection, Path | None]:
    """Open the spool's database and make its tables where there are none.

    Returns:
        The connection, and where a damaged file was moved; None where the file was sound.

    Raises:
        ConfigError: it cannot be opened or moved, or is of a newer agent.
    """
    db = _connected(path)
    try:
        _prepare(db, path)
    except sqlite3.Error as error:
        db.close()
        if not is_damage(error):
            raise _unusable(path, error) from None
    except ConfigError:
        db.close()
        raise
    else:
        return db, None
    aside = _move_aside(path)
    db = _connected(path)
    try:
        _prepare(db, path)
    except sqlite3.Error as error:
        db.close()
        raise _unusable(path, error) from None
    return db, aside


def is_damage(error: sqlite3.Error) -> bool:
    """Whether SQLite says that the file itself is broken."""
    # Errors of the Python module itself carry no code.
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & _PRIMARY_CODE in _DAMAGE


def _connected(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return sqlite3.connect(path, isolation_level=None, timeout=5.0)
    except (OSError, sqlite3.Error) as error:
        raise ConfigError(
            f"spool {path} cannot be opened: {error}",
            place="state_dir",
            hint="check that the agent's user may write there",
        ) from None


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if version > _SCHEMA_VERSION:
        raise ConfigError(
            f"spool {path} was written by a newer agent",
            place="state_dir",
            hint="install that version again, or move the file away",
        )
    # Reads the file once, which `spool_max_bytes` bounds, and stops at the first finding.
    finding = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
    if finding != "ok":
        damage = sqlite3.DatabaseError(finding)
        damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise damage
    if version == 0:
        db.executescript(
            f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version = {_SCHEMA_VERSION}; COMMIT;"
        )


def _move_aside(path: Path) -> Path:
    """Rename a damaged database and its log to the first free name; the new name."""
    names = (path.with_name(f"{path.stem}.damaged-{n}{path.suffix}") for n in count(1))
    aside = next(name for name in names if not name.exists())
    try:
        # The log first: a new database must never meet the old one's.
        for end in ("-wal", "-shm", ""):
            part = Path(f"{path}{end}")
            if part.exists():
                part.rename(f"{aside}{end}")
    except OSError as error:
        raise ConfigError(
            f"damaged spool {path} cannot be moved aside: {error}",
            place="state_dir",
            hint="check that the agent's user may write there",
        ) from None
    return aside


def _unusable(path: Path, error: sqlite3.Error) -> ConfigError:
    return ConfigError(
        f"spool {path} cannot be used: {error}",
        place="state_dir",
        hint="check that the agent's user may write there, and the disk's free space",
    )
