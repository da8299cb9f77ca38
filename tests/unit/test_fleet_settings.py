from dataclasses import replace
from pathlib import Path

import pytest

from green_edge.core.project import BuildSection, FleetSection, Project
from green_edge.fleet.runfile import RunFile
from green_edge.fleet.settings import FleetSettings, Options, load_settings, resolve
from green_edge_wire.errors import ConfigError

STATE = Path("/state")
RUN = RunFile(
    pid=7,
    site="run-site",
    broker="mqtt://run",
    store="run.db",
    artefacts="http://run:1",
    dashboard="http://run:1",
    token="run-token",
)
ENVIRON = {
    "GREEN_EDGE_BROKER": "mqtt://env",
    "GREEN_EDGE_STORE": "env.db",
    "GREEN_EDGE_ARTEFACTS": "http://env",
    "GREEN_EDGE_TOKEN": "env-token",
}
PROJECT = Project(
    Path("/project/green-edge.toml"),
    None,
    BuildSection(),
    FleetSection("file-site", "mqtt://file", "file.db", "http://file"),
)


def values(settings: FleetSettings) -> tuple[str | None, ...]:
    found = (settings.broker, settings.store, settings.artefacts, settings.token)
    return tuple(None if item is None else item.value for item in found)


def test_options_win_over_all_else() -> None:
    options = Options("mqtt://option", "option.db", "http://option")
    settings = resolve(options, ENVIRON, PROJECT, RUN, STATE)
    assert values(settings) == ("mqtt://option", "option.db", "http://option", "env-token")
    assert settings.broker is not None
    assert settings.broker.source == "--broker"


def test_the_environment_wins_over_the_project_file() -> None:
    settings = resolve(Options(), ENVIRON, PROJECT, RUN, STATE)
    assert values(settings) == ("mqtt://env", "env.db", "http://env", "env-token")


def test_the_project_file_wins_over_a_running_up() -> None:
    settings = resolve(Options(), {}, PROJECT, RUN, STATE)
    assert values(settings) == ("mqtt://file", "/project/file.db", "http://file", None)
    assert settings.site.value == "file-site"


def test_a_store_url_of_the_project_file_stays_as_it_is() -> None:
    fleet = replace(PROJECT.fleet, store="sqlite:////x.db")
    settings = resolve(Options(), {}, replace(PROJECT, fleet=fleet), None, STATE)
    assert settings.store.value == "sqlite:////x.db"


def test_a_running_up_is_found_by_itself() -> None:
    settings = resolve(Options(), {}, None, RUN, STATE)
    assert values(settings) == ("mqtt://run", "run.db", "http://run:1", "run-token")
    assert settings.artefact_upload() == ("http://run:1", "run-token")


def test_without_anything_only_store_and_site_have_defaults() -> None:
    settings = resolve(Options(), {}, None, None, STATE)
    assert values(settings) == (None, "/state/green-edge.db", None, None)
    assert (settings.site.value, settings.site.source) == ("home", "default")
    with pytest.raises(ConfigError, match="no artefact server is set; start 'green-edge up'"):
        settings.artefact_server()


def test_the_token_of_a_running_up_is_shown_to_no_other_server() -> None:
    settings = resolve(Options(artefacts="http://elsewhere"), {}, None, RUN, STATE)
    assert settings.token is None
    with pytest.raises(ConfigError, match="GREEN_EDGE_TOKEN"):
        settings.artefact_upload()


def test_a_site_that_is_no_topic_level_is_refused_with_its_place() -> None:
    project = replace(PROJECT, fleet=FleetSection(site="my home"))
    with pytest.raises(ConfigError, match=r"green-edge\.toml: fleet\.site"):
        resolve(Options(), {}, project, None, STATE)


def test_a_password_never_shows_in_a_repr() -> None:
    settings = resolve(Options(broker="mqtt://u:s3cret@h"), {}, None, None, STATE)
    assert "s3cret" not in repr(settings)


def test_settings_are_gathered_from_folder_and_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ENVIRON:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GREEN_EDGE_STATE", str(tmp_path / "state"))
    (tmp_path / "green-edge.toml").write_text('[fleet]\nsite = "lab"\n')
    settings = load_settings(Options(), tmp_path)
    assert settings.site.value == "lab"
    assert settings.state == tmp_path / "state"
    assert settings.run is None
