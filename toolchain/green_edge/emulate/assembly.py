"""Puts an emulated board together: what the cache lacks is fetched and made."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

from green_edge.emulate import counter, parts, wheels
from green_edge.emulate.board import Core
from green_edge.emulate.cache import alone
from green_edge.emulate.machine import Machine
from green_edge.emulate.parts import Member
from green_edge.emulate.setting import EmulationError, Progress, Setting
from green_edge.emulate.userland import Archive, Userland, debian_archive, unpack, userland
from green_edge_wire import codec

_EMULATOR = "qemu"
_DOWNLOADS = "downloads"
_GUEST = Path(__file__).with_name("guest.py")


@dataclass(frozen=True, slots=True)
class Sources:
    """What a machine is made from.

    Attributes:
        archive: of Debian packages.
        emulator: qemu and its libraries.
        board: the board's userland.
        site: the runtime's wheels.
    """

    archive: Archive
    emulator: Userland
    board: Userland
    site: wheels.Site


@dataclass(frozen=True, slots=True)
class Assembly:
    """A machine.

    Attributes:
        members: packages and wheels that a program on it depends on.
        digest: of all that its counts depend on.
    """

    machine: Machine
    members: tuple[Member, ...]
    digest: str


@dataclass(frozen=True, slots=True)
class _Recipe:
    """A part, what decides its content, and how it is made."""

    folder: Path
    maker: parts.Maker


def require_host(system: str, machine: str) -> None:
    """Check that the emulator can run on a machine, as module `platform` calls it.

    Raises:
        EmulationError: it cannot.
    """
    if (system, machine) != ("Linux", "x86_64"):
        hint = "run it on Linux x86-64; the emulator and its counter are fetched for that alone"
        raise EmulationError(f"instructions are not counted on {system} {machine}", hint=hint)


def sources_of(setting: Setting, cache: Path) -> Sources:
    """What the machine of a setting is made from.

    Raises:
        EmulationError: its runtime is not known.
    """
    site = wheels.site_of(setting)
    archive = debian_archive(cache / _DOWNLOADS)
    return Sources(archive, userland(_EMULATOR), userland(setting.arch), site)


def assemble(core: Core, sources: Sources, cache: Path, progress: Progress) -> Assembly:
    """Have a machine.

    Raises:
        EmulationError: a part of it cannot be had.
    """
    recipes = _recipes(sources, cache, progress)
    made = [parts.ready(recipe.folder) for recipe in recipes]
    if None in made:
        with alone(cache, progress):
            # Another process may have made them while this one waited.
            made = [
                parts.ready(each.folder) or parts.make(each.folder, each.maker) for each in recipes
            ]
            # What is left there is of older packages, or of a part that nobody has waited for.
            shutil.rmtree(cache / _DOWNLOADS, ignore_errors=True)
    library, site, emulator, board = (part for part in made if part is not None)
    machine = Machine(
        emulator.folder, board.folder, site.folder, library.folder / counter.LIBRARY, _GUEST, core
    )
    members = (*emulator.members, *board.members, *site.members)
    return Assembly(machine, members, digest(members, core, counter.source(), _GUEST.read_bytes()))


def digest(members: Sequence[Member], core: Core, source: bytes, guest: bytes) -> str:
    """Digest of all that a count depends on: packages, core, counter and guest program."""
    known = [codec.dumps(member) for member in members]
    known += [codec.dumps(core), source.decode(), guest.decode()]
    return sha256("\n".join(known).encode()).hexdigest()


def _recipes(sources: Sources, cache: Path, progress: Progress) -> tuple[_Recipe, ...]:
    """The parts in the order in which they are made: first what fails soonest."""
    site = sources.site
    return (
        _Recipe(parts.place(cache, "counter", counter.source().decode()), counter.build),
        _Recipe(
            parts.place(cache, f"{site.runtime}-{site.arch}", codec.dumps(site)),
            partial(_wheels, site, progress),
        ),
        *(
            _Recipe(
                parts.place(cache, wanted.name, codec.dumps(wanted)),
                partial(_packages, wanted, sources.archive, progress),
            )
            for wanted in (sources.emulator, sources.board)
        ),
    )


def _packages(
    wanted: Userland, archive: Archive, progress: Progress, folder: Path
) -> tuple[Member, ...]:
    return unpack(wanted, archive, folder, progress)


def _wheels(site: wheels.Site, progress: Progress, folder: Path) -> tuple[Member, ...]:
    progress(f"installing {site.runtime} {site.version} for {site.arch} (pip)")
    return wheels.install(site, folder)
