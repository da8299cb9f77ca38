"""Runtimes for another architecture, as pip fetches them: the user's own index settings hold."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from green_edge.emulate import facts
from green_edge.emulate.parts import Member
from green_edge.emulate.setting import EmulationError, Setting

_PYTHON = "3.11"  # of Debian 12
_TIMEOUT_S = 900.0
_HASH = " --hash=sha256:"
_WORDS = 400
_ERROR = "ERROR: "
_AGAIN = "try again; the index and proxy that pip is set to hold here too"
_REMEDIES = {
    "No module named pip": "python -m ensurepip",
    "No space left on device": "make room where the cache and TMPDIR are",
}


@dataclass(frozen=True, slots=True)
class Site:
    """Wheels of a runtime for an architecture.

    Attributes:
        runtime: as in a `Setting`.
        version: as there.
        arch: as there.
        platforms: tags that the wheels may have.
        wheels: pip requirements, pinned by digest.
    """

    runtime: str
    version: str
    arch: str
    platforms: tuple[str, ...]
    wheels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Sites:
    site: tuple[Site, ...]


def site_of(setting: Setting) -> Site:
    """The wheels of a setting's runtime.

    Raises:
        EmulationError: none are known.
    """
    known = facts.read(_Sites, "wheels.toml").site
    for site in known:
        if (site.runtime, site.version, site.arch) == (
            setting.runtime,
            setting.version,
            setting.arch,
        ):
            return site
    names = ", ".join(f"{site.runtime} {site.version} ({site.arch})" for site in known)
    asked = f"{setting.runtime} {setting.version} ({setting.arch})"
    raise EmulationError(f"{asked} is not counted", hint=f"known: {names}")


def install(site: Site, folder: Path) -> tuple[Member, ...]:
    """Install the wheels below a folder, for the other architecture.

    Raises:
        EmulationError: pip is missing or refuses; its last words are passed on.
    """
    requirements = folder / "requirements.txt"
    requirements.write_text("\n".join(site.wheels) + "\n")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--no-compile"]
    command += ["--no-deps", "--require-hashes", "--only-binary=:all:", "--implementation=cp"]
    command += [f"--python-version={_PYTHON}", *(f"--platform={tag}" for tag in site.platforms)]
    command += [f"--target={folder}", f"--requirement={requirements}"]
    # A user's `user = true` does not go with a folder of one's own.
    environment = {**os.environ, "PIP_USER": "0"}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired:
        hint = "try again; pip continues with what it has cached"
        raise EmulationError(f"pip has not ended in {_TIMEOUT_S:.0f} s", hint=hint) from None
    if done.returncode != 0:
        raise refused(site.runtime, done.stderr)
    return tuple(_member(wheel) for wheel in site.wheels)


def refused(runtime: str, said: str) -> EmulationError:
    """What pip's words on standard error mean."""
    hint = next((remedy for words, remedy in _REMEDIES.items() if words in said), _AGAIN)
    return EmulationError(f"pip did not install {runtime}: {_reason(said)}", hint=hint)


def _reason(said: str) -> str:
    """The last of pip's errors, else its last words, in one line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()] or ["without a word"]
    errors = [line.removeprefix(_ERROR) for line in lines if line.startswith(_ERROR)]
    return (errors or lines)[-1][:_WORDS]


def _member(wheel: str) -> Member:
    requirement, _, digest = wheel.partition(_HASH)
    name, _, version = requirement.partition("==")
    return Member(name, version, digest)
