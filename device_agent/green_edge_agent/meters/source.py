"""What a preference such as `hwmon:ina219@1-0040=battery` asks for, and what sources work with."""

import typing
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from green_edge_agent.meters.board import Board
from green_edge_agent.meters.contract import Meter
from green_edge_wire.clock import Clock
from green_edge_wire.device import MeterInfo
from green_edge_wire.errors import ConfigError
from green_edge_wire.telemetry import Boundary


@dataclass(frozen=True, slots=True)
class Wanted:
    """One entry of the preference list: `SOURCE[:NAME][=BOUNDARY]`.

    Attributes:
        source: family, such as `hwmon`.
        name: beginning of the meter's name after the family; empty takes the first that works.
        boundary: what the meter covers where the user knows better than we can; None otherwise.
    """

    source: str
    name: str = ""
    boundary: Boundary | None = None


def parse_wanted(text: str, *, place: str) -> Wanted:
    """Parse an entry of the preference list.

    Raises:
        ConfigError: the boundary is none that we know.
    """
    target, marked, boundary = text.partition("=")
    source, _, name = target.partition(":")
    if not marked:
        return Wanted(source, name)
    for known in typing.get_args(Boundary):
        if boundary == known:
            return Wanted(source, name, known)
    raise ConfigError(
        f"unknown boundary {boundary!r}",
        place=place,
        hint=f"one of {', '.join(typing.get_args(Boundary))}",
    )


@dataclass(frozen=True, slots=True)
class Site:
    """Where sources look and what they know of the machine.

    Attributes:
        root: see `sysroot`.
        board: the machine as detected.
        board_id: id that the user states instead of the detected one; None to detect.
        period_ns: time between reads that the user asks for; None for each meter's own.
    """

    root: Path
    clock: Clock
    board: Board
    board_id: str | None = None
    period_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """A family of meters.

    Attributes:
        facts: what its meters are in general, reported where none of them can be opened.
        names: the meters of the family on this machine, as `Wanted.name` takes them; may be empty.
        open: opens one; raises MeterAbsentError or MeterReadError with the remedy as its hint.
        boundary_is_wired: what it covers depends on where it is connected, so the user may say it.
    """

    facts: MeterInfo
    names: Callable[[Site], tuple[str, ...]]
    open: Callable[[Site, Wanted], Meter]
    boundary_is_wired: bool = False
