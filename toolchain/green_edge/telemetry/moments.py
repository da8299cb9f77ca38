"""Moments as people write them: a date, a time, or how long ago."""

import re
from datetime import UTC, datetime

from green_edge_wire.errors import ConfigError
from green_edge_wire.units import MS_PER_S

_AGO = re.compile(r"(\d{1,6})\s*(s|min|m|h|d)")
_UNIT_S = {"s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400}
_HINT = "write 2026-11-23, 2026-11-23T14:00, or 2h for two hours ago (s, min, h, d)"


def parse_moment(text: str, *, now_unix_ms: int, place: str) -> int:
    """Milliseconds since 1970 of `2026-11-23`, `2026-11-23T14:00`, or `90min`, `2h`, `7d` ago.

    A time without a zone is this machine's.

    Raises:
        ConfigError: none of these, or before 1970, naming `place`.
    """
    try:
        unix_ms = _unix_ms(text.strip(), now_unix_ms)
    except (ValueError, OverflowError, OSError):
        raise ConfigError(f"{text!r} is no moment", place=place, hint=_HINT) from None
    if unix_ms < 0:
        raise ConfigError(f"{text!r} lies before 1970", place=place, hint=_HINT)
    return unix_ms


def _unix_ms(text: str, now_unix_ms: int) -> int:
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return now_unix_ms - int(ago[1]) * _UNIT_S[ago[2]] * MS_PER_S
    return round(datetime.fromisoformat(text).astimezone().timestamp() * MS_PER_S)


def show_moment(unix_ms: int, *, seconds: bool = False) -> str:
    """A moment as UTC text, to the minute or to the second."""
    shape = "%Y-%m-%d %H:%M:%S UTC" if seconds else "%Y-%m-%d %H:%M UTC"
    return datetime.fromtimestamp(unix_ms / MS_PER_S, UTC).strftime(shape)
