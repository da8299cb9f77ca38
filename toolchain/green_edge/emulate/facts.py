"""The files that lie in `data/`."""

import tomllib
from importlib import resources
from typing import TypeVar

from green_edge_wire import codec

T = TypeVar("T")


def content(name: str) -> bytes:
    """Bytes of a file."""
    return resources.files("green_edge.emulate").joinpath("data", name).read_bytes()


def read(kind: type[T], name: str) -> T:
    """A TOML file as a record."""
    return codec.decode(kind, tomllib.loads(content(name).decode()), strict=True)
