import socket
import stat
from pathlib import Path

import pytest

from green_edge.core.project import load_project
from green_edge.fleet import memory, ports, runfile
from green_edge.fleet.access import OPERATOR, Credential, password_matches
from green_edge.fleet.agentconfig import agent_toml
from green_edge.fleet.credentials import CredentialFiles
from green_edge.fleet.private_files import private_folder, write_private
from green_edge.fleet.projectfile import TEMPLATE
from green_edge_agent import config
from green_edge_wire.errors import ConfigError, TransportError
from support.bundles import test_signer
from support.nobody import without_root

RUN = runfile.RunFile(
    pid=1,
    site="home",
    broker="mqtt://_operator:pw@127.0.0.1:1883",
    store="x.db",
    artefacts="http://127.0.0.1:8080",
    dashboard="http://127.0.0.1:8080",
    token="t",
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_run_file_is_true_only_as_long_as_its_up_lives(tmp_path: Path) -> None:
    assert runfile.read_run(tmp_path) is None
    with runfile.only_one(tmp_path):
        assert runfile.read_run(tmp_path) is None
        runfile.write_run(tmp_path, RUN)
        assert runfile.read_run(tmp_path) == RUN
        assert mode(tmp_path / runfile.FILE_NAME) == 0o600
    assert not (tmp_path / runfile.FILE_NAME).exists()


def test_a_run_file_left_by_a_killed_up_is_not_believed(tmp_path: Path) -> None:
    with runfile.only_one(tmp_path):
        pass
    runfile.write_run(tmp_path, RUN)
    assert runfile.read_run(tmp_path) is None


def test_a_second_up_with_the_same_folder_is_refused(tmp_path: Path) -> None:
    with (
        runfile.only_one(tmp_path),
        pytest.raises(ConfigError, match=r"another 'green-edge up'.*GREEN_EDGE_STATE"),
        runfile.only_one(tmp_path),
    ):
        pass


def test_an_unreadable_run_file_names_its_path(tmp_path: Path) -> None:
    with runfile.only_one(tmp_path):
        (tmp_path / runfile.FILE_NAME).write_text("{")
        with pytest.raises(ConfigError, match=r"up\.json"):
            runfile.read_run(tmp_path)


def test_the_state_folder_follows_the_environment() -> None:
    assert runfile.state_folder({"GREEN_EDGE_STATE": "/a"}) == Path("/a")
    assert runfile.state_folder({"XDG_STATE_HOME": "/b"}) == Path("/b/green-edge")
    assert runfile.state_folder({}) == Path.home() / ".local/state/green-edge"


def test_a_device_keeps_its_password_over_restarts(tmp_path: Path) -> None:
    first = CredentialFiles(tmp_path / "broker")
    password = first.device("pi").password
    second = CredentialFiles(tmp_path / "broker")
    assert second.device("pi").password == password
    assert second.operator == first.operator
    lines = second.password_file.read_text().splitlines()
    assert password_matches(lines, "pi", password)
    assert password_matches(lines, OPERATOR, first.operator.password)


def test_every_file_of_the_broker_is_its_owners_alone(tmp_path: Path) -> None:
    CredentialFiles(tmp_path / "broker").device("pi")
    assert mode(tmp_path / "broker") == 0o700
    assert {mode(path) for path in (tmp_path / "broker").iterdir()} == {0o600}


@pytest.mark.parametrize("name", [OPERATOR, "", "a/b", "a b", "+", "x" * 64])
def test_a_device_cannot_take_a_name_that_is_no_topic_level(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"device: .* cannot be a name"):
        CredentialFiles(tmp_path).device(name)


def test_broken_credentials_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "credentials.json").write_text("[")
    with pytest.raises(ConfigError, match=r"credentials\.json.*delete it to make new"):
        CredentialFiles(tmp_path)
    assert (tmp_path / "credentials.json").read_text() == "["


