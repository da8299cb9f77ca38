"""Which Edge TPUs this machine has, by what the kernel shows; nothing of them is opened."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from green_edge_agent.meters.sysroot import read_optional_int, read_text

Bus = Literal["usb", "pci"]

# libedgetpu's udev rules: the chip's own id until its firmware is loaded, Google's from then on.
_USB_IDS = {("1a6e", "089a"): False, ("18d1", "9302"): True}
_PCI_ID = ("0x1ac1", "0x089a")
# USB 3 begins with 5 Gbit/s; below it the transfers are what an inference waits for.
USB3_MBPS = 5000


@dataclass(frozen=True, slots=True)
class Found:
    """One Edge TPU.

    Attributes:
        address: of the bus, such as `2-1` (USB port) or `0000:01:00.0`.
        node: device file that the library opens; None while there is none.
        speed_mbps: of the USB link; None on PCIe.
        booted: whether a USB device has its firmware; it changes its ids with it.
        temp_mc: of a PCIe device in millidegrees; None where the driver does not tell.
        trip_mc: temperature at which its driver begins to slow it down.
    """

    bus: Bus
    address: str
    node: Path | None
    speed_mbps: int | None = None
    booted: bool = True
    temp_mc: int | None = None
    trip_mc: int | None = None

    @property
    def name(self) -> str:
        """Such as `edgetpu:usb:2-1`."""
        return f"edgetpu:{self.bus}:{self.address}"


def find(root: Path) -> tuple[Found, ...]:
    """All Edge TPUs, those on PCIe first: no cable of theirs comes loose.

    Args:
        root: see `meters.sysroot`.
    """
    return (*_on_pci(root), *_on_usb(root))


def chosen(found: Sequence[Found]) -> Found | None:
    """The one to use: the first that the kernel has a device file for, else the first."""
    return next((each for each in found if each.node is not None), found[0] if found else None)


def _on_usb(root: Path) -> list[Found]:
    found = []
    for folder in _folders(root / "sys" / "bus" / "usb" / "devices"):
        ids = (read_text(folder / "idVendor") or "", read_text(folder / "idProduct") or "")
        if ids not in _USB_IDS:
            continue
        bus, device = (read_optional_int(folder / name) for name in ("busnum", "devnum"))
        node = root / "dev" / "bus" / "usb" / f"{bus or 0:03}" / f"{device or 0:03}"
        found.append(
            Found(
                "usb",
                folder.name,
                node if node.exists() else None,
                speed_mbps=read_optional_int(folder / "speed"),
                booted=_USB_IDS[ids],
            )
        )
    return found


def _on_pci(root: Path) -> list[Found]:
    drivers = {
        (folder / "device").resolve().name: folder
        for folder in _folders(root / "sys" / "class" / "apex")
    }
    found = []
    for folder in _folders(root / "sys" / "bus" / "pci" / "devices"):
        if (read_text(folder / "vendor"), read_text(folder / "device")) != _PCI_ID:
            continue
        apex = drivers.get(folder.resolve().name)
        node = None if apex is None else root / "dev" / apex.name
        found.append(
            Found(
                "pci",
                folder.name,
                node if node is not None and node.exists() else None,
                temp_mc=None if apex is None else read_optional_int(apex / "temp"),
                trip_mc=None if apex is None else read_optional_int(apex / "trip_point0_temp"),
            )
        )
    return found


def _folders(base: Path) -> list[Path]:
    return sorted(base.iterdir()) if base.is_dir() else []
