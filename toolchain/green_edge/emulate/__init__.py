"""A board's core and userland without the board: instructions per inference, counted.

`count` is the whole of it. Everything else serves it: Debian packages and wheels unpacked into the
user's cache, a counter built into qemu-user, a program that runs a model there.
"""

from green_edge.emulate.cache import cache_folder
from green_edge.emulate.counting import count, require_known
from green_edge.emulate.setting import (
    Count,
    EmulationError,
    Progress,
    Refusal,
    Result,
    Setting,
    Uncounted,
)

__all__ = [
    "Count",
    "EmulationError",
    "Progress",
    "Refusal",
    "Result",
    "Setting",
    "Uncounted",
    "cache_folder",
    "count",
    "require_known",
]
