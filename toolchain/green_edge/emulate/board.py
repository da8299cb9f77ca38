"""What a program sees of a board: its core in /proc and /sys, around an unpacked userland."""

from dataclasses import dataclass
from pathlib import Path

from green_edge.emulate import facts
from green_edge.emulate.setting import EmulationError, Setting

_CORES = 4  # of every board here
_CPUINFO = """\
processor\t: {index}
BogoMIPS\t: 108.00
Features\t: {core.features}
CPU implementer\t: 0x41
CPU architecture: {core.architecture}
CPU variant\t: {core.variant}
CPU part\t: {core.part}
CPU revision\t: {core.revision}

"""


@dataclass(frozen=True, slots=True)
class Core:
    """A core as Linux shows it to programs of an architecture.

    Attributes:
        name: as compilers call it.
        arch: of the programs.
        qemu: the core that is emulated.
        board: that has it.
        features: hardware capabilities, as /proc/cpuinfo lists them.
        architecture: of Arm, as there.
        variant: as there.
        part: as there; kernels are chosen by it.
        revision: as there.
        source: where the lines were read.
    """

    name: str
    arch: str
    qemu: str
    board: str
    features: str
    architecture: int
    variant: str
    part: str
    revision: int
    source: str


@dataclass(frozen=True, slots=True)
class _Cores:
    core: tuple[Core, ...]


def core_of(setting: Setting) -> Core:
    """The core of a setting.

    Raises:
        EmulationError: it is not one of the known.
    """
    known = facts.read(_Cores, "cores.toml").core
    for core in known:
        if (core.name, core.arch) == (setting.core, setting.arch):
            return core
    names = ", ".join(f"{core.name} ({core.arch})" for core in known)
    raise EmulationError(f"{setting.core} ({setting.arch}) is not emulated", hint=f"known: {names}")


def lay_out(root: Path, userland: Path, core: Core) -> None:
    """Make a root folder that has a userland's programs and a core's face.

    qemu looks into it first for every path that the program opens.

    Args:
        root: to be made.
        userland: unpacked packages; linked to, not copied.
        core: whose face.
    """
    root.mkdir()
    for folder in userland.iterdir():
        if folder.is_dir():
            (root / folder.name).symlink_to(folder)
    entries = (_CPUINFO.format(index=index, core=core) for index in range(_CORES))
    every = f"0-{_CORES - 1}\n"
    cpus = "sys/devices/system/cpu"
    contents = {
        "proc/cpuinfo": "".join(entries),
        "proc/device-tree/model": f"{core.board}\0",
        f"{cpus}/possible": every,
        f"{cpus}/present": every,
        f"{cpus}/online": every,
        f"{cpus}/kernel_max": f"{_CORES - 1}\n",
    }
    for name, content in contents.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
