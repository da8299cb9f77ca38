"""How the Coral accelerators are attached and what they draw, from `accelerators.toml`."""

import functools
import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import Literal

from green_edge.targets.physics import Bounds
from green_edge.targets.registry import Target
from green_edge_wire import codec
from green_edge_wire.errors import ConfigError

LinkName = Literal["usb3", "usb2", "pcie"]

# Boards whose ports are USB 2 alone.
_USB2_HOSTS = ("pi3", "zero2")


@dataclass(frozen=True, slots=True)
class Link:
    """What lies between the processor and the chip.

    Attributes:
        mb_s: 10^6 bytes a second of inputs, outputs and code.
        streaming_mb_s: of parameters, which go in large pieces.
        launch_us: driver and runtime, of each subgraph.
        clock_mhz: of the chip, which the link's driver sets.
    """

    mb_s: Bounds
    streaming_mb_s: Bounds
    launch_us: Bounds
    clock_mhz: Bounds


@dataclass(frozen=True, slots=True)
class Power:
    """Of an accelerator by itself.

    Attributes:
        idle_mw: above the board without it, all the time.
        active_mw: while an inference runs, `idle_mw` within.
        notes: what is not sure about it, a sentence each.
    """

    idle_mw: Bounds
    active_mw: Bounds
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """The whole file."""

    links: dict[str, Link]
    powers: dict[str, Power]
    sources: dict[str, str]


@functools.cache
def facts() -> Facts:
    """The file, read once."""
    file = resources.files("green_edge.targets.edgetpu").joinpath("accelerators.toml")
    return codec.decode(Facts, tomllib.loads(file.read_text(encoding="utf-8")), strict=True)


def link_of(target: Target) -> LinkName:
    """How a target's Edge TPU is attached to its host.

    Raises:
        ConfigError: it has none.
    """
    if target.accelerator is None:
        hint = "name a Coral target, such as coral-usb+pi4"
        raise ConfigError(f"{target.title} has no Edge TPU", hint=hint)
    if target.ref.name != "coral-usb":
        return "pcie"
    return "usb2" if target.host in _USB2_HOSTS else "usb3"


def power_of(target: Target) -> Power:
    """What a target's accelerator draws.

    Raises:
        ConfigError: it has none.
    """
    link_of(target)
    return facts().powers[target.ref.name]
