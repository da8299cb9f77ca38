"""`green-edge devices`: who is there, and what runs on them."""

from contextlib import closing
from dataclasses import dataclass

import click

from green_edge.cli import render
from green_edge.cli.fleet_options import fleet_options
from green_edge.fleet.inventory import slot_in
from green_edge.fleet.settings import Options, load_settings
from green_edge.telemetry.opening import open_store
from green_edge.telemetry.store import DeviceRow
from green_edge_wire.clock import SystemClock
from green_edge_wire.units import MS_PER_S


@dataclass(frozen=True, slots=True)
class _Document:
    devices: tuple[DeviceRow, ...]


@click.command(name="devices", epilog="Example: green-edge devices --json")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@fleet_options
def command(*, as_json: bool, options: Options) -> None:
    """List the devices that have reported, their state and what they run."""
    settings = load_settings(options)
    now = SystemClock().unix_ms()
    with closing(open_store(settings.store.value, create=False)) as store:
        rows = store.devices(now)
    if as_json:
        render.document(_Document(rows))
        return
    if not rows:
        render.say("no device has reported yet; 'green-edge up --device ID' prints settings")
        return
    headers = ("device", "seen", "model", "on", "update", "board", "runtime")
    render.text(render.table(headers, [_line(row, now) for row in rows]))
    for row in rows:
        for problem in (row.reason, *row.problems):
            if problem:
                render.say(f"{row.device_id}: {problem}")


def _line(row: DeviceRow, now_unix_ms: int) -> tuple[str, ...]:
    active = slot_in(row, "active")
    model = "none" if active is None else f"{active.model} {active.model_version}"
    seen = "online" if row.online else f"{_age(now_unix_ms - row.last_seen_unix_ms)} ago"
    state = row.state or "unknown"
    return (row.device_id, seen, model, row.runs_on, state, row.board[:24], row.runtime)


def _age(age_ms: int) -> str:
    seconds = max(age_ms, 0) // MS_PER_S
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
