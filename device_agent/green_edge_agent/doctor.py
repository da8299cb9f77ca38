"""Checks of a device before it is trusted with work: what was found, and what to do about it."""

import os
import platform
import shutil
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from green_edge_agent.check import Check
from green_edge_agent.config import AgentConfig, RuntimeConfig
from green_edge_agent.edgetpu_checks import Asked, edgetpu_checks
from green_edge_agent.meters.board import read_board
from green_edge_agent.meters.choose import DEFAULT_PREFERENCE, Choice, choose
from green_edge_agent.meters.sysroot import ENVIRONMENT_KEY
from green_edge_agent.transport.mqtt import check_broker
from green_edge_agent.transport.url import BrokerUrl
from green_edge_wire.clock import Clock, SystemClock
from green_edge_wire.errors import ConfigError, GreenEdgeError, ModelError, TransportError
from green_edge_wire.units import MIB_BYTES

# 2025-01-01 UTC, before this program was written: an earlier clock was never set.
_SET_CLOCK_UNIX_MS = 1_735_689_600_000
# Two slots, one download and the spool of a small model fit into less.
_ENOUGH_DISK_BYTES = 256 * MIB_BYTES
# tflite-runtime 2.14.0 has wheels up to Python 3.11.
_LAST_PYTHON_32_BIT = (3, 11)


def _installed_runtime() -> str:
    try:
        # NumPy may be missing, and to say so is the purpose of this module.
        from green_edge_agent.runtime.interpreter import runtime_name  # noqa: PLC0415
    except ImportError as error:
        raise ModelError(
            f"{error.name or error} is not installed", hint="pip install 'green-edge[device]'"
        ) from None
    return runtime_name()


def _delegate_version(delegate: str, bus: str) -> str:
    # As above: only a device with a runtime gets here.
    from green_edge_agent.runtime.edgetpu.process import EdgeTpuProcess, Load  # noqa: PLC0415

    process = EdgeTpuProcess(Load(b"", delegate, bus)).start(SystemClock())
    process.close()
    return process.loaded.library


