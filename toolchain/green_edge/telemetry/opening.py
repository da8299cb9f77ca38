"""Which store an address means."""

from green_edge.telemetry.sqlite import SqliteStore
from green_edge.telemetry.store import Store
from green_edge.telemetry.url import sqlite_path


def open_store(url: str, *, create: bool = True) -> Store:
    """Open a store.

    Args:
        url: `sqlite:///absolute/path.db`, or a plain path.
        create: make it where it is not there yet.

    Raises:
        ConfigError: none there, not one that this version can open, or no right to write it.
        StoreError: it is held by another process, or the disk is full or broken.
    """
    return SqliteStore(sqlite_path(url), create=create)
