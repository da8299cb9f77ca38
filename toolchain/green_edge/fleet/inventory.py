"""The devices that are known, and what they run."""

import difflib
from collections.abc import Sequence

from green_edge.telemetry.store import DeviceRow
from green_edge_wire.device import SlotInfo, SlotState
from green_edge_wire.errors import ConfigError


def pick(rows: Sequence[DeviceRow], device_ids: Sequence[str]) -> tuple[DeviceRow, ...]:
    """Rows of some devices, in the order asked for, each once.

    Raises:
        ConfigError: a device that has never been heard of.
    """
    known = {row.device_id: row for row in rows}
    for device_id in device_ids:
        if device_id not in known:
            raise ConfigError(
                f"no device {device_id!r} has reported yet",
                place="device",
                hint=_hint(device_id, list(known)),
            )
    return tuple(known[device_id] for device_id in dict.fromkeys(device_ids))


def slot_in(row: DeviceRow, state: SlotState) -> SlotInfo | None:
    """Slot of a device that is in a state, such as `active`; None when it has none."""
    return next((slot for slot in row.slots if slot.state == state), None)


def _hint(device_id: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(device_id, known, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    if not known:
        return "start its agent with the settings that 'green-edge up --device ID' prints"
    shown = ", ".join(known[:5]) + (", ..." if len(known) > 5 else "")
    return f"known: {shown}"
