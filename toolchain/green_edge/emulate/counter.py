"""Builds the counter that qemu loads, from its C source, with the machine's own compiler."""

import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

from green_edge.emulate import facts
from green_edge.emulate.parts import Member
from green_edge.emulate.setting import EmulationError

LIBRARY = "counter.so"
_SOURCE = "counter.c"
_COMPILERS = ("cc", "gcc", "clang")
# Without a C library: the host's may be newer than Debian's, beside which it is loaded.
_OPTIONS = ("-O2", "-fPIC", "-shared", "-nostdlib", "-ffreestanding", "-fvisibility=hidden")
_TIMEOUT_S = 120.0
_WORDS = 400


def source() -> bytes:
    """The C source."""
    return facts.content(_SOURCE)


def build(folder: Path) -> tuple[Member, ...]:
    """Compile the counter into a folder.

    Raises:
        EmulationError: there is no compiler, or it refuses.
    """
    compiler = next(filter(None, map(shutil.which, _COMPILERS)), None)
    if compiler is None:
        hint = "install one: Debian package gcc, Fedora package gcc"
        raise EmulationError(f"no C compiler ({', '.join(_COMPILERS)}) on PATH", hint=hint)
    library = folder / LIBRARY
    command = [compiler, *_OPTIONS, "-o", str(library), "-xc", "-"]
    done = subprocess.run(
        command, input=source(), capture_output=True, timeout=_TIMEOUT_S, check=False
    )
    if done.returncode != 0:
        said = " ".join(done.stderr.decode(errors="replace").split())[-_WORDS:]
        raise EmulationError(f"{compiler} did not build the counter: {said}")
    return (Member(LIBRARY, "1", sha256(library.read_bytes()).hexdigest()),)
