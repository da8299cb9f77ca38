"""What `doctor` finds out about an Edge TPU: the device, its library, and the model for it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from green_edge_agent.check import Check
from green_edge_agent.config import RuntimeConfig
from green_edge_agent.install.slots import active_file
from green_edge_agent.runtime.edgetpu import coupling
from green_edge_agent.runtime.edgetpu.coupling import Coupling, Library
from green_edge_agent.runtime.edgetpu.find import USB3_MBPS, Found, chosen, find
from green_edge_agent.runtime.edgetpu.package import needed_runtime
from green_edge_agent.statedir import held
from green_edge_wire.errors import ConfigError, DeviceError

_DEVICE, _LIBRARY, _MODEL = "edge tpu", "libedgetpu", "edge tpu model"
_MILLI = 1000


@dataclass(frozen=True, slots=True)
class Asked:
    """What the checks need.

    Attributes:
        root: see `meters.sysroot`.
        settings: the agent's `[runtime]` table, or its defaults.
        state_dir: of the agent; None without a configuration.
        runtime: name and version of the inference runtime; None where there is none.
        delegate: loads a library for a bus in a process of its own and returns what it says of its
            version, or raises DeviceError.
        may_use: whether this user may read and write a device file.
    """

    root: Path
    settings: RuntimeConfig
    state_dir: Path | None
    runtime: str | None
    delegate: Callable[[str, str], str]
    may_use: Callable[[Path], bool]


def edgetpu_checks(asked: Asked) -> list[Check]:
    """All checks; one says that there is nothing to check where there is no Edge TPU."""
    found = find(asked.root)
    used = chosen(found)
    if used is None:
        return [_absent(asked.settings)]
    if asked.settings.accelerator == "none":
        unused = f"{used.name}, not used: [runtime] accelerator is 'none'"
        return [Check(_DEVICE, "ok", unused)]
    devices = [_device(device, asked) for device in found]
    if devices[found.index(used)].ok == "fail" or asked.runtime is None:
        return devices
    # The package says nothing of a library that is named by its path.
    by_path = "/" in asked.settings.delegate
    library = None if by_path else coupling.installed_library(asked.root)
    checked, said = _library(used, library, asked.runtime, asked)
    return [*devices, checked, *_model(asked, library, said)]


def _absent(settings: RuntimeConfig) -> Check:
    if settings.accelerator != "edgetpu":
        return Check(_DEVICE, "ok", "none: models run on the CPU")
    return Check(
        _DEVICE,
        "fail",
        "none on USB or PCIe, but [runtime] accelerator is 'edgetpu'",
        "see that it is connected (lsusb: 1a6e:089a or 18d1:9302; lspci: 1ac1:089a)",
    )


def _device(found: Found, asked: Asked) -> Check:
    name = found.name
    if found.node is None:
        return _without_node(found)
    if not asked.may_use(found.node):
        group = "plugdev" if found.bus == "usb" else "apex"
        return Check(
            _DEVICE,
            "fail",
            f"{name}: no permission on {found.node}",
            f"the udev rules of libedgetpu give it to the group {group}: install them, run"
            f" 'usermod -aG {group} USER' for the agent's user, and connect the device again",
        )
    if found.speed_mbps is not None and found.speed_mbps < USB3_MBPS:
        return Check(
            _DEVICE,
            "warn",
            f"{name}: a USB 2 link ({found.speed_mbps} Mbit/s); transfers take several times as"
            " long (SSD MobileNet v2: 58 ms instead of 18)",
            "use a USB 3 port and the cable that came with it",
        )
    if found.temp_mc is None:
        return Check(_DEVICE, "ok", name if found.booted else f"{name}, without its firmware yet")
    warm = f"{name} at {found.temp_mc / _MILLI:.0f} degrees Celsius"
    if found.trip_mc is not None and found.temp_mc >= found.trip_mc:
        return Check(
            _DEVICE,
            "warn",
            f"{warm}; its driver slows it down from {found.trip_mc / _MILLI:.0f} on",
            "give it a heat sink or air",
        )
    return Check(_DEVICE, "ok", warm)


def _without_node(found: Found) -> Check:
    if found.bus == "pci":
        return Check(
            _DEVICE,
            "fail",
            f"{found.name}: no driver has made /dev/apex_N for it",
            "install gasket-dkms; a Raspberry Pi 5 needs more: docs/coral.md",
        )
    return Check(
        _DEVICE,
        "fail",
        f"{found.name}: no device file below /dev/bus/usb",
        "in a container, pass it on: --device /dev/bus/usb",
    )


def _library(
    found: Found, library: Library | None, runtime: str, asked: Asked
) -> tuple[Check, str]:
    """The check, and what the library says of its version; empty when it was not asked."""
    name = asked.settings.delegate
    shown = name if library is None else f"{library.package} {library.version}"
    pair = f"{shown} with {runtime}"
    judged = None if library is None else coupling.coupling(library, runtime)
    if judged is not None and judged.proof == "bad":
        return Check(_LIBRARY, "fail", f"{pair}: {judged.why}", coupling.REMEDY), ""
    if asked.state_dir is not None and held(asked.state_dir):
        return _judged(pair, judged, "not tried"), ""
    try:
        said = asked.delegate(name, found.bus)
    except DeviceError as error:
        return Check(_LIBRARY, "fail", f"{pair}: {error.message}", coupling.REMEDY), ""
    return _judged(pair, judged, "loads"), said


def _judged(pair: str, judged: Coupling | None, tried: str) -> Check:
    if judged is not None and judged.proof == "good":
        return Check(_LIBRARY, "ok", f"{pair}: {tried}, and {judged.why}")
    why = "its package is not known" if judged is None else judged.why
    return Check(_LIBRARY, "warn", f"{pair}: {tried}, but {why}", coupling.REMEDY)


def _model(asked: Asked, library: Library | None, said: str) -> list[Check]:
    if asked.state_dir is None:
        return []
    try:
        path = active_file(asked.state_dir)
        content = b"" if path is None else path.read_bytes()
    except (ConfigError, OSError) as error:
        return [Check(_MODEL, "fail", f"the installed bundle cannot be read: {error}")]
    # A bundle stores its members as they are, so the package is found in it as in the model.
    needed = needed_runtime(content)
    if needed is None:
        return []
    reason = coupling.too_old(needed, said=said, library=library)
    if reason is not None:
        return [Check(_MODEL, "fail", reason, "update libedgetpu1-std or libedgetpu1-max")]
    return [Check(_MODEL, "ok", f"compiled for runtime {needed}")]
