"""`green-edge dashboard`: the live dashboard on a store, without broker and collector."""

import os
from contextlib import closing

import click
from starlette.types import ASGIApp

from green_edge.cli import render
from green_edge.cli.fleet_options import fleet_options
from green_edge.cli.log_in import say_log_in
from green_edge.cli.signals import EndSignal
from green_edge.dashboard.app import create_app
from green_edge.fleet.http import HttpServer, RequireToken
from green_edge.fleet.memory import saved_token, token_file
from green_edge.fleet.ports import advertised, bind, is_loopback, port_of, url_host
from green_edge.fleet.private_files import private_folder
from green_edge.fleet.settings import FleetSettings, Options, load_settings
from green_edge.telemetry.opening import open_store
from green_edge_wire.clock import SystemClock


@click.command(name="dashboard", epilog="Example: green-edge dashboard --port 8090")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDR",
    help="Address to listen on.",
)
@click.option(
    "--port",
    default=8090,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port to listen on; 0 takes a free one.",
)
@fleet_options
def command(*, host: str, port: int, options: Options) -> None:
    """Serve the live dashboard alone, from the store that a collector elsewhere fills.

    'green-edge up' serves it as well. Beyond this machine it asks for the operator's token.
    """
    settings = load_settings(options)
    listener = bind(host, port, what="the dashboard", option="--port")
    with (
        EndSignal() as end,
        listener,
        closing(open_store(settings.store.value, create=False)) as store,
    ):
        app: ASGIApp = create_app(store, clock=SystemClock())
        if not is_loopback(host):
            token, where = _token(settings)
            app = RequireToken(app, token)
            say_log_in(token, where=where)
        url = f"http://{url_host(advertised(host))}:{port_of(listener)}"
        with HttpServer(app, listener):
            render.say(f"dashboard  {url}")
            end.wait()
    render.say("stopped")


def _token(settings: FleetSettings) -> tuple[str, str]:
    """The operator's token and what holds it."""
    given = os.environ.get("GREEN_EDGE_TOKEN")
    if given:
        return given, "GREEN_EDGE_TOKEN"
    state = private_folder(settings.state)
    return saved_token(state), str(token_file(state))
