"""Inference runtimes as facts: which wheel fits which system, and what each of them registers.

A runtime is a TOML file in `data/runtimes/`. What it registers was measured, not read from release
notes: `benchmarks/runtime_op_versions.py` asks the runtime itself and writes the file's tables.
"""

import functools
import tomllib
from dataclasses import dataclass, field
from importlib import resources

from green_edge_wire import codec

# The first whose wheel fits is taken: the newest is the fastest.
_ON_CPU = (
    "ai-edge-litert-2.3.0",
    "ai-edge-litert-1.4.0",
    "tflite-runtime-2.14.0",
    "tflite-runtime-2.13.0",
)
# libedgetpu works only with the runtimes that it was built beside; ai-edge-litert is unproven.
_WITH_EDGETPU = ("tflite-runtime-2.14.0",)
_ANY_GLIBC = "0"
# PEP 508: `platform_machine` is the kernel's, whatever the system on it is.
_KERNEL_64 = (
    "a 32-bit system with a 64-bit kernel (the default on Pi 4 and 5) calls itself aarch64 to "
    "pip's markers: where pip asks for ai-edge-litert, install the runtime by name"
)


@dataclass(frozen=True, slots=True)
class Place:
    """What decides which wheels install.

    Attributes:
        arch: as `platform.machine()` names it, such as `aarch64`.
        python: major and minor version, such as `3.11`.
        glibc: version of the C library; empty where it is not known.
        numpy: version of the system's own package; empty where there is none.
    """

    arch: str
    python: str
    glibc: str
    numpy: str = ""


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel that the package index has.

    Attributes:
        arch: as `platform.machine()` names it.
        python: versions it is built for.
        tag: platform tag.
        glibc: lowest version it runs with.
    """

    arch: str
    python: tuple[str, ...]
    tag: str
    glibc: str


@dataclass(frozen=True, slots=True)
class Measured:
    """How the tables of a runtime came about. They are alike on all architectures."""

    date: str
    command: str
    on: str


@dataclass(frozen=True, slots=True)
class Runtime:
    """A release of a runtime.

    Attributes:
        numpy: versions that it works with.
        xnnpack_int8: whether int8 operations run in XNNPACK by default; None where not known.
        sparse_float: architectures on which float kernels skip zeros that are stored away, as
            `tflite.sparse` does; none where it is not known.
        ops: builtin name to the highest version that it registers.
        lowest: builtin name to the lowest version, where that is not 1; those between are there.
        custom: custom operations that it registers.
        one_scale: operations of which it takes an 8-bit output only with the input's scale and
            zero point.
        sources: of each fact by its key.
    """

    package: str
    version: str
    numpy: str
    wheels: tuple[Wheel, ...]
    xnnpack_int8: bool | None = None
    sparse_float: tuple[str, ...] = ()
    measured: Measured | None = None
    ops: dict[str, int] = field(default_factory=dict)
    lowest: dict[str, int] = field(default_factory=dict)
    custom: tuple[str, ...] = ()
    one_scale: tuple[str, ...] = ()
    sources: dict[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Package and version."""
        return f"{self.package} {self.version}"


@dataclass(frozen=True, slots=True)
class RuntimePlan:
    """What to install on a system to run models there.

    Attributes:
        wheel: Python and platform tags of the runtime's wheel.
        numpy: requirement, or the system's own package.
        notes: what to mind, a sentence each.
    """

    package: str
    version: str
    wheel: str
    numpy: str
    python: str
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Of its file."""
        return f"{self.package}-{self.version}"


def plan(place: Place | None, accelerator: str | None) -> RuntimePlan | None:
    """Runtime that the agent uses on a system.

    Args:
        place: the system; None for this machine, which has what green-edge installed.
        accelerator: kind of accelerator that the runtime shall drive; None for none.

    Returns:
        None where no runtime has a wheel.
    """
    names = _ON_CPU if accelerator is None else _WITH_EDGETPU
    if place is None:
        runtime = load(names[0])
        return RuntimePlan(runtime.package, runtime.version, "as installed", runtime.numpy, "")
    for name in names:
        runtime = load(name)
        wheel = next((w for w in runtime.wheels if _fits(w, place)), None)
        if wheel is not None:
            return _plan(runtime, wheel, place)
    return None


def plans(place: Place) -> tuple[RuntimePlan, ...]:
    """Newest release of each runtime that has a wheel for a system, the preferred one first."""
    found: dict[str, RuntimePlan] = {}
    for name in _ON_CPU:
        runtime = load(name)
        wheel = next((w for w in runtime.wheels if _fits(w, place)), None)
        if wheel is not None:
            found.setdefault(runtime.package, _plan(runtime, wheel, place))
    return tuple(found.values())


def packages() -> tuple[str, ...]:
    """Packages of all runtimes, the preferred one first."""
    return tuple(dict.fromkeys(load(name).package for name in _ON_CPU))


def offers(arch: str, accelerator: str | None) -> tuple[str, ...]:
    """What the package index has for an architecture, in words, one for each runtime."""
    found = []
    for name in _ON_CPU if accelerator is None else _WITH_EDGETPU:
        runtime = load(name)
        for wheel in runtime.wheels:
            if wheel.arch == arch:
                pythons = ", ".join(wheel.python)
                found.append(f"{runtime.title} has Python {pythons} and glibc {wheel.glibc}")
    return tuple(found)


def newest() -> Runtime:
    """The runtime that registers the most."""
    return load(_ON_CPU[0])


@functools.cache
def load(name: str) -> Runtime:
    """Runtime by package and version, such as `ai-edge-litert-2.3.0`."""
    folder = resources.files("green_edge.targets").joinpath("data", "runtimes")
    text = folder.joinpath(f"{name}.toml").read_text(encoding="utf-8")
    return codec.decode(Runtime, tomllib.loads(text), strict=True)


def _plan(runtime: Runtime, wheel: Wheel, place: Place) -> RuntimePlan:
    python = place.python
    tag = f"cp{python.replace('.', '')} {wheel.tag}"
    numpy, notes = runtime.numpy, []
    if place.arch == "armv7l" and place.numpy:
        # The package index has no NumPy wheel for armv7l.
        numpy = f"python3-numpy {place.numpy} of Debian"
        notes += ["take NumPy from Debian: python3 -m venv --system-site-packages", _KERNEL_64]
    elif runtime.package == "tflite-runtime":
        notes.append("with NumPy 2 it installs and imports, then fails at the first model")
    return RuntimePlan(runtime.package, runtime.version, tag, numpy, python, tuple(notes))


def _fits(wheel: Wheel, place: Place) -> bool:
    return (
        wheel.arch == place.arch
        and place.python in wheel.python
        and _numbers(wheel.glibc) <= _numbers(place.glibc or _ANY_GLIBC)
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
