"""Whether the board is in a condition to be measured: its heat, and what its firmware throttles."""

from dataclasses import dataclass
from pathlib import Path

from green_edge_agent.meters.sysroot import read_optional_int, read_text

_MILLI = 1000
_HEX = 16
# Raspberry Pi documentation, `vcgencmd get_throttled`: what holds at this moment.
_NOW = ((0, "under-voltage"), (1, "frequency-capped"), (2, "throttled"), (3, "temperature-limit"))


@dataclass(frozen=True, slots=True)
class Condition:
    """A moment of the board.

    Attributes:
        temperature_c: of the processor; None where the board does not say.
        flags: what the firmware holds back now; empty where all is well or unknown.
    """

    temperature_c: float | None
    flags: tuple[str, ...]


def read_condition(root: Path) -> Condition:
    """Condition of the board whose `sys` is in a folder."""
    heat = read_optional_int(root / "sys/class/thermal/thermal_zone0/temp")
    bits = _bits(read_text(root / "sys/devices/platform/soc/soc:firmware/get_throttled"))
    return Condition(
        temperature_c=None if heat is None else heat / _MILLI,
        flags=tuple(name for bit, name in _NOW if bits >> bit & 1),
    )


def _bits(text: str | None) -> int:
    try:
        return int(text or "0", _HEX)
    except ValueError:
        return 0
