"""The command line of the workstation.

Each command lives in a module of its own that is imported only when the command runs, so that
`green-edge --help` costs no numpy and no TensorFlow. A command parses, calls one function of the
library and hands the result to `render`; it holds no logic.
"""

import importlib
import sys
import traceback
from typing import NamedTuple

import click

from green_edge.cli import render
from green_edge.cli.signals import interrupt_on_term
from green_edge_wire import __version__
from green_edge_wire.errors import ConfigError, GreenEdgeError


class _Entry(NamedTuple):
    """A command: its module, its line in the help, and the extra whose packages it imports."""

    module: str
    help: str
    extra: str


# In the order of a user's day.
COMMANDS = {
    "demo": _Entry("demo", "Run the whole loop on this machine.", "all"),
    "init": _Entry("init", "Write a commented green-edge.toml.", "host"),
    "build": _Entry("build", "Quantize a model for a target, under an accuracy guard.", "build"),
    "inspect": _Entry("inspect", "Show what a model file or a bundle holds.", "build"),
    "compare": _Entry("compare", "Compare two models, and find the layers that differ.", "build"),
    "check": _Entry("check", "Tell whether a model runs on a target, and why not.", "build"),
    "estimate": _Entry(
        "estimate", "Estimate what a model costs on a board you need not have.", "build"
    ),
    "bench": _Entry("bench", "Measure a model's latency on this machine.", "build"),
    "keys": _Entry("keys", "Make, list and export signing keys.", "host"),
    "verify": _Entry("verify", "Check a bundle's bytes and signature.", "host"),
    "up": _Entry("up", "Start broker, collector, artefact server and dashboard.", "host"),
    "push": _Entry("push", "Put a bundle on devices.", "host"),
    "rollback": _Entry("rollback", "Return a device to its previous model.", "host"),
    "devices": _Entry("devices", "List the devices and their state.", "host"),
    "tell": _Entry("tell", "Send a signed command to a device.", "host"),
    "watch": _Entry("watch", "Follow the devices' telemetry in the terminal.", "host"),
    "report": _Entry(
        "report", "Latency and energy per inference, with how each was obtained.", "host"
    ),
    "dashboard": _Entry("dashboard", "Serve the live dashboard alone.", "host"),
    "doctor": _Entry("doctor", "Check this machine and its settings.", "host"),
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        try:
            module = importlib.import_module(f"green_edge.cli.{entry.module}")
        except ModuleNotFoundError as error:
            raise _not_installed(error, entry.extra) from error
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="green-edge")
@click.option("-v", "--verbose", is_flag=True, help="Log more, and show tracebacks.")
@click.pass_context
def main(ctx: click.Context, *, verbose: bool) -> None:
    """Put the model that spends the fewest joules on your Raspberry Pi or Coral."""
    ctx.obj = render.configure_logging(verbose=verbose)


def entry() -> None:
    """Run the command line: one line for an error, the exit code of its kind."""
    verbose = "-v" in sys.argv or "--verbose" in sys.argv
    interrupt_on_term()
    try:
        code = main.main(prog_name="green-edge", standalone_mode=False)
    except GreenEdgeError as error:
        code = _fail(str(error), error.exit_code, verbose=verbose)
    except ModuleNotFoundError as error:
        code = _fail(str(_not_installed(error, "all")), ConfigError.exit_code, verbose=verbose)
    except click.exceptions.NoArgsIsHelpError as error:
        render.say(error.format_message())
        code = 2
    except click.ClickException as error:
        code = _fail(_usage(error), 2, verbose=verbose)
    except (click.Abort, KeyboardInterrupt):
        code = _fail("interrupted", 130, verbose=False)
    except BrokenPipeError:
        # The reader of our output left (`green-edge report | head`); there is nobody to tell.
        sys.stderr.close()
        code = 0
    except Exception as error:  # noqa: BLE001 - the one place where anything unforeseen ends
        code = _fail(f"unexpected {type(error).__name__}: {error}", 1, verbose=verbose)
    sys.exit(code if isinstance(code, int) else 0)


def _not_installed(error: ModuleNotFoundError, extra: str) -> ConfigError:
    return ConfigError(
        f"the package {error.name!r} is not installed",
        hint=f"install the extra that has it: pip install 'green-edge[{extra}]'",
    )


def _usage(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    where = f"; see '{context.command_path} --help'" if context is not None else ""
    return error.format_message().replace("\n", " ").rstrip(".") + where


def _fail(message: str, code: int, *, verbose: bool) -> int:
    if verbose:
        render.say(traceback.format_exc())
    render.say(f"error: {message}")
    return code
