"""The targets that a model can be built for. Each is a TOML file in `data/`."""

import difflib
import platform
import sys
import tomllib
from dataclasses import dataclass, field
from importlib import resources
from typing import TypeVar

from green_edge.targets import runtimes
from green_edge.targets.grammar import DEFAULT_HOST, DEFAULT_SYSTEM, PLACE, TargetRef, parse
from green_edge.targets.runtimes import Place, RuntimePlan
from green_edge_wire import codec
from green_edge_wire.errors import ConfigError

T = TypeVar("T")
# Debian's names of architectures to those of `platform.machine()`.
_ARCHITECTURES = {"arm64": "aarch64", "armhf": "armv7l"}


@dataclass(frozen=True, slots=True)
class _Facts:
    """A target's file."""

    title: str
    cpu: str = ""
    cores: int = 0
    ram_mib: int | None = None
    systems: tuple[str, ...] = ()
    accelerator: str | None = None
    hosts: tuple[str, ...] = ()
    libedgetpu: str | None = None
    host_notes: dict[str, str] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _System:
    """An operating system release's file."""

    title: str
    python: str
    glibc: str
    numpy: str
    sources: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Target:
    """A board with its operating system, or an accelerator on such a board.

    Attributes:
        ref: as the user named it.
        title: for people.
        cpu: core as compilers name it; empty for this machine.
        cores: how many; 0 for this machine.
        ram_mib: memory of the smallest board that is sold; None for this machine.
        system: operating system and architecture; None for this machine.
        place: what decides which wheels install there; None for this machine's own runtime.
        accelerator: kind of accelerator; None for a processor alone.
        host: board that carries the accelerator, itself where they are one; None without one.
        python: version of the system's Python.
        plan: inference runtime that the agent uses there; None where none has a wheel.
        libedgetpu: release of the Edge TPU's driver library that goes with the runtime.
        notes: what to mind with this combination.
    """

    ref: TargetRef
    title: str
    cpu: str
    cores: int
    system: str | None
    python: str
    ram_mib: int | None = None
    place: Place | None = None
    accelerator: str | None = None
    host: str | None = None
    plan: RuntimePlan | None = None
    libedgetpu: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def runtime(self) -> str | None:
        """Package of the inference runtime; None where none has a wheel."""
        return None if self.plan is None else self.plan.package

    @property
    def runtime_version(self) -> str | None:
        """Its version."""
        return None if self.plan is None else self.plan.version

    @property
    def wide(self) -> bool:
        """Whether it runs layers with int16 or float32 activations among int8 ones."""
        return self.accelerator is None

    @property
    def skips_zeros(self) -> bool:
        """Whether its runtime has float kernels that skip zeros which are stored away."""
        return self.plan is not None and self.arch in runtimes.load(self.plan.name).sparse_float

    @property
    def arch(self) -> str:
        """Architecture of its programs, as `platform.machine()` names it."""
        return platform.machine() if self.place is None else self.place.arch


def names() -> tuple[str, ...]:
    """Names of all targets, sorted."""
    files = resources.files("green_edge.targets").joinpath("data").iterdir()
    return tuple(sorted(f.name.removesuffix(".toml") for f in files if f.name.endswith(".toml")))


def find(text: str) -> Target:
    """Target that a user named.

    Raises:
        ConfigError: no such target, or it does not run that system, or has no such host.
    """
    ref = parse(text)
    known = names()
    if ref.name not in known:
        near = difflib.get_close_matches(ref.name, known, n=1)
        hint = (f"did you mean {near[0]!r}? " if near else "") + f"known: {', '.join(known)}"
        raise ConfigError(f"unknown target {ref.name!r}", place=PLACE, hint=hint)
    facts = _facts(ref.name)
    host = _host(ref, facts)
    board = facts if host is None or host == ref.name else _facts(host)
    system = _system(ref, host or ref.name, board)
    place = _place(system, facts.accelerator)
    return Target(
        ref=ref,
        title=facts.title if board is facts else f"{facts.title} on {board.title}",
        cpu=board.cpu,
        cores=board.cores,
        system=system,
        python=_own_python() if place is None else place.python,
        ram_mib=board.ram_mib,
        place=place,
        accelerator=facts.accelerator,
        host=host,
        plan=runtimes.plan(place, facts.accelerator),
        libedgetpu=facts.libedgetpu,
        notes=tuple(note for name, note in facts.host_notes.items() if name == host),
    )


def _host(ref: TargetRef, facts: _Facts) -> str | None:
    """Board that carries an accelerator."""
    if facts.accelerator is None:
        if ref.host is not None:
            hint = f"write {ref.name!r}; a host belongs to an accelerator"
            raise ConfigError(f"{ref.name} is no accelerator", place=PLACE, hint=hint)
        return None
    if not facts.hosts:
        if ref.host is not None:
            hint = f"write {ref.name!r} without a host"
            raise ConfigError(f"{ref.name} is its own host", place=PLACE, hint=hint)
        return ref.name
    host = ref.host or DEFAULT_HOST
    if host not in facts.hosts:
        hint = f"it goes with {', '.join(facts.hosts)}"
        raise ConfigError(f"{ref.name} does not go with {host!r}", place=PLACE, hint=hint)
    return host


def _system(ref: TargetRef, board: str, facts: _Facts) -> str | None:
    if ref.system is not None and ref.system not in facts.systems:
        runs = ", ".join(facts.systems)
        hint = f"it runs {runs}" if runs else "leave the system out"
        raise ConfigError(f"{board} has no {ref.system!r}", place=PLACE, hint=hint)
    return ref.system or (DEFAULT_SYSTEM if facts.systems else None)


def _place(system: str | None, accelerator: str | None) -> Place | None:
    if system is not None:
        release, _, architecture = system.partition("-")
        facts = _read(_System, "systems", release)
        return Place(_ARCHITECTURES[architecture], facts.python, facts.glibc, facts.numpy)
    if accelerator is None:
        return None
    return Place(platform.machine(), _own_python(), platform.libc_ver()[1])


def _own_python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _facts(name: str) -> _Facts:
    return _read(_Facts, name)


def _read(kind: type[T], *path: str) -> T:
    """Facts of a file below `data/`, given without its suffix."""
    *folders, name = path
    folder = resources.files("green_edge.targets").joinpath("data", *folders)
    text = folder.joinpath(f"{name}.toml").read_text(encoding="utf-8")
    return codec.decode(kind, tomllib.loads(text), strict=True)
