"""Reads Debian's package lists: what an archive says of its files, no more."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class File:
    """A file of an archive.

    Attributes:
        path: below the archive's root.
        sha256: of its content.
        size_bytes: of its content.
    """

    path: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Package:
    """A package of a list."""

    name: str
    version: str
    file: File


def list_of(release: str, suite: str, architecture: str) -> File | None:
    """The list of a suite's packages for an architecture, from the text of a Release file.

    It is named by its digest: the plain name may be that of the next edition on a mirror that is
    being updated. None where the file is another suite's, or has no such list.
    """
    if f"\nCodename: {suite}\n" not in release:
        return None
    wanted = f"main/binary-{architecture}/Packages.xz"
    _, _, digests = release.partition("\nSHA256:\n")
    for line in digests.splitlines():
        if not line.startswith(" "):
            break
        sha256, size, path = line.split()
        if path == wanted:
            folder = f"dists/{suite}/main/binary-{architecture}/by-hash/SHA256"
            return File(f"{folder}/{sha256}", sha256, int(size))
    return None


def pick(packages: str, names: Sequence[str]) -> dict[str, Package]:
    """Those of `names` that a package list has, by name."""
    wanted = set(names)
    found = {}
    for stanza in packages.split("\n\n"):
        name = stanza[: stanza.find("\n")].removeprefix("Package: ")
        if name in wanted:
            fields = dict(_fields(stanza))
            file = File(fields["Filename"], fields["SHA256"], int(fields["Size"]))
            found[name] = Package(name, fields["Version"], file)
    return found


def _fields(stanza: str) -> Iterator[tuple[str, str]]:
    for line in stanza.splitlines():
        key, colon, value = line.partition(": ")
        if colon and not line.startswith(" "):
            yield key, value
