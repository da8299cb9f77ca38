"""`green-edge push`: a bundle onto devices."""

import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import click

from green_edge.bundle import check
from green_edge.bundle.keys import load_signer, trusted
from green_edge.cli import render
from green_edge.cli.fleet_options import fleet_options
from green_edge.fleet import push
from green_edge.fleet.inventory import pick
from green_edge.fleet.settings import FleetSettings, Options, load_settings
from green_edge.fleet.upload import upload
from green_edge.telemetry.opening import open_store
from green_edge.telemetry.store import Rollout, RolloutDevice, Store
from green_edge_wire.clock import SystemClock


@click.command(
    name="push",
    epilog="Example: green-edge push build/digits.pi4.gedge --device pi-kitchen",
)
@click.argument("bundle", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--device",
    "devices",
    multiple=True,
    required=True,
    metavar="ID",
    help="Device to put it on; may be given several times.",
)
@click.option(
    "--timeout",
    "timeout_s",
    default=300.0,
    show_default=True,
    metavar="S",
    type=click.FloatRange(min=1.0),
    help="Seconds until a device counts as silent.",
)
@click.option("--key", metavar="NAME", help="Key that signs the order; see 'green-edge keys'.")
@click.option("--dry-run", is_flag=True, help="Say what would happen, and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@fleet_options
@click.pass_context
def command(  # noqa: PLR0913 - one parameter an option
    ctx: click.Context,
    *,
    bundle: Path,
    devices: tuple[str, ...],
    timeout_s: float,
    key: str | None,
    dry_run: bool,
    as_json: bool,
    options: Options,
) -> None:
    """Put a bundle on devices and wait until each of them runs it or says why not.

    Exit code: 0 all done, 5 every device refused it, 6 otherwise.
    """
    settings = load_settings(options)
    data, opened = check.open_file(bundle, trusted())
    artefact = push.artefact_of(data, opened)
    with closing(open_store(settings.store.value, create=False)) as store:
        planned = push.plan(pick(store.devices(), devices), artefact)
        if dry_run:
            report = push.rehearse(planned, artefact)
        else:
            signer = load_signer(key)
            if not all(item.refusal for item in planned):
                url, token = settings.artefact_upload()
                render.say(f"uploading {len(data):,} bytes to {url}")
                artefact = replace(artefact, urls=(upload(url, token, data),))
            rollout = push.begin(
                store, planned, artefact, signer, timeout_s=timeout_s, clock=SystemClock()
            )
            report = wait_for(store, rollout, settings)
    show(report, as_json=as_json)
    ctx.exit(0 if dry_run and report.exit_code != 5 else report.exit_code)


def wait_for(store: Store, rollout: Rollout, settings: FleetSettings) -> push.PushReport:
    """Follow a rollout and tell of each change."""
    if settings.run is None:
        render.say("no 'green-edge up' runs here: another collector must publish the order")

    def changed(device: RolloutDevice) -> None:
        reason = f": {device.reason}" if device.reason else ""
        render.say(f"{device.device_id}: {device.state}{reason}")

    return push.follow(store, rollout, clock=SystemClock(), wait=time.sleep, changed=changed)


def show(report: push.PushReport, *, as_json: bool) -> None:
    """Print what became of each device."""
    if as_json:
        render.document(report)
        return
    rows = [(d.device_id, d.state, f"{d.wall_s:.1f}", d.reason) for d in report.devices]
    render.text(render.table(("device", "state", "wall s", "reason"), rows, right="llrl"))
