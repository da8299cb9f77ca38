"""Which libedgetpu works with which inference runtime.

libedgetpu is built against one TensorFlow and shares C++ structures with the runtime that loads it:
a pair that does not fit ends the process without a word (google-coral/edgetpu issues 812, 731, 64).
There is no promise of compatibility, only what has been seen; anything else is unproven.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from green_edge_agent.meters.sysroot import read_text

Proof = Literal["good", "bad", "unproven"]
Version = tuple[int, ...]

REMEDY = (
    "use Python 3.11 with tflite-runtime 2.17.1 and libedgetpu1-std or -max 16.0tf2.17.1"
    " (github.com/feranick), the newest pair that is known to work"
)
# What Google's own packages were built against: 16.0 has no suffix that says so.
_STOCK = "stock"
_PACKAGE = re.compile(r"libedgetpu1-(?:std|max|legacy-std|legacy-max)")
# `16.0`, `16.0tf2.17.1-1`: release, and the TensorFlow that a rebuild was made for.
_VERSION = re.compile(
    r"(?P<release>\d+(?:\.\d+)*)(?:[.+~]?tf(?P<tf>\d+(?:\.\d+)+))?", re.IGNORECASE
)
_RUNTIME_VERSION = re.compile(r"RuntimeVersion\((\d+)\)")
# The release that brought a runtime version; libedgetpu's `kCurrent` is 14 since 16.0.
_RELEASES = {14: "16.0"}


@dataclass(frozen=True, slots=True)
class Library:
    """An installed libedgetpu.

    Attributes:
        package: Debian package that it came in.
        version: of the package, such as `16.0tf2.17.1-1`.
    """

    package: str
    version: str

    @property
    def release(self) -> Version:
        """Such as (16, 0); empty when the version says none."""
        found = _VERSION.match(self.version)
        return () if found is None else _parts(found["release"])

    @property
    def built_for(self) -> str:
        """TensorFlow that it was built for, `stock` for Google's own packages."""
        found = _VERSION.match(self.version)
        return _STOCK if found is None or found["tf"] is None else found["tf"]


@dataclass(frozen=True, slots=True)
class _Pair:
    """What was seen of one build with runtimes from a version to a version, both included."""

    built_for: str
    runtime: str
    first: Version
    last: Version
    proof: Proof
    why: str


# The first row that fits counts.
_SEEN = (
    _Pair(
        _STOCK, "tflite-runtime", (2, 5), (2, 5), "good",
        "Google built both from TensorFlow 2.5",
    ),
    _Pair(
        _STOCK, "tflite-runtime", (2, 12), (99,), "bad",
        "libedgetpu 16.0 of Google (TensorFlow 2.5) crashes with tflite-runtime from 2.12 on",
    ),
    _Pair(
        "2.17.1", "tflite-runtime", (2, 17), (2, 17), "good",
        "Frigate ships both",
    ),
    _Pair(
        "2.16.1", "tflite-runtime", (2, 11), (2, 16), "good",
        "its builder declares tflite-runtime 2.11.1 to 2.16.1",
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Coupling:
    """Whether a library and a runtime work together, and how that is known."""

    proof: Proof
    why: str


def coupling(library: Library, runtime: str) -> Coupling:
    """Judge a pair by what has been seen.

    Args:
        library: as installed.
        runtime: name and version, such as `tflite-runtime 2.14.0`.
    """
    name, _, version = runtime.partition(" ")
    parts = _parts(version)
    for pair in _SEEN:
        inside = pair.first <= parts[: len(pair.first)] and parts[: len(pair.last)] <= pair.last
        if (pair.built_for, pair.runtime) == (library.built_for, name) and inside:
            return Coupling(pair.proof, pair.why)
    return Coupling("unproven", f"no report of libedgetpu {library.version} with {runtime}")


def installed_library(root: Path) -> Library | None:
    """The libedgetpu that Debian's package database lists; None when it lists none.

    Args:
        root: see `meters.sysroot`.
    """
    status = read_text(root / "var" / "lib" / "dpkg" / "status") or ""
    for entry in status.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in entry.splitlines() if ": " in line)
        name = fields.get("Package", "")
        if _PACKAGE.fullmatch(name) and fields.get("Status", "").endswith(" installed"):
            return Library(name, fields.get("Version", ""))
    return None


def runtime_version(said: str) -> int | None:
    """Runtime version in what `edgetpu_version` says; None when it says none."""
    found = _RUNTIME_VERSION.search(said)
    return None if found is None else int(found[1])


def too_old(needed: int | None, *, said: str = "", library: Library | None = None) -> str | None:
    """Why a compiled model cannot be loaded here, or None as far as is known.

    Args:
        needed: see `package.needed_runtime`.
        said: what `edgetpu_version` says; empty when nobody asked it.
        library: as installed; counts where the library itself says nothing.
    """
    if needed is None:
        return None
    have, release = runtime_version(said), _RELEASES.get(needed)
    wanted = f"libedgetpu {release} or newer" if release else "a newer libedgetpu"
    if have is not None:
        older = have < needed
        found = f"the library is runtime {have}"
    else:
        older = library is not None and release is not None and library.release < _parts(release)
        found = "" if library is None else f"installed is {library.version}"
    return f"it is compiled for runtime {needed}, which needs {wanted}; {found}" if older else None


def _parts(version: str) -> Version:
    return tuple(int(part) for part in re.findall(r"\d+", version))
