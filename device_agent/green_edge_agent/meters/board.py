"""Which machine this is: board, memory, processors, 32 or 64 bits."""

import platform
import re
import struct
from dataclasses import dataclass
from pathlib import Path

from green_edge_agent.meters.sysroot import read_text
from green_edge_wire.units import KIB_BYTES

# The firmware's model line without "Raspberry Pi " and the revision -> id of the board.
_BOARD_IDS = {
    "5 Model B": "pi5",
    "4 Model B": "pi4",
    "400": "pi400",
    "3 Model B Plus": "pi3bplus",
    "3 Model B": "pi3",
    "2 Model B": "pi2",
    "Zero 2 W": "zero2",
    "Zero W": "zero-w",
    "Model B Plus": "pi1bplus",
}
_MODEL_LINE = re.compile(r"^Raspberry Pi (?P<name>.+?)(?: Rev (?P<revision>[0-9.]+))?$")


@dataclass(frozen=True, slots=True)
class Board:
    """A machine as its kernel describes it.

    Attributes:
        model: model line of the firmware, or the processor's name, or `unknown`.
        board_id: id of a board that we know, such as `pi4`; empty otherwise.
        revision: of the board, such as `1.2`; empty when not given.
        bits: of the programs that run on it, which may be 32 under a 64-bit kernel.
        cpus: logical processors.
        ram_bytes: memory that the kernel manages.
    """

    model: str
    board_id: str
    revision: str
    bits: int
    cpus: int
    ram_bytes: int

    @property
    def is_raspberry_pi(self) -> bool:
        """Whether the firmware says so."""
        return self.model.startswith("Raspberry Pi")


def board_ids() -> tuple[str, ...]:
    """Ids of the boards that we recognise."""
    return tuple(_BOARD_IDS.values())


def identify(model: str) -> tuple[str, str]:
    """Id and revision of a model line such as `Raspberry Pi 4 Model B Rev 1.2`, else empty."""
    match = _MODEL_LINE.match(model)
    if match is None:
        return "", ""
    return _BOARD_IDS.get(match["name"], ""), match["revision"] or ""


def read_board(root: Path, *, bits: int = struct.calcsize("P") * 8) -> Board:
    """Describe the machine whose `proc` lies below `root`; what is not told stays empty or 0.

    Args:
        root: see `sysroot`.
        bits: of the running programs.
    """
    proc = root / "proc"
    cpuinfo = read_text(proc / "cpuinfo") or ""
    model = (
        read_text(proc / "device-tree" / "model")
        or _field(cpuinfo, "Model")
        or _field(cpuinfo, "model name")
        or "unknown"
    )
    board_id, revision = identify(model)
    return Board(
        model=model,
        board_id=board_id,
        revision=revision,
        bits=bits,
        cpus=len(re.findall(r"^cpu\d", read_text(proc / "stat") or "", re.MULTILINE)),
        ram_bytes=_ram_bytes(read_text(proc / "meminfo") or ""),
    )


def os_release(path: Path = Path("/etc/os-release")) -> str:
    """Name of the distribution, such as `Debian GNU/Linux 12 (bookworm)`, or `unknown`."""
    match = re.search(r'^PRETTY_NAME="?(.*?)"?$', read_text(path) or "", re.MULTILINE)
    return match[1] if match else "unknown"


def arch() -> str:
    """Architecture as uname gives it, which is the kernel's."""
    return platform.machine()


def _field(cpuinfo: str, key: str) -> str:
    match = re.search(rf"^{re.escape(key)}\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return match[1].strip() if match else ""


def _ram_bytes(meminfo: str) -> int:
    match = re.search(r"^MemTotal:\s*(\d+) kB$", meminfo, re.MULTILINE)
    return int(match[1]) * KIB_BYTES if match else 0
