"""Choosing the meter by a preference list, with every refusal reported."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from green_edge_agent.meters import hwmon, modelled, rapl
from green_edge_agent.meters.board import read_board
from green_edge_agent.meters.contract import Meter
from green_edge_agent.meters.power_models import known_models
from green_edge_agent.meters.source import Site, Source, Wanted, parse_wanted
from green_edge_wire.clock import Clock
from green_edge_wire.device import MeterInfo
from green_edge_wire.errors import ConfigError, MeterAbsentError, MeterError

DEFAULT_PREFERENCE = ("hwmon", "rapl", "modelled")


@dataclass(frozen=True, slots=True)
class Choice:
    """The meter in use, and why each source before it in the list is not.

    Attributes:
        meter: the first that works; None when none does.
        refusals: one entry for each source that was tried in vain, `refusal` set.
        broken: names of the refused sources that are there but do not work, unlike absent ones.
    """

    meter: Meter | None
    refusals: tuple[MeterInfo, ...]
    broken: tuple[str, ...] = ()


def builtin_sources() -> Mapping[str, Source]:
    """The families of meters, by the name that the preference list uses."""
    return {"hwmon": hwmon.SOURCE, "rapl": rapl.SOURCE, "modelled": modelled.SOURCE}


def choose(
    prefer: Sequence[str],
    root: Path,
    *,
    clock: Clock,
    board: str | None = None,
    period_ns: int | None = None,
) -> Choice:
    """Open the first source of the list that works.

    Args:
        prefer: entries as `Wanted` describes them, best first.
        root: see `sysroot`.
        clock: stamps the readings.
        board: id for the modelled source instead of the detected one.
        period_ns: time between reads instead of each meter's own.

    Raises:
        ConfigError: an entry or the board names nothing that we know.
    """
    wanted = parse_preference(prefer)
    site = survey_site(root, clock, board, period_ns)
    refusals: list[MeterInfo] = []
    broken: list[str] = []
    for entry in wanted:
        source = builtin_sources()[entry.source]
        try:
            return Choice(source.open(site, entry), tuple(refusals), tuple(broken))
        except MeterError as error:
            refused = refusal(source, entry, error)
            refusals.append(refused)
            if not isinstance(error, MeterAbsentError):
                broken.append(refused.name)
    return Choice(None, tuple(refusals), tuple(broken))


def survey(root: Path, *, clock: Clock, board: str | None = None) -> tuple[MeterInfo, ...]:
    """Every meter of every family, usable or refused; nothing stays open.

    Raises:
        ConfigError: the board is none that we know.
    """
    site = survey_site(root, clock, board, None)
    rows = []
    for family, source in builtin_sources().items():
        for name in source.names(site) or ("",):
            entry = Wanted(family, name)
            try:
                meter = source.open(site, entry)
            except MeterError as error:
                rows.append(refusal(source, entry, error))
            else:
                rows.append(meter.info)
                meter.close()
    return tuple(rows)


def parse_preference(prefer: Sequence[str]) -> tuple[Wanted, ...]:
    """Parse the preference list.

    Raises:
        ConfigError: an entry names no source or boundary that we know; its place is named.
    """
    return tuple(
        _checked(parse_wanted(text, place=f"energy.prefer[{i}]"), f"energy.prefer[{i}]")
        for i, text in enumerate(prefer)
    )


def survey_site(root: Path, clock: Clock, board: str | None, period_ns: int | None) -> Site:
    """Look at the machine once, for all sources.

    Raises:
        ConfigError: the board is none that we know, or the period is not positive.
    """
    if board is not None and board not in known_models():
        raise ConfigError(
            f"unknown board {board!r}",
            place="energy.board",
            hint=_nearest(board, known_models()),
        )
    if period_ns is not None and period_ns <= 0:
        raise ConfigError("the period must be positive", place="energy.period_ms")
    return Site(root, clock, read_board(root), board_id=board, period_ns=period_ns)


def refusal(source: Source, wanted: Wanted, error: MeterError) -> MeterInfo:
    """Facts of a source that cannot be used, with the reason and the remedy."""
    name = f"{wanted.source}:{wanted.name}" if wanted.name else source.facts.name
    return replace(source.facts, name=name, refusal=str(error))


def _checked(wanted: Wanted, place: str) -> Wanted:
    sources = builtin_sources()
    if wanted.source not in sources:
        raise ConfigError(
            f"unknown source {wanted.source!r}", place=place, hint=_nearest(wanted.source, sources)
        )
    if wanted.boundary is not None and not sources[wanted.source].boundary_is_wired:
        raise ConfigError(
            f"what {wanted.source} covers is fixed",
            place=place,
            hint=f"leave out '={wanted.boundary}'",
        )
    known = sources[wanted.source].settings
    for key in wanted.settings:
        if key not in known:
            hint = _nearest(key, known) if known else f"{wanted.source} has none"
            raise ConfigError(f"unknown setting {key!r}", place=place, hint=hint)
    return wanted


def _nearest(word: str, known: Sequence[str] | Mapping[str, object]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
