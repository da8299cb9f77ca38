"""`green-edge up`: the workstation's services until a signal ends them."""

import os
from collections.abc import Callable
from dataclasses import dataclass

import click

from green_edge.bundle.keys import ensure_signer
from green_edge.cli import render
from green_edge.cli.fleet_options import fleet_options
from green_edge.cli.log_in import say_log_in
from green_edge.cli.service import DEFAULT_PORT, FleetService, ServicePlan
from green_edge.cli.signals import EndSignal
from green_edge.fleet.engines import KindWish
from green_edge.fleet.ports import is_loopback
from green_edge.fleet.runfile import FILE_NAME
from green_edge.fleet.settings import FleetSettings, Options, load_settings
from green_edge_agent.transport.url import parse_broker_url
from green_edge_wire.clock import SystemClock
from green_edge_wire.errors import GreenEdgeError

_OURS = "the running 'green-edge up'"


@dataclass(frozen=True, slots=True)
class _DeviceSettings:
    device_id: str
    agent_toml: str


@dataclass(frozen=True, slots=True)
class _Document:
    """Where everything is, without passwords but those of the devices asked for."""

    site: str
    broker: str
    store: str
    artefacts: str
    dashboard: str
    devices: tuple[_DeviceSettings, ...]


@click.command(name="up", epilog="Example: green-edge up --host 0.0.0.0 --device pi-kitchen")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDR",
    help="Address to listen on; 0.0.0.0 for devices on the network.",
)
@click.option(
    "--port",
    default=DEFAULT_PORT,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Of dashboard and artefact server; 0 takes a free one.",
)
@click.option(
    "--broker-port",
    type=click.IntRange(0, 65535),
    help="Of the embedded broker; 0 takes a free one.  [default: as last time, or 1883]",
)
@click.option(
    "--embedded",
    type=click.Choice(["auto", "mosquitto", "amqtt"]),
    default="auto",
    show_default=True,
    help="Program of the embedded broker.",
)
@click.option(
    "--device",
    "devices",
    multiple=True,
    metavar="ID",
    help="Let a device in and print its agent.toml; may be given several times.",
)
@click.option("--key", metavar="NAME", help="Key that the devices should trust.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document when all is up.")
@fleet_options
def command(  # noqa: PLR0913 - one parameter an option
    *,
    host: str,
    port: int,
    broker_port: int | None,
    embedded: KindWish,
    devices: tuple[str, ...],
    key: str | None,
    as_json: bool,
    options: Options,
) -> None:
    """Start broker (unless --broker names one), collector, artefact server and dashboard.

    Everything listens on this machine alone unless --host says otherwise, and nothing is anonymous:
    each device gets a password of its own. Ends on Ctrl-C or SIGTERM and leaves nothing running.
    """
    settings = load_settings(options)
    plan = ServicePlan(
        state=settings.state,
        store=settings.store.value,
        site=settings.site.value,
        host=host,
        port=port,
        broker_port=broker_port,
        broker_kind=embedded,
        broker=_outside(settings, "broker"),
        artefacts=_outside(settings, "artefacts"),
        token=os.environ.get("GREEN_EDGE_TOKEN"),
    )
    trusted = ensure_signer(key, made=lambda _key, path: render.say(f"made a signing key: {path}"))
    with EndSignal() as end, FleetService(plan, clock=SystemClock(), say=render.say) as service:
        document = _document(service, devices, trusted.public.text)
        _show(document, service, as_json=as_json)
        if not is_loopback(host):
            say_log_in(service.run.token, where=str(settings.state / FILE_NAME))
        wait_for_end(end, lambda: service.collecting)
        render.say("stopping")
    render.say("stopped")


def wait_for_end(end: EndSignal, collecting: Callable[[], bool], *, step_s: float = 1.0) -> None:
    """Wait for a signal while the collector works.

    Raises:
        GreenEdgeError: the collector has ended by itself: nothing is kept any more.
    """
    while not end.wait(step_s):
        if not collecting():
            raise GreenEdgeError(
                "the collector has ended by itself; nothing that devices send is kept",
                hint="start 'green-edge up' again; devices send again what was not acknowledged",
            )


def _outside(settings: FleetSettings, name: str) -> str | None:
    """Setting that names a server that is not ours: our own run file cannot live yet."""
    found = settings.broker if name == "broker" else settings.artefacts
    return None if found is None or found.source == _OURS else found.value


def _document(service: FleetService, devices: tuple[str, ...], key: str) -> _Document:
    run = service.run
    return _Document(
        site=run.site,
        broker=str(parse_broker_url(run.broker)),
        store=run.store,
        artefacts=run.artefacts,
        dashboard=run.dashboard,
        devices=tuple(
            _DeviceSettings(device, service.device_settings(device, [key])) for device in devices
        ),
    )


def _show(document: _Document, service: FleetService, *, as_json: bool) -> None:
    if as_json:
        render.document(document)
    else:
        for device in document.devices:
            render.text(device.agent_toml)
    embedded = service.embedded
    kind = "" if embedded is None else f" ({embedded.kind}, embedded)"
    render.say(f"broker     {document.broker}{kind}")
    render.say(f"store      {document.store}")
    render.say(f"artefacts  {document.artefacts}")
    render.say(f"dashboard  {document.dashboard}")
    if not document.devices:
        render.say("for a device's settings: green-edge up --device ID")
    render.say("Ctrl-C ends it")
