"""The device's command line: one document with --json, one line for an error, the exit codes."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from green_edge_agent.cli import main
from support.agents import AgentProcess, cleaned_up
from support.bundles import test_signer as signer
from support.sysfs import board_tree

AGENT = [sys.executable, "-m", "green_edge_agent"]


def agent(*arguments: object, feed: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*AGENT, *map(str, arguments)],
        input=feed,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return AgentProcess(tmp_path, "mqtt://127.0.0.1:9", keys=(signer().public.text,)).write_config()


@contextmanager
def sysroot(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("GREEN_EDGE_SYSROOT", str(board_tree(root)))
    yield


def test_meters_tells_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    config: Path,
) -> None:  # fmt: skip
    with sysroot(tmp_path / "root", monkeypatch):
        assert main(["meters", "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
        assert document["board_id"] == "pi4"
        assert document["meters"][0]["in_use"]
        assert "null" not in json.dumps(document)
        assert main(["meters", "--config", str(config)]) == 0
        shown = capsys.readouterr().out
    assert "board: Raspberry Pi 4" in shown
    assert "now: ~" in shown
    assert "not used:" in shown


def test_doctor_tells_what_does_not_work_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    config: Path,
) -> None:  # fmt: skip
    with sysroot(tmp_path / "root", monkeypatch):
        assert main(["doctor"]) == 0
        assert "runtime" in capsys.readouterr().out
        assert main(["doctor", "--json", "--config", str(config)]) == 6
        checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
        assert checks["broker"]["ok"] == "fail"
        assert "cannot be reached" in checks["broker"]["found"]
        assert main(["doctor", "--config", str(config)]) == 6
        assert "-> check" in capsys.readouterr().out


def test_slots_shows_both_places(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["slots", "--config", str(config), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [slot["state"] for slot in document["slots"]] == ["empty", "empty"]
    assert document["device_id"] == "pi-test"
    state = {
        "active": "a",
        "a": {"artefact": {"sha256": "1" * 64, "model": "tiny", "model_version": 3}},
        "quarantine": [{"sha256": "2" * 64, "reason": "self-test"}],
    }
    folder = config.parent / "state"
    folder.mkdir()
    (folder / "install.json").write_text(json.dumps(state), encoding="utf-8")
    assert main(["slots", "--config", str(config)]) == 0
    assert capsys.readouterr().out == (
        "a  active    tiny version 3  111111111111\nb  empty\nquarantine  222222222222  self-test\n"
    )


def test_a_password_that_others_can_read_is_warned_about_on_stderr(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = AgentProcess(tmp_path, "mqtt://me:pw@127.0.0.1:9").write_config()
    path.chmod(0o644)
    assert main(["slots", "--config", str(path)]) == 0
    assert "chmod 600" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("slots", "--config", "/nowhere.toml"), 2, "error: /nowhere.toml: cannot read: No such"),
        (("run", "--config", "/nowhere.toml"), 2, "error: /nowhere.toml"),
    ],
)
def test_an_error_is_one_line_and_its_exit_code(
    arguments: tuple[str, ...], code: int, said: str
) -> None:
    result = agent(*arguments)
    assert (result.returncode, result.stdout) == (code, "")
    assert result.stderr.startswith(said)
    assert result.stderr.count("\n") == 1
    verbose = agent("-v", *arguments)
    assert "Traceback" in verbose.stderr


def test_usage_errors_exit_with_2_and_help_names_an_example() -> None:
    assert agent("nonsense").returncode == 2
    assert agent().returncode == 2
    for command in ((), ("run",), ("doctor",), ("meters",), ("slots",)):
        shown = agent(*command, "--help")
        assert shown.returncode == 0
        assert "example: green-edge-agent" in shown.stdout


def test_help_and_a_bad_configuration_need_no_numpy(tmp_path: Path) -> None:
    code = (
        "import sys; from green_edge_agent.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "assert 'numpy' not in sys.modules and 'cryptography' not in sys.modules\n"
        "assert not any(name.startswith('green_edge.') for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=tmp_path)


def test_lines_of_standard_input_are_answered_and_their_end_ends_the_service(
    tmp_path: Path,
) -> None:
    device = AgentProcess(tmp_path, "mqtt://127.0.0.1:9", input='kind = "stdin"')
    result = agent(
        "run", "--config", device.write_config(), feed='{"id":"a","inputs":[[1,2,3,4]]}\n{\n'
    )
    assert result.returncode == 0, result.stderr
    answers = {answer["id"]: answer for answer in map(json.loads, result.stdout.splitlines())}
    assert "no model is active yet" in answers["a"]["error"]
    assert "not a request" in answers[""]["error"]


def test_a_second_agent_on_the_same_state_folder_is_refused(tmp_path: Path) -> None:
    with cleaned_up(AgentProcess(tmp_path, "mqtt://127.0.0.1:9")) as first:
        first.start()
        while not (first.state_dir / "spool.db").exists():
            assert first.process is not None
            assert first.process.poll() is None, first.log
        second = agent("run", "--config", first.config)
        assert second.returncode == 2
        assert "another agent works in" in second.stderr
        assert first.end() == 0


def test_a_state_folder_without_write_access_is_told(tmp_path: Path) -> None:
    device = AgentProcess(tmp_path, "mqtt://127.0.0.1:9")
    text = device.write_config().read_text(encoding="utf-8")
    # Nobody can make a folder there, root neither.
    device.config.write_text(text.replace(str(device.state_dir), "/sys/green-edge"), "utf-8")
    result = agent("run", "--config", device.config)
    assert result.returncode == 2
    assert "state_dir: cannot write in /sys/green-edge" in result.stderr
    assert "give it to the agent's user" in result.stderr


def test_a_device_without_a_runtime_reports_and_says_what_it_lacks(tmp_path: Path) -> None:
    device = AgentProcess(tmp_path, "mqtt://127.0.0.1:9", input='kind = "stdin"')
    code = (
        "import sys\n"
        "sys.modules['ai_edge_litert'] = sys.modules['tflite_runtime'] = None\n"
        "from green_edge_agent.cli import entry\nentry()"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, "run", "--config", str(device.write_config())],
        input='{"id":"a","inputs":[[1]]}\n',
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "runtime" in result.stderr
    assert "pip install 'green-edge[device]'" in result.stderr
    assert json.loads(result.stdout)["error"].startswith("no model is active yet")
