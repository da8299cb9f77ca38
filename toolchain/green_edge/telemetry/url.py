"""Where a store is, written as a URL or a path."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from green_edge_wire.errors import ConfigError

_HINT = "use sqlite:///absolute/path.db or a plain path"


def sqlite_path(url: str) -> Path:
    """File of an SQLite store.

    Raises:
        ConfigError: the URL names another kind of store, or no file.
    """
    if "://" not in url:
        if not url:
            raise ConfigError("no store given", place="store", hint=_HINT)
        return Path(url).expanduser()
    parts = urlsplit(url)
    if parts.scheme != "sqlite":
        raise ConfigError(f"no store of kind {parts.scheme!r}", place="store", hint=_HINT)
    path = unquote(parts.path)
    if parts.netloc or len(path) < 2:
        raise ConfigError(f"{url!r} names no file", place="store", hint=_HINT)
    return Path(path)
