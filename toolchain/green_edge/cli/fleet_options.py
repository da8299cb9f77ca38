"""Options that every fleet command takes: where broker, store and artefact server are."""

import functools
from collections.abc import Callable
from typing import Any

import click

from green_edge.fleet.settings import Options

Command = Callable[..., Any]


def fleet_options(command: Command) -> Command:
    """Add `--broker`, `--store` and `--artefacts`; the command gets them as `options`."""

    @click.option("--broker", metavar="URL", help="MQTT broker: mqtt://user:password@host:1883.")
    @click.option("--store", metavar="URL", help="Store of the telemetry: a file of SQLite.")
    @click.option("--artefacts", metavar="URL", help="Artefact server: http://host:8080.")
    @functools.wraps(command)
    def with_options(
        *args: Any, broker: str | None, store: str | None, artefacts: str | None, **rest: Any
    ) -> Any:
        return command(*args, options=Options(broker, store, artefacts), **rest)

    return with_options