def test_token_and_port_are_remembered(tmp_path: Path) -> None:
    token = memory.saved_token(tmp_path)
    assert len(token) >= 32
    assert memory.saved_token(tmp_path) == token
    assert memory.saved_port(tmp_path) is None
    memory.save_port(tmp_path, 1884)
    assert memory.saved_port(tmp_path) == 1884
    (tmp_path / "port").write_text("70000")
    assert memory.saved_port(tmp_path) is None


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="token"):
        memory.saved_token(tmp_path)


def test_a_folder_without_write_access_is_refused_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot make the folder.*GREEN_EDGE_STATE"):
        private_folder(tmp_path / "file" / "state")
    with pytest.raises(ConfigError, match="cannot write"):
        write_private(tmp_path / "absent" / "x", "text")


def test_a_folder_of_another_user_is_refused_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o555)
    with (
        without_root(tmp_path, *tmp_path.parents[:2]),
        pytest.raises(ConfigError, match=r"no write access.*GREEN_EDGE_STATE"),
    ):
        private_folder(tmp_path / "locked")


def test_a_taken_port_is_refused_with_the_option_that_helps() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            TransportError, match=f"the broker: 127.0.0.1:{port} is taken.*--broker-port"
        ):
            ports.check_free("127.0.0.1", port, what="the broker", option="--broker-port")


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(ConfigError, match="not an address of this machine"):
        ports.check_free("203.0.113.9", 0, what="the broker", option="--broker-port")
    with pytest.raises(ConfigError, match="is no address"):
        ports.bind("no such host", 0, what="the broker", option="--broker-port")


def test_a_free_port_can_be_bound_again() -> None:
    port = ports.check_free("127.0.0.1", 0, what="the broker", option="--broker-port")
    with ports.bind("127.0.0.1", port, what="the broker", option="--broker-port") as listener:
        assert ports.port_of(listener) == port


def test_the_broker_keeps_its_port_unless_told_otherwise() -> None:
    assert ports.broker_port(1999, 1884, "127.0.0.1") == 1999
    assert ports.broker_port(0, 1884, "127.0.0.1") == 0
    assert ports.broker_port(None, 1884, "127.0.0.1") == 1884
    assert ports.broker_port(None, None, "127.0.0.1") in {0, ports.MQTT_PORT}


def test_hosts_are_told_apart_and_written_as_urls_need_them() -> None:
    assert ports.is_loopback("127.0.0.1")
    assert ports.is_loopback("::1")
    assert ports.is_loopback("localhost")
    assert not ports.is_loopback("0.0.0.0")  # noqa: S104
    assert not ports.is_loopback("workstation.local")
    assert ports.url_host("::1") == "[::1]"
    assert ports.advertised("192.0.2.7") == "192.0.2.7"
    assert ports.advertised("workstation.local") == "workstation.local"
    assert ports.advertised("0.0.0.0") != "0.0.0.0"  # noqa: S104


def test_the_printed_settings_are_those_that_the_agent_reads(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    text = agent_toml(
        site="home",
        device_id="pi",
        broker="mqtt://192.0.2.1:1883",
        credential=Credential("pi", 'a"b\\c'),
        keys=[test_signer().public.text],
        input_kind="npz",
        input_path="x.npz",
    )
    file.write_text(text)
    file.chmod(0o600)
    loaded = config.load(file)
    url = loaded.config.broker_url()
    assert (loaded.warnings, loaded.config.site, loaded.config.device_id) == ((), "home", "pi")
    assert (url.host, url.username, url.password) == ("192.0.2.1", "pi", 'a"b\\c')
    assert loaded.config.input.path == tmp_path / "x.npz"


def test_settings_for_a_broker_of_others_leave_the_login_to_fill_in(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(
        agent_toml(site="s", device_id="d", broker="mqtt://b:1883", credential=None, keys=[])
    )
    assert config.load(file).config.broker.username is None


def test_the_project_file_that_init_writes_can_be_read(tmp_path: Path) -> None:
    file = tmp_path / "green-edge.toml"
    file.write_text(TEMPLATE)
    project = load_project(file)
    assert project.model is not None
    everything = "\n".join(
        line.removeprefix("# ") if " = " in line else line for line in TEMPLATE.splitlines()[3:]
    )
    file.write_text(everything)
    assert load_project(file).fleet.site == "home"
