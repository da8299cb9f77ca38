"""What a preference such as `hwmon:ina219@1-0040=battery` asks for, and what sources work with."""

import math
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from green_edge_agent.meters.board import Board
from green_edge_agent.meters.contract import Meter
from green_edge_wire.clock import Clock
from green_edge_wire.device import MeterInfo
from green_edge_wire.errors import ConfigError
from green_edge_wire.telemetry import Boundary


@dataclass(frozen=True, slots=True)
class Wanted:
    """One entry of the preference list: `SOURCE[:NAME][,KEY=VALUE...][=BOUNDARY]`.

    Attributes:
        source: family, such as `hwmon`.
        name: the meter's name after the family or the beginning of it, its device file or its
            address; empty takes the first that works.
        boundary: what the meter covers where the user knows better than we can; None otherwise.
        settings: what the source cannot read from the instrument, such as `shunt_mohm`, as written.
    """

    source: str
    name: str = ""
    boundary: Boundary | None = None
    settings: Mapping[str, str] = field(default_factory=dict)

    def number(self, key: str, default: float | None = None) -> float:
        """A setting as a positive number.

        Raises:
            ConfigError: it is missing without a default, or is no positive number.
        """
        text = self.settings.get(key)
        if text is None and default is not None:
            return default
        try:
            value = float(text or "")
        except ValueError:
            value = math.nan
        if not 0 < value < math.inf:
            told = "is missing" if text is None else f"is {text!r}, no positive number"
            raise ConfigError(
                f"{self.source}: {key} {told}",
                place="energy.prefer",
                hint=f"write {self.source}:{self.name or 'NAME'},{key}=NUMBER",
            )
        return value


def parse_wanted(text: str, *, place: str) -> Wanted:
    """Parse an entry of the preference list.

    A boundary stands after the last `=` or is the setting `boundary`.

    Raises:
        ConfigError: the boundary is none that we know, or a setting has no value or stands twice.
    """
    target, *parts = text.split(",")
    if not parts:
        target, marked, boundary = target.rpartition("=") if "=" in target else (target, "", "")
        parts = [f"boundary={boundary}"] if marked else []
    settings: dict[str, str] = {}
    for part in parts:
        key, marked, value = part.strip().partition("=")
        if not marked or not value or key in settings:
            why = "stands twice" if key in settings else "has no value"
            raise ConfigError(f"the setting {key!r} {why}", place=place, hint="write KEY=VALUE")
        settings[key] = value
    source, _, name = target.strip().partition(":")
    stated = settings.pop("boundary", None)
    return Wanted(source, name, None if stated is None else _boundary(stated, place), settings)


def _boundary(text: str, place: str) -> Boundary:
    for known in typing.get_args(Boundary):
        if text == known:
            found: Boundary = known
            return found
    raise ConfigError(
        f"unknown boundary {text!r}",
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
        settings: keys that an entry may set.
    """

    facts: MeterInfo
    names: Callable[[Site], tuple[str, ...]]
    open: Callable[[Site, Wanted], Meter]
    boundary_is_wired: bool = False
    settings: tuple[str, ...] = ()
