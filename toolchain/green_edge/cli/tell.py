"""`green-edge tell`: a signed command to one device."""

import secrets
import time
from contextlib import closing

import click

from green_edge.bundle.keys import load_signer
from green_edge.cli import render
from green_edge.cli.fleet_options import fleet_options
from green_edge.fleet import tell
from green_edge.fleet.inventory import pick
from green_edge.fleet.settings import Options, load_settings
from green_edge.telemetry.opening import open_store
from green_edge_agent.transport.mqtt import MqttTransport, check_broker
from green_edge_agent.transport.url import parse_broker_url
from green_edge_wire.clock import SystemClock
from green_edge_wire.errors import DeviceError


@click.command(name="tell", epilog="Example: green-edge tell pi-kitchen refresh")
@click.argument("device")
@click.argument("verb", type=click.Choice(["refresh", "release"]))
@click.argument("digest", required=False)
@click.option(
    "--timeout",
    "timeout_s",
    default=15.0,
    show_default=True,
    metavar="S",
    type=click.FloatRange(min=1.0),
    help="Seconds to wait for the device's answer.",
)
@click.option("--key", metavar="NAME", help="Key that signs the command; see 'green-edge keys'.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@fleet_options
@click.pass_context
def command(  # noqa: PLR0913 - one parameter an option
    ctx: click.Context,
    *,
    device: str,
    verb: tell.Verb,
    digest: str | None,
    timeout_s: float,
    key: str | None,
    as_json: bool,
    options: Options,
) -> None:
    """Tell DEVICE to do something now, signed with your key.

    refresh: report itself again. release: take the bundle with the SHA-256 DIGEST (by default the
    one that it was told to run last) out of quarantine and try it again.

    Exit code: 0 done, 6 it refused or did not answer.
    """
    settings = load_settings(options)
    url = parse_broker_url(settings.broker_url(), place="--broker")
    clock = SystemClock()
    with closing(open_store(settings.store.value, create=False)) as store:
        (row,) = pick(store.devices(clock.unix_ms()), (device,))
        argument = tell.to_release(row, digest) if verb == "release" else ""
        telling = tell.prepare(store, row, verb, load_signer(key), clock, argument=argument)
        check_broker(url)
        transport = MqttTransport(url, f"ge-tell-{secrets.token_hex(4)}")
        event = tell.send(telling, store, transport, wait=time.sleep, timeout_s=timeout_s)
    answer = tell.Answer(device, verb, done=tell.obeyed(event), message=event.message)
    if as_json:
        render.document(answer)
    else:
        render.text(f"{answer.device_id}: {answer.message}")
    ctx.exit(0 if answer.done else DeviceError.exit_code)
