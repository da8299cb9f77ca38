"""Write docs/cli.md from the help texts of both command lines; `--check` only compares."""

import argparse
import os
import sys
from pathlib import Path

import click

from green_edge.cli import COMMANDS, main
from green_edge_agent.cli import parser

PAGE = Path(__file__).with_name("cli.md")
WIDTH = 88
HEAD = """# Command line

Written by `make docs` from the help texts; a test fails when it is out of date.

Exit codes of both: 0 done, 1 unexpected, 2 usage or configuration, 3 model, 4 built but over a
budget, 5 artefact, 6 device, 7 transport, 8 inconclusive. An error is one line on stderr; `-v` adds
the traceback. `--json` prints exactly one JSON document on stdout."""


def page() -> str:
    """Text of the page, the same on every machine."""
    # argparse has no other way to be told a width.
    os.environ["COLUMNS"] = str(WIDTH)
    context = click.Context(main, info_name="green-edge", terminal_width=WIDTH)
    lines = [HEAD, "", *_block("## green-edge", main.get_help(context))]
    for name in COMMANDS:
        command = main.get_command(context, name)
        if command is not None:
            lines += _command(command, f"green-edge {name}")
    return "\n".join([*lines, *_device()])


def _command(command: click.Command, path: str) -> list[str]:
    context = click.Context(command, info_name=path, terminal_width=WIDTH)
    lines = _block(f"### {path}", command.get_help(context))
    for name, inner in sorted(getattr(command, "commands", {}).items()):
        lines += _command(inner, f"{path} {name}")
    return lines


def _device() -> list[str]:
    top = parser()
    lines = _block("## green-edge-agent", top.format_help())
    for action in top._actions:  # noqa: SLF001 - argparse has no other way to its sub-parsers
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for name, inner in action.choices.items():
                lines += _block(f"### green-edge-agent {name}", inner.format_help())
    return lines


def _block(title: str, text: str) -> list[str]:
    return [title, "", "```text", text.rstrip(), "```", ""]


def run() -> int:
    """Write or compare."""
    wanted = page()
    if "--check" not in sys.argv:
        PAGE.write_text(wanted)
    elif PAGE.read_text() != wanted:
        sys.stderr.write("docs/cli.md is out of date: make docs\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(run())
