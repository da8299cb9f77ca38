"""What the workstation has and lacks, as data."""

import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from green_edge.bundle import keys
from green_edge.fleet.engines import find_engine
from green_edge.fleet.private_files import private_folder
from green_edge.fleet.settings import FleetSettings, Found, Options, load_settings
from green_edge.fleet.upload import stored_bytes
from green_edge.telemetry.opening import open_store
from green_edge.telemetry.url import sqlite_path
from green_edge_agent.transport.mqtt import check_broker
from green_edge_agent.transport.url import parse_broker_url
from green_edge_wire.errors import GreenEdgeError

_PACKAGES = {
    "tensorflow": "build",
    "ai-edge-litert": "build",
    "ai-edge-quantizer": "build",
    "starlette": "host",
    "uvicorn": "host",
    "amqtt": "host",
    "cryptography": "host",
}
_NO_SHA256 = "0" * 64
_WITHIN_S = 3.0


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        found: what is there, in one line.
        remedy: what to do about it; absent when all is well.
        exit_code: of the command line, should this be the first failure.
    """

    name: str
    ok: Literal["ok", "warn", "fail"]
    found: str
    remedy: str | None = None
    exit_code: int = 0


def checks(options: Options) -> tuple[Check, ...]:
    """Look at this machine, its settings and what they point to."""
    return (*_machine(), *_settings(options))


def _machine() -> Iterator[Check]:
    python = ".".join(map(str, sys.version_info[:3]))
    yield Check("python", "ok", f"{python} ({sys.executable})")
    for name, extra in _PACKAGES.items():
        try:
            yield Check(name, "ok", version(name))
        except PackageNotFoundError:
            remedy = f"pip install 'green-edge[{extra}]'"
            yield Check(name, "warn", "not installed", remedy)
    yield _try("embedded broker", _engine)
    yield _try("signing keys", _keys)


def _settings(options: Options) -> Iterator[Check]:
    try:
        settings = load_settings(options)
    except GreenEdgeError as error:
        yield _failed("settings", error)
        return
    yield _try("state folder", lambda: str(private_folder(settings.state)))
    run = settings.run
    found = "not running" if run is None else f"pid {run.pid}, {run.dashboard}"
    yield Check("green-edge up", "ok", found)
    yield Check("site", "ok", f"{settings.site.value}, from {settings.site.source}")
    yield _try("store", lambda: _store(settings))
    yield _reach("broker", settings.broker, _broker)
    yield _reach("artefact server", settings.artefacts, _artefacts)


def _reach(name: str, setting: Found | None, look: Callable[[Found], str]) -> Check:
    if setting is None:
        return Check(name, "warn", "not set", "start 'green-edge up', which brings its own")
    return _try(name, lambda: look(setting))


def _engine() -> str:
    engine = find_engine()
    return f"{engine.kind} ({engine.program[0]})"


def _keys() -> str:
    found = keys.list_keys()
    if not found:
        return "none yet; the first build or 'green-edge keys new' makes one"
    return ", ".join(f"{key.name} {key.key_id}" for key in found)


def _store(settings: FleetSettings) -> str:
    if not sqlite_path(settings.store.value).exists():
        return f"{settings.store.value}, not there yet; 'green-edge up' makes it"
    with closing(open_store(settings.store.value, create=False)) as store:
        devices = len(store.devices())
    return f"{settings.store.value}, from {settings.store.source}, {devices} device(s)"


def _broker(found: Found) -> str:
    url = parse_broker_url(found.value, place=found.source)
    check_broker(url, timeout_s=_WITHIN_S, client_id="ge-doctor")
    return f"{url} answers, from {found.source}"


def _artefacts(found: Found) -> str:
    stored_bytes(found.value, _NO_SHA256)
    return f"{found.value} answers, from {found.source}"


def _try(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, "ok", look())
    except GreenEdgeError as error:
        return _failed(name, error)


def _failed(name: str, error: GreenEdgeError) -> Check:
    return Check(name, "fail", error.message, error.hint, error.exit_code)
