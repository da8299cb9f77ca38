"""`green-edge rollback`: a device back to its previous model."""

from contextlib import closing
from dataclasses import replace

import click

from green_edge.bundle.keys import load_signer
from green_edge.cli import render
from green_edge.cli.fleet_options import fleet_options
from green_edge.cli.push import show, wait_for
from green_edge.fleet import push
from green_edge.fleet.inventory import pick
from green_edge.fleet.settings import FleetSettings, Options, load_settings
from green_edge.fleet.upload import artefact_url, stored_bytes
from green_edge.telemetry.opening import open_store
from green_edge_wire.clock import SystemClock
from green_edge_wire.errors import ConfigError, TransportError


@click.command(name="rollback", epilog="Example: green-edge rollback pi-kitchen")
@click.argument("device")
@click.option(
    "--timeout",
    "timeout_s",
    default=120.0,
    show_default=True,
    metavar="S",
    type=click.FloatRange(min=1.0),
    help="Seconds until the device counts as silent.",
)
@click.option("--key", metavar="NAME", help="Key that signs the order; see 'green-edge keys'.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@fleet_options
@click.pass_context
def command(
    ctx: click.Context,
    *,
    device: str,
    timeout_s: float,
    key: str | None,
    as_json: bool,
    options: Options,
) -> None:
    """Return a device to the model that it ran before; an older version is accepted.

    The device swaps to its own copy where it still has one. Exit codes are those of push.
    """
    settings = load_settings(options)
    with closing(open_store(settings.store.value, create=False)) as store:
        rows = pick(store.devices(), (device,))
        artefact = _with_source(push.previous_artefact(rows[0]), settings)
        signer = load_signer(key)
        render.say(f"{device}: back to {artefact.model} {artefact.model_version}")
        rollout = push.begin(
            store,
            push.plan(rows, artefact),
            artefact,
            signer,
            timeout_s=timeout_s,
            clock=SystemClock(),
        )
        report = wait_for(store, rollout, settings)
    show(report, as_json=as_json)
    ctx.exit(report.exit_code)


def _with_source(artefact: push.Artefact, settings: FleetSettings) -> push.Artefact:
    """Name the artefact server as well, should the device have lost its copy."""
    try:
        server = settings.artefact_server()
        length = stored_bytes(server, artefact.sha256)
    except (ConfigError, TransportError) as error:
        render.say(f"{error}; the device can only go back to its own copy")
        return artefact
    if length is None:
        render.say(f"{server} does not hold it; the device can only go back to its own copy")
        return artefact
    return replace(artefact, length_bytes=length, urls=(artefact_url(server, artefact.sha256),))
