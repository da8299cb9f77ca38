"""The agent's configuration file, `agent.toml`: parsed here once, then plain values.

Strict: an unknown key is a typo. A password belongs into a file of its own (`password_file`); in
the configuration itself it is accepted, with a warning unless nobody else can read the file.
"""

import stat
import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from green_edge_agent.install.trust import TrustedKeys
from green_edge_agent.meters.choose import DEFAULT_PREFERENCE
from green_edge_agent.transport.url import BrokerUrl, parse_broker_url
from green_edge_wire import codec
from green_edge_wire.errors import ConfigError, DecodeError
from green_edge_wire.topics import Address, check_name
from green_edge_wire.units import MIB_BYTES

DEFAULT_PATH = Path("/etc/green-edge/agent.toml")

InputKind = Literal["npz", "images", "mqtt", "stdin", "none"]


@dataclass(frozen=True, slots=True)
class BrokerConfig:
    """Where the broker is and who we are there."""

    url: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    password_file: Path | None = None


@dataclass(frozen=True, slots=True)
class TrustConfig:
    """Keys whose bundles and orders count, each `<key id>:<base64 public key>`."""

    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RuntimeConfig:
    """How the model runs.

    Attributes:
        accelerator: `auto` uses an Edge TPU where one works, `edgetpu` never runs a model for it on
            the CPU, `none` leaves it alone.
        delegate: libedgetpu, by soname or as a file.
        timeout_s: longest time that an inference on the accelerator may take; loading may take
            four times as long.
    """

    threads: int = 1
    accelerator: Literal["auto", "edgetpu", "none"] = "auto"
    delegate: str = "libedgetpu.so.1"
    timeout_s: float = 10.0


@dataclass(frozen=True, slots=True)
class InputConfig:
    """Where inputs come from.

    Attributes:
        path: of the `.npz` file or the image folder.
        rate_hz: inferences a second for files; 0 is as fast as it goes.
        repeat: begin again at the end of the files.
    """

    kind: InputKind = "none"
    path: Path | None = None
    rate_hz: float = 10.0
    repeat: bool = True


@dataclass(frozen=True, slots=True)
class TelemetryConfig:
    """How often the agent reports and how much it keeps.

    Attributes:
        window_s: length of a reporting window.
        spool_period_s: how often the open window goes to the disk; what a kill can lose.
        spool_max_bytes: of unacknowledged records; beyond it the oldest are dropped and counted.
        batch: records in one message at most.
    """

    window_s: float = 5.0
    spool_period_s: float = 1.0
    spool_max_bytes: int = 64 * MIB_BYTES
    batch: int = 20


@dataclass(frozen=True, slots=True)
class EnergyConfig:
    """Which power sources to try, in order.

    Attributes:
        board: id of the board for the modelled source, where the firmware does not tell.
        period_ms: how often the meter is read; the meter's own choice when absent.
    """

    prefer: tuple[str, ...] = DEFAULT_PREFERENCE
    board: str | None = None
    period_ms: int | None = None


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """Content of `agent.toml`."""

    site: str
    device_id: str
    state_dir: Path
    broker: BrokerConfig
    trust: TrustConfig = TrustConfig()
    runtime: RuntimeConfig = RuntimeConfig()
    input: InputConfig = InputConfig()
    telemetry: TelemetryConfig = TelemetryConfig()
    energy: EnergyConfig = EnergyConfig()

    @property
    def address(self) -> Address:
        """Where the device's topics are."""
        return Address(self.site, self.device_id)

    def broker_url(self) -> BrokerUrl:
        """Broker with credentials; reads the password file.

        Raises:
            ConfigError: not an address, or the password file cannot be read.
        """
        url = parse_broker_url(self.broker.url, place="broker.url")
        password = self.broker.password
        if self.broker.password_file is not None:
            password = _read_text(self.broker.password_file, "broker.password_file").strip()
        if self.broker.username is not None:
            url = replace(url, username=self.broker.username)
        return url if password is None else replace(url, password=password)

    def trusted_keys(self) -> TrustedKeys:
        """Keys of the `[trust]` table, parsed."""
        return TrustedKeys(self.trust.keys)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration and what its owner should hear about it."""

    config: AgentConfig
    warnings: tuple[str, ...] = ()


def load(path: Path) -> Loaded:
    """Read and check a configuration file. Relative paths in it start at its own folder.

    Raises:
        ConfigError: naming the file and the key.
    """
    text = _read_text(path, str(path))
    try:
        config = codec.decode(AgentConfig, tomllib.loads(text), strict=True)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not TOML: {error}", place=str(path)) from None
    except DecodeError as error:
        raise ConfigError(error.message, place=str(path), hint=error.hint) from None
    config = _anchored(config, path.absolute().parent)
    try:
        check(config)
    except ConfigError as error:
        raise ConfigError(error.message, place=str(path), hint=error.hint) from None
    return Loaded(config, tuple(_exposure(config, path)))


def check(config: AgentConfig) -> None:
    """Refuse values that no run can work with.

    Raises:
        ConfigError: naming the key.
    """
    check_name(config.site, place="site")
    check_name(config.device_id, place="device_id")
    parse_broker_url(config.broker.url, place="broker.url")
    if config.broker.password is not None and config.broker.password_file is not None:
        raise ConfigError("password and password_file exclude each other", place="broker")
    config.trusted_keys()
    telemetry = config.telemetry
    _between(config.runtime.threads, 1, 64, "runtime.threads")
    _between(config.runtime.timeout_s, 0.1, 600, "runtime.timeout_s")
    _between(config.input.rate_hz, 0, 100_000, "input.rate_hz")
    _between(telemetry.window_s, 0.1, 3600, "telemetry.window_s")
    _between(telemetry.spool_period_s, 0.05, telemetry.window_s, "telemetry.spool_period_s")
    _between(telemetry.spool_max_bytes, 64 * 1024, 1 << 40, "telemetry.spool_max_bytes")
    _between(telemetry.batch, 1, 500, "telemetry.batch")
    if config.energy.period_ms is not None:
        _between(config.energy.period_ms, 1, 60_000, "energy.period_ms")
    if config.input.kind in ("npz", "images") and config.input.path is None:
        raise ConfigError(f"an input of kind {config.input.kind!r} needs it", place="input.path")


def _between(value: float, low: float, high: float, place: str) -> None:
    if not low <= value <= high:
        raise ConfigError(f"must be {low:g} to {high:g}, got {value:g}", place=place)


def _anchored(config: AgentConfig, folder: Path) -> AgentConfig:
    broker, source = config.broker, config.input
    if broker.password_file is not None:
        broker = replace(broker, password_file=folder / broker.password_file)
    if source.path is not None:
        source = replace(source, path=folder / source.path)
    runtime = config.runtime
    if "/" in runtime.delegate:
        runtime = replace(runtime, delegate=str(folder / runtime.delegate))
    return replace(
        config, broker=broker, input=source, runtime=runtime, state_dir=folder / config.state_dir
    )


def _exposure(config: AgentConfig, path: Path) -> list[str]:
    readable = stat.S_IMODE(path.stat().st_mode) & 0o077
    secret = parse_broker_url(config.broker.url).password or config.broker.password
    if secret is None or not readable:
        return []
    return [f"{path} holds a password and others may read it; chmod 600 {path}"]


def _read_text(path: Path, place: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"not UTF-8: {error}", place=place) from None
    except OSError as error:
        shown = "" if place == str(path) else f" {path}"
        raise ConfigError(f"cannot read{shown}: {error.strerror}", place=place) from None
