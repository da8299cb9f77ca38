"""Puts an emulated board together: what the cache lacks is fetched and made."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from green_edge.emulate import counter, parts, wheels
from green_edge.emulate.board import core_of
from green_edge.emulate.cache import alone
from green_edge.emulate.machine import Machine
from green_edge.emulate.parts import Part
from green_edge.emulate.setting import EmulationError, Progress, Setting
from green_edge.emulate.userland import debian_archive, unpack, userland
from green_edge_wire import codec

_EMULATOR = "qemu"
_GUEST = Path(__file__).with_name("guest.py")


@dataclass(frozen=True, slots=True)
class Assembly:
    """A machine and the digest of all that its counts depend on."""

    machine: Machine
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


def assemble(setting: Setting, cache: Path, progress: Progress) -> Assembly:
    """Have a machine for a setting.

    Raises:
        EmulationError: it is not known, or a part of it cannot be had.
    """
    core, site = core_of(setting), wheels.site_of(setting)
    recipes = (
        _debian(_EMULATOR, cache, progress),
        _debian(setting.arch, cache, progress),
        _Recipe(
            parts.place(cache, f"{site.runtime}-{site.arch}", codec.dumps(site)),
            lambda folder: _wheels(site, folder, progress),
        ),
    )
    made = [parts.ready(recipe.folder) for recipe in recipes]
    if None in made or not counter.place(cache).exists():
        with alone(cache, progress):
            # First, as it fails soonest.
            counter.build(cache)
            # Another process may have made them while this one waited.
            made = [
                parts.ready(each.folder) or parts.make(each.folder, each.maker) for each in recipes
            ]
    emulator, board, runtime = (part for part in made if part is not None)
    machine = Machine(
        emulator.folder, board.folder, runtime.folder, counter.place(cache), _GUEST, core
    )
    return Assembly(machine, _digest(machine, (emulator, board, runtime)))


def _debian(name: str, cache: Path, progress: Progress) -> _Recipe:
    wanted = userland(name)
    archive = debian_archive(cache / "downloads")
    return _Recipe(
        parts.place(cache, name, codec.dumps(wanted)),
        lambda folder: unpack(wanted, archive, folder, progress),
    )


def _wheels(site: wheels.Site, folder: Path, progress: Progress) -> tuple[parts.Member, ...]:
    progress(f"installing {site.runtime} {site.version} for {site.arch} (pip)")
    return wheels.install(site, folder)


def _digest(machine: Machine, used: tuple[Part, ...]) -> str:
    known = [codec.dumps(member) for part in used for member in part.members]
    known += [codec.dumps(machine.core), counter.source().decode(), machine.guest.read_text()]
    return sha256("\n".join(known).encode()).hexdigest()
