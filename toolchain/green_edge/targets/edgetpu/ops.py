"""What is known of each operation type on the Edge TPU, from `ops.toml`."""

import functools
import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import Literal

from green_edge_wire import codec

Source = Literal["pairs", "table", "issue"]


@dataclass(frozen=True, slots=True)
class Mapped:
    """An operation type that the Edge TPU has.

    Attributes:
        version: highest version that was seen mapped, or that the table implies.
        source: how it is known.
        refused_from: lowest version that was seen refused.
        elements: of the largest operand that was seen mapped; absent where no size is known.
        window: positions of the largest window that was seen mapped.
    """

    version: int
    source: Source
    refused_from: int | None = None
    elements: int | None = None
    window: int | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """The whole table.

    Attributes:
        mapped: types that the Edge TPU has.
        refused: types that it has not.
        interpreter: highest version that the interpreter inside the compiler may know.
    """

    mapped: dict[str, Mapped]
    refused: dict[str, Source]
    interpreter: dict[str, int]


@functools.cache
def facts() -> Facts:
    """The table, read once."""
    file = resources.files("green_edge.targets.edgetpu").joinpath("ops.toml")
    return codec.decode(Facts, tomllib.loads(file.read_text(encoding="utf-8")), strict=True)
