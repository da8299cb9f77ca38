"""The two brokers that can be embedded, and how each is started."""

import getpass
import shutil
import signal
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from green_edge.fleet.credentials import CredentialFiles
from green_edge.fleet.private_files import write_private
from green_edge_wire import codec
from green_edge_wire.errors import ConfigError
from green_edge_wire.units import MIB_BYTES

Kind = Literal["mosquitto", "amqtt"]
KindWish = Literal["auto", "mosquitto", "amqtt"]

# Room for the largest payload of the wire with its topic and headers.
MAX_PACKET_BYTES = MIB_BYTES + 4096
# A collector that stands still for some minutes must not lose what devices sent meanwhile; the
# default of 1,000 would. The devices' spools would send it again, so this saves only work.
_MAX_QUEUED = 100_000


@dataclass(frozen=True, slots=True)
class Engine:
    """A broker program of this machine.

    Attributes:
        kind: which of the two.
        program: what to execute, before the arguments of one broker.
        reload: signal that makes it read its users again; None when it looks by itself.
    """

    kind: Kind
    program: tuple[str, ...]
    reload: signal.Signals | None

    def command(self, folder: Path, files: CredentialFiles, host: str, port: int) -> list[str]:
        """Write the broker's configuration to `folder`; returns the command that runs it."""
        path = folder / f"{self.kind}.conf"
        if self.kind == "mosquitto":
            write_private(path, _mosquitto_conf(files, host, port))
            return [*self.program, "-c", str(path)]
        write_private(path, codec.dumps(AmqttSettings(host, port, files.password_file)))
        return [*self.program, str(path)]


@dataclass(frozen=True, slots=True)
class AmqttSettings:
    """What the amqtt child process reads."""

    host: str
    port: int
    password_file: Path


def find_engine(kind: KindWish = "auto") -> Engine:
    """Take mosquitto where it is installed, else amqtt.

    Raises:
        ConfigError: what was asked for, or any, is not installed.
    """
    # Debian keeps mosquitto in /usr/sbin, which is not on an ordinary user's PATH.
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if program is not None and kind in {"auto", "mosquitto"}:
        return Engine("mosquitto", (program,), signal.SIGHUP)
    if kind == "mosquitto":
        raise ConfigError("mosquitto is not installed", hint="apt-get install mosquitto")
    if find_spec("amqtt") is None:
        raise ConfigError(
            "no broker is installed",
            hint="apt-get install mosquitto, or pip install 'green-edge[host]' for amqtt",
        )
    return Engine("amqtt", (sys.executable, "-m", "green_edge.fleet.amqtt_child"), None)


def _mosquitto_conf(files: CredentialFiles, host: str, port: int) -> str:
    # No persistence: after a kill mosquitto would come back with the snapshot of some minutes ago,
    # and old orders with it. Devices and host publish what they retain after every reconnect.
    return "\n".join([
        "per_listener_settings false",
        f"listener {port} {host}",
        "allow_anonymous false",
        f"password_file {files.password_file}",
        f"acl_file {files.acl_file}",
        "persistence false",
        f"max_queued_messages {_MAX_QUEUED}",
        f"message_size_limit {MAX_PACKET_BYTES}",
        "set_tcp_nodelay true",
        # As root it would become the user mosquitto, who may not read these files.
        f"user {getpass.getuser()}",
        "connection_messages false",
        "log_dest stderr",
        "log_type error",
        "log_type warning",
        "log_timestamp_format %Y-%m-%dT%H:%M:%S",
        "",
    ])  # fmt: skip
