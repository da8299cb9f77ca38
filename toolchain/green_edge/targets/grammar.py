"""How a user names a target: `NAME[:OS-ARCH][+HOST]`, such as `pi4` or `pi4:bookworm-armhf`."""

import re
from dataclasses import dataclass

from green_edge_wire.errors import ConfigError

DEFAULT_SYSTEM = "bookworm-arm64"
DEFAULT_HOST = "pi4"
PLACE = "--target"
_REF = re.compile(
    r"(?P<name>[a-z0-9]+(?:-[a-z0-9]+)*)"
    r"(?::(?P<system>[a-z0-9]+-[a-z0-9]+))?"
    r"(?:\+(?P<host>[a-z0-9]+(?:-[a-z0-9]+)*))?"
)


@dataclass(frozen=True, slots=True)
class TargetRef:
    """A target's name taken apart.

    Attributes:
        name: of the board or accelerator.
        system: operating system and architecture; None where the user gave none.
        host: board that the accelerator is plugged into; None where the user gave none.
    """

    name: str
    system: str | None = None
    host: str | None = None

    @property
    def text(self) -> str:
        """The name again, as a user would write it."""
        system = "" if self.system is None else f":{self.system}"
        return f"{self.name}{system}" + ("" if self.host is None else f"+{self.host}")

    @property
    def slug(self) -> str:
        """The name for file names: `-` stands for `:` and `+`."""
        return self.text.replace(":", "-").replace("+", "-")


def parse(text: str) -> TargetRef:
    """Take a target's name apart.

    Raises:
        ConfigError: it does not follow the grammar.
    """
    match = _REF.fullmatch(text)
    if match is None:
        hint = "write NAME[:OS-ARCH][+HOST], such as pi4 or pi4:bookworm-armhf"
        raise ConfigError(f"{text!r} is no target", place=PLACE, hint=hint)
    return TargetRef(match["name"], match["system"], match["host"])
