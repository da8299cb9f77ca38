"""MQTT topics: `ge/v1/<site>/<device>/<channel>`.

A device may publish only its own up channels and read only its own down channels, which is why
site and device are levels of their own: a broker's ACL can name them by pattern.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from green_edge_wire.errors import ConfigError

ROOT = "ge/v1"
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62})")


class Up(StrEnum):
    """Channels that a device publishes."""

    STATUS = "status"
    INFO = "info"
    TELEMETRY = "telemetry"
    EVENT = "event"
    REPORTED = "reported"
    RESULT = "result"
    WANT = "want"
    METER = "meter"


class Down(StrEnum):
    """Channels that a device reads."""

    DESIRED = "desired"
    CMD = "cmd"
    ACK = "ack"
    INFER = "infer"
    BLOCK = "block"
    TIME = "time"


Channel = Up | Down
_CHANNELS: dict[str, Channel] = {channel.value: channel for channel in (*Up, *Down)}


def check_name(name: str, *, place: str) -> str:
    """Return `name` when it can be a topic level: 1 to 63 of letters, digits, `.`, `_`, `-`.

    Raises:
        ConfigError: when it cannot, naming `place`.
    """
    if _NAME.fullmatch(name) is None:
        raise ConfigError(
            f"{name!r} cannot be a name",
            place=place,
            hint="use 1 to 63 letters, digits, '.', '_' or '-', beginning with a letter or digit",
        )
    return name


@dataclass(frozen=True, slots=True)
class Address:
    """One device of one site."""

    site: str
    device_id: str

    def topic(self, channel: Channel) -> str:
        """Topic of one of the device's channels."""
        return f"{ROOT}/{self.site}/{self.device_id}/{channel}"


def filter_for(channel: Channel, *, site: str = "+", device_id: str = "+") -> str:
    """Subscription filter for one channel of many devices."""
    return f"{ROOT}/{site}/{device_id}/{channel}"


def parse(topic: str) -> tuple[Address, Channel] | None:
    """Split a topic into its device and channel; None when it is not one of ours."""
    levels = topic.split("/")
    if len(levels) != 5 or f"{levels[0]}/{levels[1]}" != ROOT:
        return None
    site, device_id, channel = levels[2], levels[3], _CHANNELS.get(levels[4])
    if channel is None or _NAME.fullmatch(site) is None or _NAME.fullmatch(device_id) is None:
        return None
    return Address(site, device_id), channel
