"""What the device says of itself: its description, and its presence."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from green_edge_agent.meters.board import arch, os_release, read_board
from green_edge_agent.runtime.interpreter import runtime_name
from green_edge_wire import __version__, codec
from green_edge_wire.device import AcceleratorInfo, DeviceInfo, MeterInfo, SlotInfo, Status
from green_edge_wire.errors import ModelError


@dataclass(frozen=True, slots=True)
class Identity:
    """Who speaks: the device and this start of its agent."""

    device_id: str
    boot_id: str

    def status(self, *, online: bool, at_unix_ms: int) -> bytes:
        """Payload of a birth or a farewell."""
        return codec.pack_one(Status(self.device_id, self.boot_id, online, at_unix_ms))


@dataclass(frozen=True, slots=True)
class Equipment:
    """What is found once at the start."""

    root: Path
    threads: int
    meters: tuple[MeterInfo, ...]
    keys: tuple[str, ...]


def describe(
    identity: Identity,
    found: Equipment,
    slots: Sequence[SlotInfo],
    accelerator: AcceleratorInfo | None = None,
) -> DeviceInfo:
    """Description of this device as of now."""
    board = read_board(found.root)
    return DeviceInfo(
        device_id=identity.device_id,
        boot_id=identity.boot_id,
        board=board.model,
        arch=arch(),
        os_release=os_release(),
        python=platform.python_version(),
        agent_version=__version__,
        ram_bytes=board.ram_bytes,
        runtime=_runtime(),
        threads=found.threads,
        meters=found.meters,
        slots=tuple(slots),
        keys=found.keys,
        accelerator=accelerator,
    )


def _runtime() -> str:
    try:
        return runtime_name()
    except ModelError as error:
        return f"none: {error.message}"
