"""The parts of an emulated board in the cache, each made once.

A part is a folder `parts/NAME-DIGEST`, the digest being that of what it is made from. It is made
beside its place and moved there as the last step, so what an interrupted run leaves is not taken
for a part; downloads are kept until then and continued.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from green_edge.emulate.cache import write_whole
from green_edge.emulate.setting import EmulationError
from green_edge_wire import codec
from green_edge_wire.errors import DecodeError

_RECORD = "part.json"
_DIGEST_CHARACTERS = 12


@dataclass(frozen=True, slots=True)
class Member:
    """A package or wheel of a part."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Part:
    """A part that is complete.

    Attributes:
        folder: with its files.
        members: what it consists of.
    """

    folder: Path
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class _Record:
    members: tuple[Member, ...]


Maker = Callable[[Path], Sequence[Member]]


def place(cache: Path, name: str, recipe: str) -> Path:
    """Folder of a part that is made from a recipe, the text of all that decides its content."""
    digest = sha256(recipe.encode()).hexdigest()[:_DIGEST_CHARACTERS]
    return cache / "parts" / f"{name}-{digest}"


def ready(folder: Path) -> Part | None:
    """The part in a folder; None where it is yet to be made, or its record is damaged."""
    try:
        record = codec.loads(_Record, (folder / _RECORD).read_bytes(), strict=True)
    except (FileNotFoundError, DecodeError):
        return None
    return Part(folder, record.members)


def make(folder: Path, maker: Maker) -> Part:
    """Make a part in the place of those of older recipes; only one process may do so at a time.

    Args:
        folder: where it will be.
        maker: fills the folder that it is given and tells what with.
    """
    part = folder.with_name(f"{folder.name}.part")
    for left in (part, folder):
        if left.exists():
            shutil.rmtree(left)
    part.mkdir(parents=True)
    members = tuple(maker(part))
    os.sync()  # the record below says that the files are there, after a loss of power too
    write_whole(part / _RECORD, codec.dumps(_Record(members)).encode())
    part.rename(folder)
    name = folder.name.rpartition("-")[0]
    for other in folder.parent.iterdir():
        if other != folder and other.name.rpartition("-")[0] == name:
            shutil.rmtree(other, ignore_errors=True)
    made = ready(folder)
    if made is None:
        raise EmulationError(f"{folder}: taken away while it was made", hint="try again")
    return made
