"""Unpacks a Debian package without dpkg, and without running anything of it."""

import lzma
import os
import posixpath
import tarfile
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from green_edge.emulate.setting import EmulationError

_MAGIC = b"!<arch>\n"
_HEADER_BYTES = 60  # ar(5): name 16, time 12, owner 6, group 6, mode 8, size 10, end 2
_DATA = "data.tar"
# A link in a circle is a RuntimeError, one to what is not there a KeyError.
_BROKEN = (tarfile.TarError, lzma.LZMAError, ValueError, RuntimeError, KeyError, EOFError)


def unpack(deb: Path, folder: Path, *, name: str) -> None:
    """Unpack the files of package `name` below a folder.

    Raises:
        EmulationError: it is no package, or one of its files would land outside the folder.
    """
    with deb.open("rb") as stream:
        try:
            _seek_data(stream)
            with tarfile.open(fileobj=stream, mode="r|*") as files:
                # Python 3.11 as Debian 12 has it knows no filters: ours are below.
                files.extraction_filter = _as_it_is
                for member in files:
                    files.extract(_within(member, folder), folder)
        except _BROKEN as error:
            raise EmulationError(f"package {name} is not unpacked: {error}") from None


def require_inside(folder: Path) -> None:
    """Check that no link below a folder leads out of it, by way of others or not.

    Raises:
        EmulationError: one does.
    """
    inside = folder.resolve()
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            link = Path(place) / name
            if link.is_symlink() and not Path(os.path.realpath(link)).is_relative_to(inside):
                raise EmulationError(f"{link.relative_to(folder)}: a link that leads outside")


def _seek_data(stream: BinaryIO) -> None:
    """Go to the archive of the package's files."""
    if stream.read(len(_MAGIC)) != _MAGIC:
        raise ValueError("not a Debian package")
    while header := stream.read(_HEADER_BYTES):
        if header[:16].decode("ascii").startswith(_DATA):
            return
        size = int(header[48:58])
        # Members begin at even places.
        stream.seek(size + size % 2, 1)
    raise ValueError(f"a Debian package without {_DATA}")


def _as_it_is(member: tarfile.TarInfo, _folder: str) -> tarfile.TarInfo:
    return member


def _within(member: tarfile.TarInfo, folder: Path) -> tarfile.TarInfo:
    """Refuse what leaves the folder; a link from the system's root becomes one from the folder.

    Raises:
        ValueError: the member would be, or lead, outside, or is a device.
    """
    own = PurePosixPath(member.name).parent
    if member.issym():
        if member.linkname.startswith("/"):
            member.linkname = posixpath.relpath(member.linkname, PurePosixPath("/") / own)
        target = folder / own / member.linkname
    elif member.islnk():
        target = folder / member.linkname
    elif member.isfile() or member.isdir():
        target = folder
    else:
        raise ValueError(f"{member.name}: a special file")
    inside = folder.resolve()
    # What was unpacked before is followed, as the system would when it writes.
    for place in (folder / member.name, target):
        if not place.resolve().is_relative_to(inside):
            raise ValueError(f"{member.name}: outside of the package's folder")
    member.mode = (member.mode & 0o755) | 0o600
    return member
