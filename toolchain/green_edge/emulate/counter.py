"""Builds the counter that qemu loads, from its C source, with the machine's own compiler."""

import os
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

from green_edge.emulate import facts
from green_edge.emulate.setting import EmulationError

_SOURCE = "counter.c"
_COMPILERS = ("cc", "gcc", "clang")
# Without a C library: the host's may be newer than Debian's, beside which it is loaded.
_OPTIONS = ("-O2", "-fPIC", "-shared", "-nostdlib", "-ffreestanding", "-fvisibility=hidden")
_TIMEOUT_S = 120.0
_WORDS = 400


def source() -> bytes:
    """The C source."""
    return facts.content(_SOURCE)


def place(cache: Path) -> Path:
    """Where the counter of this source is kept."""
    return cache / f"counter-{sha256(source()).hexdigest()[:12]}.so"


def build(cache: Path) -> Path:
    """The counter, compiled when it is not in the cache.

    Raises:
        EmulationError: there is no compiler, or it refuses.
    """
    library = place(cache)
    if library.exists():
        return library
    compiler = next(filter(None, map(shutil.which, _COMPILERS)), None)
    if compiler is None:
        hint = "install one: Debian package gcc, Fedora package gcc"
        raise EmulationError(f"no C compiler ({', '.join(_COMPILERS)}) on PATH", hint=hint)
    part = library.with_suffix(f".{os.getpid()}.part")
    command = [compiler, *_OPTIONS, "-o", str(part), "-xc", "-"]
    done = subprocess.run(
        command, input=source(), capture_output=True, timeout=_TIMEOUT_S, check=False
    )
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()[-_WORDS:]
        raise EmulationError(f"{compiler} did not build the counter: {said}")
    part.replace(library)
    return library
