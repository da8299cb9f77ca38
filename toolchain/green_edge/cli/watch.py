"""`green-edge watch`: the devices' last minute, drawn anew in the terminal."""

import shutil
import sys
from contextlib import closing

import click

from green_edge.cli import render
from green_edge.cli.fleet_options import fleet_options
from green_edge.cli.signals import EndSignal
from green_edge.fleet.settings import Options, load_settings
from green_edge.telemetry import live, moments
from green_edge.telemetry.live import Live
from green_edge.telemetry.opening import open_store
from green_edge_wire.clock import SystemClock

_HOME = "\x1b[H"
_CLEAR_SCREEN = "\x1b[2J"
_CLEAR_LINE_END = "\x1b[K"
_CLEAR_BELOW = "\x1b[J"


@click.command("watch", epilog="Example: green-edge watch --json")
@click.argument("device", required=False)
@click.option(
    "--every",
    "period_s",
    type=click.FloatRange(min=0.1),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Time between two looks.",
)
@click.option("--times", type=click.IntRange(min=1), metavar="N", help="End after N looks.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and end.")
@fleet_options
def command(
    *, device: str | None, period_s: float, times: int | None, as_json: bool, options: Options
) -> None:
    """Follow DEVICE, or all devices, until Ctrl-C: what they run, its latency and its energy.

    A '~' stands before figures that come from a model of the board. Where standard output is no
    terminal, only lines that changed are printed.
    """
    clock = SystemClock()
    with closing(open_store(load_settings(options).store.value, create=False)) as store:
        if as_json:
            render.document(live.look(store, clock.unix_ms(), device))
            return
        show = _Screen() if sys.stdout.isatty() else _Lines()
        looks = 0
        with EndSignal() as ended:
            while True:
                show(live.look(store, clock.unix_ms(), device))
                looks += 1
                if looks == times or ended.wait(period_s):
                    break


class _Screen:
    """Draws the whole table in place of the one before."""

    def __init__(self) -> None:
        self._first = True

    def __call__(self, seen: Live) -> None:
        moment = moments.show_moment(seen.at_unix_ms, seconds=True)
        lines = _cut([moment, "", *_table(seen), *_problems(seen)])
        begin = _CLEAR_SCREEN + _HOME if self._first else _HOME
        self._first = False
        render.text(begin + "".join(f"{line}{_CLEAR_LINE_END}\n" for line in lines) + _CLEAR_BELOW)


class _Lines:
    """Prints the table once, then each device whose figures have changed."""

    def __init__(self) -> None:
        self._before: set[str] = set()

    def __call__(self, seen: Live) -> None:
        lines = [*_table(seen), *_problems(seen)]
        for line in lines:
            if line not in self._before:
                render.text(line)
        self._before = set(lines)


def _cut(lines: list[str]) -> list[str]:
    """Lines that the terminal can show: a longer screen would scroll with every look."""
    room = max(shutil.get_terminal_size().lines - 3, 5)
    left = len(lines) - room
    return lines if left <= 0 else [*lines[:room], f"and {left} lines more"]


def _table(seen: Live) -> list[str]:
    if not seen.devices:
        return ["no device has reported yet"]
    return render.table(live.HEADERS, live.cells(seen.devices), right=live.ALIGN).splitlines()


def _problems(seen: Live) -> list[str]:
    return [f"{row.device_id}: {problem}" for row in seen.devices for problem in row.problems]