def _may_use(path: Path) -> bool:
    return os.access(path, os.R_OK | os.W_OK)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the checks ask of the machine besides its file tree.

    Attributes:
        runtime: name and version of the inference runtime, or raises ModelError.
        broker: connects once, or raises TransportError.
        machine: architecture of the kernel.
        bits: of this program.
        python: major and minor version.
        delegate: see `edgetpu_checks.Asked`.
        may_use: likewise.
    """

    clock: Clock = field(default_factory=SystemClock)
    runtime: Callable[[], str] = _installed_runtime
    broker: Callable[[BrokerUrl], None] = check_broker
    machine: str = field(default_factory=platform.machine)
    bits: int = struct.calcsize("P") * 8
    python: tuple[int, int] = sys.version_info[:2]
    delegate: Callable[[str, str], str] = _delegate_version
    may_use: Callable[[Path], bool] = _may_use


def checks(
    config: AgentConfig | None, root: Path, *, surroundings: Surroundings | None = None
) -> tuple[Check, ...]:
    """Run all checks; those of state folder, keys and broker only with a configuration.

    Args:
        config: of the agent; None to check the machine alone.
        root: see `meters.sysroot`.
        surroundings: the real ones when None.
    """
    around = surroundings or Surroundings()
    found = [
        _board(root),
        _userland(around),
        _runtime(around),
        _clock(around.clock),
        *_meters(config, root, around.clock),
        *edgetpu_checks(_asked(config, root, around)),
    ]
    if root != Path("/"):
        found.append(Check("sysroot", "warn", f"{root}", f"unset {ENVIRONMENT_KEY} on a board"))
    if config is not None:
        found += [
            _state_dir(config.state_dir),
            _keys(config.trust.keys),
            _broker(config, around.broker),
        ]
    return tuple(found)


def _board(root: Path) -> Check:
    board = read_board(root)
    known = board.board_id or "no board that we have figures for"
    return Check("board", "ok", f"{board.model} ({known}), {board.ram_bytes // MIB_BYTES} MiB")


def _userland(around: Surroundings) -> Check:
    found = f"{around.bits}-bit programs on {around.machine}, Python {_dotted(around.python)}"
    if around.bits == 64:
        return Check("system", "ok", found)
    if around.python > _LAST_PYTHON_32_BIT:
        return Check(
            "system",
            "fail",
            f"{found}: no inference runtime is published for it",
            "use a 64-bit system, or a 32-bit one with Python 3.11 (Debian 12)",
        )
    if around.machine in ("aarch64", "arm64"):
        return Check(
            "system",
            "warn",
            f"{found}: a 32-bit system on a 64-bit board",
            "a 64-bit system runs the maintained runtime, ai-edge-litert",
        )
    return Check("system", "ok", found)


def _runtime(around: Surroundings) -> Check:
    try:
        return Check("runtime", "ok", around.runtime())
    except ModelError as error:
        return Check("runtime", "fail", error.message, error.hint)


def _asked(config: AgentConfig | None, root: Path, around: Surroundings) -> Asked:
    try:
        runtime = around.runtime()
    except ModelError:
        runtime = None
    return Asked(
        root,
        RuntimeConfig() if config is None else config.runtime,
        None if config is None else config.state_dir,
        runtime,
        around.delegate,
        around.may_use,
    )


def _clock(clock: Clock) -> Check:
    if clock.unix_ms() >= _SET_CLOCK_UNIX_MS:
        return Check("clock", "ok", "set")
    return Check(
        "clock",
        "warn",
        "the wall clock was never set; records carry wrong dates, durations are right",
        "let systemd-timesyncd or chrony reach a time server",
    )


def _meters(config: AgentConfig | None, root: Path, clock: Clock) -> list[Check]:
    prefer = DEFAULT_PREFERENCE if config is None else config.energy.prefer
    board = None if config is None else config.energy.board
    try:
        choice = choose(prefer, root, clock=clock, board=board)
    except ConfigError as error:
        return [Check("meter", "fail", error.message, error.hint)]
    broken = [
        Check(f"meter {info.name}", "warn", info.refusal or "", "see docs/measuring-energy.md")
        for info in choice.refusals
        if info.name in choice.broken
    ]
    return [_meter(choice), *broken]


def _meter(choice: Choice) -> Check:
    if choice.meter is None:
        reasons = "; ".join(f"{info.name}: {info.refusal}" for info in choice.refusals)
        return Check("meter", "fail", f"none works: {reasons}", "add 'modelled' to [energy] prefer")
    info = choice.meter.info
    choice.meter.close()
    found = f"{info.name} ({info.kind}, {info.boundary}, +-{info.u_ratio:.0%})"
    if info.kind == "modelled":
        return Check(
            "meter",
            "warn",
            f"{found}: energy is estimated, not measured",
            "an INA226 or INA228 in the board's supply measures it: docs/measuring-energy.md",
        )
    if info.boundary == "unknown":
        return Check("meter", "warn", f"{found}: {info.covers}", "state the boundary in prefer")
    return Check("meter", "ok", found)


def _state_dir(state_dir: Path) -> Check:
    place = state_dir
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        return Check(
            "state folder",
            "fail",
            f"{state_dir} cannot be written",
            f"create it and give it to the agent's user: chown -R $USER {state_dir}",
        )
    free_bytes = shutil.disk_usage(place).free
    found = f"{state_dir}, {free_bytes // MIB_BYTES} MiB free"
    if free_bytes < _ENOUGH_DISK_BYTES:
        return Check("state folder", "warn", found, "free some space: updates may not fit")
    return Check("state folder", "ok", found)


def _keys(keys: tuple[str, ...]) -> Check:
    if keys:
        return Check("trusted keys", "ok", f"{len(keys)}")
    return Check(
        "trusted keys",
        "warn",
        "none: every bundle will be refused",
        "put the output of 'green-edge keys export' into [trust] keys",
    )


def _broker(config: AgentConfig, connect: Callable[[BrokerUrl], None]) -> Check:
    try:
        url = config.broker_url()
        connect(url)
    except (ConfigError, TransportError) as error:
        return Check("broker", "fail", error.message, _hint(error))
    return Check("broker", "ok", f"{url}")


def _hint(error: GreenEdgeError) -> str:
    return error.hint or "check [broker] in the configuration"


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(str(part) for part in version)
