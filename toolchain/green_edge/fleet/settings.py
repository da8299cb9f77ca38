"""Where broker, store and artefact server come from.

For each of them the first that says something wins: the command's option, the environment
(`GREEN_EDGE_BROKER`, `_STORE`, `_ARTEFACTS`, `_TOKEN`), green-edge.toml, the run file of a live
`green-edge up`, and for the store alone a default.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from green_edge.core.project import FILE_NAME, FleetSection, Project, find_project
from green_edge.fleet.runfile import RunFile, read_run, state_folder
from green_edge_wire.errors import ConfigError
from green_edge_wire.topics import check_name

DEFAULT_SITE = "home"
_RUNNING = "the running 'green-edge up'"
_STORE_NAME = "green-edge.db"
_HINT = "start 'green-edge up', or give {option}, {variable} or fleet.{key} in green-edge.toml"


@dataclass(frozen=True, slots=True)
class Found:
    """A setting and where it was found; the value may hold a password and stays out of a repr."""

    value: str = field(repr=False)
    source: str


@dataclass(frozen=True, slots=True)
class FleetSettings:
    """What the fleet commands work with; None where nothing says.

    Attributes:
        state: folder of `up`'s own files.
        site: first level of the devices' topics.
        broker: URL, perhaps with credentials.
        store: URL or path.
        artefacts: base URL of the artefact server.
        token: lets upload there.
        run: the live `up`, if there is one.
    """

    state: Path
    site: Found
    broker: Found | None
    store: Found
    artefacts: Found | None
    token: Found | None
    run: RunFile | None = None

    def broker_url(self) -> str:
        """URL of the broker, perhaps with credentials.

        Raises:
            ConfigError: nothing says where it is.
        """
        if self.broker is None:
            raise _missing("broker", "broker")
        return self.broker.value

    def artefact_server(self) -> str:
        """Base URL of the artefact server.

        Raises:
            ConfigError: nothing says where it is.
        """
        if self.artefacts is None:
            raise _missing("artefact server", "artefacts")
        return self.artefacts.value

    def artefact_upload(self) -> tuple[str, str]:
        """Base URL and token of the artefact server.

        Raises:
            ConfigError: one of them is not set.
        """
        server = self.artefact_server()
        if self.token is None:
            raise ConfigError(
                "no token for the artefact server",
                hint="start 'green-edge up', or set GREEN_EDGE_TOKEN to the server's token",
            )
        return server, self.token.value


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says; None where it says nothing."""

    broker: str | None = None
    store: str | None = None
    artefacts: str | None = None


def load_settings(options: Options, folder: Path | None = None) -> FleetSettings:
    """Gather the settings of this process: its environment, its folder, the live `up`.

    Raises:
        ConfigError: the project file or the run file holds a mistake.
    """
    state = state_folder(os.environ)
    project = find_project(Path.cwd() if folder is None else folder)
    return resolve(options, os.environ, project, read_run(state), state)


def resolve(
    options: Options,
    environ: Mapping[str, str],
    project: Project | None,
    run: RunFile | None,
    state: Path,
) -> FleetSettings:
    """Decide each setting from the places that may name it.

    Raises:
        ConfigError: the site cannot be a name.
    """
    fleet = FleetSection() if project is None else project.fleet
    broker = _first(
        ("--broker", options.broker),
        ("GREEN_EDGE_BROKER", environ.get("GREEN_EDGE_BROKER")),
        (FILE_NAME, fleet.broker),
        (_RUNNING, None if run is None else run.broker),
    )
    store = _first(
        ("--store", options.store),
        ("GREEN_EDGE_STORE", environ.get("GREEN_EDGE_STORE")),
        (FILE_NAME, _project_store(project)),
        (_RUNNING, None if run is None else run.store),
        ("default", str(state / _STORE_NAME)),
    )
    artefacts = _first(
        ("--artefacts", options.artefacts),
        ("GREEN_EDGE_ARTEFACTS", environ.get("GREEN_EDGE_ARTEFACTS")),
        (FILE_NAME, fleet.artefacts),
        (_RUNNING, None if run is None else run.artefacts),
    )
    token = _first(
        ("GREEN_EDGE_TOKEN", environ.get("GREEN_EDGE_TOKEN")),
        (_RUNNING, _run_token(run, artefacts)),
    )
    site = _first(
        (FILE_NAME, fleet.site),
        (_RUNNING, None if run is None else run.site),
        ("default", DEFAULT_SITE),
    )
    if store is None or site is None:
        raise AssertionError("a setting with a default was not found")
    check_name(site.value, place=f"{site.source}: fleet.site")
    return FleetSettings(state, site, broker, store, artefacts, token, run)


def _first(*places: tuple[str, str | None]) -> Found | None:
    return next((Found(value, source) for source, value in places if value), None)


def _project_store(project: Project | None) -> str | None:
    if project is None or project.fleet.store is None:
        return None
    store = project.fleet.store
    return store if "://" in store else str(project.path(store))


def _run_token(run: RunFile | None, artefacts: Found | None) -> str | None:
    # The token opens the server of that `up` only, and must not be shown to another one.
    if run is None or artefacts is None or artefacts.value.rstrip("/") != run.artefacts:
        return None
    return run.token


def _missing(what: str, key: str) -> ConfigError:
    hint = _HINT.format(option=f"--{key}", variable=f"GREEN_EDGE_{key.upper()}", key=key)
    return ConfigError(f"no {what} is set", hint=hint)
