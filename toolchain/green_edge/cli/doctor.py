"""`green-edge doctor`: what this machine has, what it lacks, and what to do."""

from dataclasses import dataclass

import click

from green_edge.cli import render
from green_edge.cli.fleet_options import fleet_options
from green_edge.fleet.doctor import Check, checks
from green_edge.fleet.settings import Options


@dataclass(frozen=True, slots=True)
class _Document:
    checks: tuple[Check, ...]


@click.command(name="doctor", epilog="Example: green-edge doctor --json")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@fleet_options
@click.pass_context
def command(ctx: click.Context, *, as_json: bool, options: Options) -> None:
    """Check this machine and its settings.

    What is installed, what can be reached, and from where each setting comes.
    The exit code is that of the first failed check, 0 when none failed.
    """
    found = checks(options)
    if as_json:
        render.document(_Document(found))
    else:
        rows = [(check.name, check.ok, check.found) for check in found]
        render.text(render.table(("check", "", "found"), rows))
        for check in found:
            if check.remedy:
                render.say(f"{check.name}: {check.remedy}")
    ctx.exit(next((check.exit_code for check in found if check.ok == "fail"), 0))
