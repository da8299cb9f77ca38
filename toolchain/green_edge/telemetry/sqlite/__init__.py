"""The store in one SQLite file: several processes read and write it at once (WAL)."""

from green_edge.telemetry.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
