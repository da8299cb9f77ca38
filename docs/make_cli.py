"""Write docs/cli.md from the help texts of both command lines; `--check` only compares."""

import argparse
import os
import sys
from pathlib import Path

PAGE = Path(__file__).with_name("cli.md")
WIDTH = 88


def page() -> str:
    """Text of the page, the same on every machine."""
    os.environ["COLUMNS"] = str(WIDTH)
    return "\n".join([*_host(), *_device()]) + "\n"


def _host() -> list[str]:
    import click  # noqa: PLC0415 - after COLUMNS is set

    from green_edge.cli import COMMANDS, main  # noqa: PLC0415

    context = click.Context(main, info_name="green-edge", terminal_width=WIDTH)
    lines = [
        "# Command line",
        "",
        "Written by `make docs` from the help texts; a test fails when it is out of date.",
        "",
        "## green-edge",
        "",
        "```text",
        main.get_help(context),
        "```",
        "",
        "Exit codes: 0 done, 1 unexpected, 2 usage or configuration, 3 model, 4 built but over a budget,",
        "5 artefact, 6 device, 7 transport, 8 inconclusive.",
    ]
    for name in COMMANDS:
        command = main.get_command(context, name)
        lines += _command(command, f"green-edge {name}", click)
    return lines


def _command(command: object, path: str, click: object) -> list[str]:
    context = click.Context(command, info_name=path, terminal_width=WIDTH)  # type: ignore[attr-defined]
    lines = ["", f"### {path}", "", "```text", command.get_help(context), "```"]  # type: ignore[attr-defined]
    for name, inner in sorted(getattr(command, "commands", {}).items()):
        lines += _command(inner, f"{path} {name}", click)
    return lines


def _device() -> list[str]:
    from green_edge_agent.cli import parser  # noqa: PLC0415

    top = parser()
    lines = ["", "## green-edge-agent", "", "```text", top.format_help().rstrip(), "```"]
    for action in top._actions:  # noqa: SLF001 - argparse has no other way to its sub-parsers
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for name, inner in action.choices.items():
                lines += ["", f"### green-edge-agent {name}", "", "```text"]
                lines += [inner.format_help().rstrip(), "```"]
    return lines


def main() -> int:
    """Write or compare."""
    wanted = page()
    if "--check" in sys.argv:
        if PAGE.read_text() != wanted:
            print("docs/cli.md is out of date: make docs", file=sys.stderr)  # noqa: T201
            return 1
        return 0
    PAGE.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
