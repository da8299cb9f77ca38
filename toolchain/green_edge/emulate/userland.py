"""Parts that are unpacked from Debian packages, signed list to last file."""

import lzma
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from green_edge.emulate import deb, debian, facts
from green_edge.emulate.debian import File, Package
from green_edge.emulate.fetch import MIRROR_VARIABLE, fetch, fetch_small
from green_edge.emulate.parts import Member
from green_edge.emulate.setting import EmulationError, Progress
from green_edge.emulate.signature import signed_text

_DEFAULT_MIRROR = "http://deb.debian.org/debian"
_KEYS = "debian-archive-bookworm.asc"
_MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Archive:
    """Where packages come from.

    Attributes:
        mirror: URL of the archive's root.
        keys: OpenPGP certificates of who may sign for it.
        downloads: folder of files by digest; they are kept until a part is complete.
    """

    mirror: str
    keys: bytes
    downloads: Path


@dataclass(frozen=True, slots=True)
class Userland:
    """A closed list of packages.

    Attributes:
        name: of the part.
        architecture: Debian's name.
        packages: names.
        links: symbolic links that a package makes as it is set up: paths to what they point at.
    """

    name: str
    architecture: str
    packages: tuple[str, ...]
    links: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Debian:
    suite: str
    part: tuple[Userland, ...]


def debian_archive(downloads: Path) -> Archive:
    """Debian's, or the mirror of it that the user names."""
    mirror = os.environ.get(MIRROR_VARIABLE) or _DEFAULT_MIRROR
    return Archive(mirror.rstrip("/"), facts.content(_KEYS), downloads)


def userland(name: str) -> Userland:
    """The list of a part's packages."""
    return next(part for part in _facts().part if part.name == name)


def unpack(
    wanted: Userland, archive: Archive, folder: Path, progress: Progress
) -> tuple[Member, ...]:
    """Fetch and unpack a list of packages below a folder.

    Raises:
        EmulationError: the archive cannot be reached or is not what was signed.
    """
    archive.downloads.mkdir(parents=True, exist_ok=True)
    packages = _packages(wanted, archive, progress)
    whole = sum(package.file.size_bytes for package in packages)
    done = 0
    files = []
    for package in packages:
        tell = _teller(progress, f"downloading Debian packages for {wanted.name}", done, whole)
        files.append(fetch(archive.mirror, package.file, archive.downloads, tell))
        done += package.file.size_bytes
    for k, (package, file) in enumerate(zip(packages, files, strict=True)):
        progress(f"unpacking {wanted.name}", k / len(files))
        deb.unpack(file, folder, name=package.name)
    for link, target in wanted.links.items():
        (folder / link).symlink_to(target)
    deb.require_inside(folder)
    for file in files:
        file.unlink()
    return tuple(Member(each.name, each.version, each.file.sha256) for each in packages)


def _packages(wanted: Userland, archive: Archive, progress: Progress) -> tuple[Package, ...]:
    """Find the packages in the signed list of their architecture."""
    suite = _facts().suite
    url = f"{archive.mirror}/dists/{suite}/InRelease"
    progress(f"reading {url}")
    release = signed_text(fetch_small(url), archive.keys, place=url)
    entry = debian.list_of(release, suite, wanted.architecture)
    if entry is None:
        hint = f"use a full mirror of Debian by {MIRROR_VARIABLE}"
        raise EmulationError(f"{url}: no packages of {suite} for {wanted.architecture}", hint=hint)
    content = _list(
        entry, archive, f"downloading Debian's list for {wanted.architecture}", progress
    )
    found = debian.pick(content, wanted.packages)
    if missing := [name for name in wanted.packages if name not in found]:
        raise EmulationError(f"{url}: no package {', '.join(missing)} for {wanted.architecture}")
    return tuple(found[name] for name in wanted.packages)


def _list(entry: File, archive: Archive, doing: str, progress: Progress) -> str:
    tell = _teller(progress, doing, 0, entry.size_bytes)
    packed = fetch(archive.mirror, entry, archive.downloads, tell)
    try:
        return lzma.decompress(packed.read_bytes()).decode()
    except (lzma.LZMAError, UnicodeDecodeError) as error:
        raise EmulationError(f"{archive.mirror}/{entry.path}: not a list: {error}") from None
    finally:
        packed.unlink()


def _teller(progress: Progress, doing: str, before: int, whole: int) -> Callable[[int], None]:
    """Turn bytes of one file into a share of all."""
    text = f"{doing} ({whole / _MEGABYTE:.0f} MB)"

    def tell(have: int) -> None:
        progress(text, (before + have) / whole)

    return tell


def _facts() -> _Debian:
    return facts.read(_Debian, "debian.toml")
