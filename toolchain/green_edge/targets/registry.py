"""The targets that a model can be built for. Each is a TOML file in `data/`."""

import difflib
import tomllib
from dataclasses import dataclass
from importlib import resources

from green_edge.targets.grammar import DEFAULT_SYSTEM, PLACE, TargetRef, parse
from green_edge_wire import codec
from green_edge_wire.errors import ConfigError


@dataclass(frozen=True, slots=True)
class _Facts:
    """A target's file."""

    title: str
    cpu: str
    cores: int
    runtime: str
    runtime_32_bit: str | None = None
    systems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """A board with its operating system.

    Attributes:
        ref: as the user named it.
        title: for people.
        cpu: core as compilers name it; empty for this machine.
        cores: how many; 0 for this machine.
        system: operating system and architecture; None for this machine.
        runtime: package of the inference runtime that the agent uses there.
    """

    ref: TargetRef
    title: str
    cpu: str
    cores: int
    system: str | None
    runtime: str


def names() -> tuple[str, ...]:
    """Names of all targets, sorted."""
    files = resources.files("green_edge.targets").joinpath("data").iterdir()
    return tuple(sorted(f.name.removesuffix(".toml") for f in files if f.name.endswith(".toml")))


def find(text: str) -> Target:
    """Target that a user named.

    Raises:
        ConfigError: no such target, or it does not run that system or is no accelerator.
    """
    ref = parse(text)
    known = names()
    if ref.name not in known:
        near = difflib.get_close_matches(ref.name, known, n=1)
        hint = (f"did you mean {near[0]!r}? " if near else "") + f"known: {', '.join(known)}"
        raise ConfigError(f"unknown target {ref.name!r}", place=PLACE, hint=hint)
    facts = _facts(ref.name)
    if ref.host is not None:
        hint = f"write {ref.name!r}; a host belongs to an accelerator"
        raise ConfigError(f"{ref.name} is no accelerator", place=PLACE, hint=hint)
    if ref.system is not None and ref.system not in facts.systems:
        runs = ", ".join(facts.systems)
        hint = f"it runs {runs}" if runs else f"write {ref.name!r} alone"
        raise ConfigError(f"{ref.name} has no {ref.system!r}", place=PLACE, hint=hint)
    system = ref.system or (DEFAULT_SYSTEM if facts.systems else None)
    small = system is not None and system.endswith("-armhf")
    return Target(
        ref=ref,
        title=facts.title,
        cpu=facts.cpu,
        cores=facts.cores,
        system=system,
        runtime=facts.runtime_32_bit if small and facts.runtime_32_bit else facts.runtime,
    )


def _facts(name: str) -> _Facts:
    file = resources.files("green_edge.targets").joinpath("data", f"{name}.toml")
    return codec.decode(_Facts, tomllib.loads(file.read_text(encoding="utf-8")), strict=True)
