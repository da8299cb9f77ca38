"""One SQLite file opened twice: a connection that writes and one that reads beside it."""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from green_edge.telemetry.sqlite.schema import bring_up_to_date, check_owner
from green_edge.telemetry.store import StoreError
from green_edge_wire.errors import ConfigError

_BUSY_TIMEOUT_S = 10.0
# The log is cut back to this after a long reader let it grow.
_LOG_LIMIT_BYTES = 64 * 1024 * 1024


class Database:
    """Transactions on one file, safe to use from several threads; errors become StoreError.

    A committed write survives the loss of power, because acknowledged records are deleted on the
    devices.
    """

    def __init__(self, path: Path, *, create: bool) -> None:
        self._path = path
        self._write_lock = threading.RLock()
        self._read_lock = threading.Lock()
        self._depth = 0
        with self._opening():
            _check_place(path, create=create)
            self._writer = _connect(path)
            try:
                self._prepare()
                self._reader = _connect(path)
            except BaseException:
                self._writer.close()
                raise

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One write transaction; inside of another one of the same thread, a part of it."""
        with self._write_lock:
            if self._depth:
                yield self._writer
                return
            with self._translated(), _transaction(self._writer, "IMMEDIATE"):
                self._depth = 1
                try:
                    yield self._writer
                finally:
                    self._depth = 0

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """One consistent view of what is committed."""
        with self._read_lock, self._translated(), _transaction(self._reader, "DEFERRED"):
            yield self._reader

    def close(self) -> None:
        """Close both connections."""
        with self._write_lock, self._read_lock:
            self._reader.close()
            self._writer.close()

    def _prepare(self) -> None:
        # First of all, because the pragmas below write into the file, whosever it is.
        with _transaction(self._writer, "DEFERRED"):
            check_owner(self._writer, where=str(self._path))
        self._writer.execute("PRAGMA journal_mode = WAL")
        self._writer.execute("PRAGMA synchronous = FULL")
        self._writer.execute(f"PRAGMA journal_size_limit = {_LOG_LIMIT_BYTES}")
        with _transaction(self._writer, "IMMEDIATE"):
            bring_up_to_date(self._writer, where=str(self._path))

    @contextmanager
    def _opening(self) -> Iterator[None]:
        """A file that is not to be had is a mistake of who named it, not trouble that passes."""
        try:
            yield
        except sqlite3.Error as error:
            found = self._explained(error)
            if found.hint != _ACCESS:
                raise found from error
            raise ConfigError(f"{self._path}: {error}", place="store", hint=_ACCESS) from error
        except OSError as error:
            hint = _ACCESS if isinstance(error, PermissionError) else "name another file"
            message = f"{self._path}: {error.strerror or error}"
            raise ConfigError(message, place="store", hint=hint) from error

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._explained(error) from error

    def _explained(self, error: sqlite3.Error) -> StoreError | ConfigError:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_NOTADB:
            return ConfigError(
                f"{self._path} is not an SQLite file",
                place="store",
                hint="name a file of its own for the store",
            )
        return StoreError(f"store {self._path}: {error}", hint=_REMEDIES.get(code))


_ACCESS = "give this user the right to write the file and its folder"
_REMEDIES = {
    sqlite3.SQLITE_FULL: "free disk space; nothing that was acknowledged is lost",
    sqlite3.SQLITE_IOERR: "check the disk; nothing that was acknowledged is lost",
    sqlite3.SQLITE_BUSY: "another process holds it; try again",
    sqlite3.SQLITE_READONLY: _ACCESS,
    sqlite3.SQLITE_CANTOPEN: _ACCESS,
    sqlite3.SQLITE_CORRUPT: "move the file away; devices send again what was not acknowledged",
}


def _check_place(path: Path, *, create: bool) -> None:
    if path.is_dir():
        raise ConfigError(f"{path} is a folder", place="store", hint="name a file in it")
    if create:
        path.parent.mkdir(parents=True, exist_ok=True)
        _make_private(path)
    elif not path.exists():
        raise ConfigError(
            f"no store at {path}", place="store", hint="'green-edge up' makes one and fills it"
        )


def _make_private(path: Path) -> None:
    """Make a new file its owner's alone; SQLite gives its log the same mode.

    A file that is there is not even opened: closing it would take away the locks that other
    connections of this process hold on it.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return


def _connect(path: Path) -> sqlite3.Connection:
    # Python's own transaction handling is off: every transaction is begun and ended in this file.
    return sqlite3.connect(
        path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )


@contextmanager
def _transaction(connection: sqlite3.Connection, mode: str) -> Iterator[None]:
    connection.execute(f"BEGIN {mode}")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # A full disk makes SQLite roll back by itself.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
