"""The command line of the device: parse, call one function, hand the result to `render`.

The service's parts are imported when a command runs, so `--help` and `doctor` work on a device that
lacks the runtime or its packages.
"""

import argparse
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from green_edge_agent import doctor, render
from green_edge_agent.check import Check
from green_edge_agent.config import DEFAULT_PATH, AgentConfig, EnergyConfig, load
from green_edge_agent.install.slots import read_state
from green_edge_agent.install.state import Quarantined, slot_infos
from green_edge_agent.meters.report import report
from green_edge_agent.meters.sysroot import sysroot
from green_edge_wire import __version__
from green_edge_wire.clock import SystemClock
from green_edge_wire.device import SlotInfo
from green_edge_wire.errors import ConfigError, DeviceError, GreenEdgeError

_INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class ChecksDocument:
    """What `doctor --json` prints."""

    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class SlotsDocument:
    """What `slots --json` prints."""

    device_id: str
    slots: tuple[SlotInfo, ...]
    quarantine: tuple[Quarantined, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit code.

    Raises:
        GreenEdgeError: for `entry` to print.
    """
    options = parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    return command(options)


def entry() -> None:
    """Run the command line: one line for an error, the exit code of its kind."""
    verbose = "-v" in sys.argv or "--verbose" in sys.argv
    try:
        code = main()
    except GreenEdgeError as error:
        code = _fail(str(error), error.exit_code, verbose=verbose)
    except ModuleNotFoundError as error:
        missing = ConfigError(
            f"the package {error.name!r} is not installed",
            hint="install the agent with its runtime: pip install 'green-edge[device]'",
        )
        code = _fail(str(missing), missing.exit_code, verbose=verbose)
    except KeyboardInterrupt:
        code = _fail("interrupted", _INTERRUPTED, verbose=False)
    except BrokenPipeError:
        # The reader of our output left; there is nobody to tell.
        sys.stderr.close()
        code = 0
    except Exception as error:  # noqa: BLE001 - the one place where anything unforeseen ends
        code = _fail(f"unexpected {type(error).__name__}: {error}", 1, verbose=verbose)
    sys.exit(code)


def _run(options: argparse.Namespace) -> int:
    # Late: the runtime's packages are needed from here on.
    from green_edge_agent.compose import World, composed  # noqa: PLC0415

    render.configure_logging(verbose=options.verbose)
    with composed(_config(options.config), World(say=render.answer)) as agent:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: agent.request_stop())
        agent.run()
    return 0


def _doctor(options: argparse.Namespace) -> int:
    config = None if options.config is None else _config(options.config)
    found = doctor.checks(config, sysroot())
    if options.json:
        render.document(ChecksDocument(found))
    else:
        render.checks(found)
    return DeviceError.exit_code if any(check.ok == "fail" for check in found) else 0


def _meters(options: argparse.Namespace) -> int:
    energy = EnergyConfig() if options.config is None else _config(options.config).energy
    found = report(sysroot(), clock=SystemClock(), prefer=energy.prefer, board=energy.board)
    if options.json:
        render.document(found)
    else:
        render.meters(found)
    return 0


def _slots(options: argparse.Namespace) -> int:
    config = _config(options.config)
    state = read_state(config.state_dir)
    if options.json:
        render.document(SlotsDocument(config.device_id, slot_infos(state), state.quarantine))
    else:
        pairs = [(entry.sha256, entry.reason) for entry in state.quarantine]
        render.slots(slot_infos(state), pairs)
    return 0


def _config(path: Path) -> AgentConfig:
    loaded = load(path)
    for warning in loaded.warnings:
        render.say(f"warning: {warning}")
    return loaded.config


def parser() -> argparse.ArgumentParser:
    """The command line's grammar; the documentation is written from it."""
    top = argparse.ArgumentParser(
        prog="green-edge-agent",
        description="Runs signed models on this device and reports latency and energy over MQTT.",
        epilog="example: green-edge-agent run --config agent.toml",
    )
    top.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    top.add_argument("-v", "--verbose", action="store_true", help="log more, show tracebacks")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    add = partial(_add, commands)
    run = add("run", _run, "Run the service until SIGTERM or the end of standard input.")
    run.add_argument("--config", type=Path, default=DEFAULT_PATH, help="default: %(default)s")
    check = add("doctor", _doctor, "Check this device, and with --config the agent's settings.")
    check.add_argument("--config", type=Path, help="agent.toml to check as well")
    seen = add("meters", _meters, "Show the power sources: what they cover, how sure they are.")
    seen.add_argument("--config", type=Path, help="agent.toml whose [energy] table counts")
    held = add("slots", _slots, "Show the two places for models and the quarantine.")
    held.add_argument("--config", type=Path, default=DEFAULT_PATH, help="default: %(default)s")
    for command in (check, seen, held):
        command.add_argument("--json", action="store_true", help="print one JSON document")
    return top


def _add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    command: Callable[[argparse.Namespace], int],
    text: str,
) -> argparse.ArgumentParser:
    examples = {"run": " --config agent.toml", "slots": " --config agent.toml"}
    added = commands.add_parser(
        name,
        help=text,
        description=text,
        epilog=f"example: green-edge-agent {name}{examples.get(name, '')}",
    )
    added.set_defaults(command=command)
    return added


def _fail(message: str, code: int, *, verbose: bool) -> int:
    if verbose:
        render.say(traceback.format_exc())
    render.say(f"error: {message}")
    return code
