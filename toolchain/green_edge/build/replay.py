"""Takes from a build report what builds its choice again, byte for byte, without searching."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from green_edge.core import step_tables
from green_edge.core.recipe import Recipe
from green_edge.core.report import SearchReport
from green_edge_wire import codec
from green_edge_wire.errors import ConfigError, DecodeError


@dataclass(frozen=True, slots=True)
class Replay:
    """What a search's build is repeated with.

    Attributes:
        recipe: with the steps that were found.
        search: as the report has it.
    """

    recipe: Recipe
    search: SearchReport
    seed: int
    max_drop_pp: float


def load_replay(file: Path) -> Replay:
    """Read a build report.

    Raises:
        ConfigError: it is none, or of a build that did not search.
    """
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        return _replay(document)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"cannot read it: {reason}", place=str(file)) from None
    except (ValueError, TypeError, KeyError, DecodeError) as error:
        hint = "give the build-report.json of a build with --recipe auto"
        raise ConfigError(f"no report of a search: {error}", place=str(file), hint=hint) from None


def _replay(document: Any) -> Replay:
    used = dict(document["recipe_used"])
    steps = step_tables.decode(used.pop("steps", []))
    return Replay(
        recipe=replace(codec.decode(Recipe, used, strict=True), steps=steps),
        search=codec.decode(SearchReport, document["search"], strict=True),
        seed=int(document["seed"]),
        max_drop_pp=float(document["guard"]["max_drop_pp"]),
    )
