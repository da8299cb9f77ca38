"""Every help text ends with an example; here each of them is run as it is printed."""

import json
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest

from green_edge.bundle.keys import load_signer
from green_edge.cli import COMMANDS, main
from green_edge.telemetry.opening import open_store
from support.brokers import wait_until
from support.bundles import tiny_bundle
from support.commands import Home, Up, running_up

pytestmark = [pytest.mark.broker, pytest.mark.tf, pytest.mark.timeout(600)]

DEVICE = "pi-kitchen"
# No example fetches anything: an estimate then predicts what it cannot count.
OFFLINE = {"GREEN_EDGE_DEBIAN_MIRROR": "http://127.0.0.1:9", "no_proxy": "127.0.0.1"}
SERVERS = {"up": "Ctrl-C ends it", "dashboard": "Ctrl-C ends it"}


def commands() -> Iterator[tuple[str, click.Command]]:
    """All commands and sub-commands of the workstation, in the table's order."""
    context = click.Context(main)
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command is not None
        yield name, command
        for inner, sub in getattr(command, "commands", {}).items():
            yield f"{name} {inner}", sub


def example_of(command: click.Command) -> list[str]:
    prefix, _, rest = str(command.epilog).partition("Example: green-edge ")
    assert prefix == "", command.epilog
    return shlex.split(rest)


EXAMPLES = {name: example_of(command) for name, command in commands() if command.epilog}
# A group shows one of its commands' examples.
EXAMPLES.pop("keys", None)


@dataclass(frozen=True, slots=True)
class Desk:
    """A user's folder after the demo, and a device that runs beside it."""

    home: Home
    demo: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Run the demo's own example, and lay out the files that the other examples name."""
    home = Home(tmp_path_factory.mktemp("desk"))
    assert home.run("keys", "new").returncode == 0
    demo = home.run(*EXAMPLES["demo"], "--json")
    made, folder = home.folder / "demo-out", home.folder
    if demo.returncode == 0:
        shutil.copy(made / "digits" / "digits.keras", folder / "model.keras")
        for name in ("train.npz", "test.npz"):
            shutil.copy(made / "digits" / "train.npz", folder / name)
        shutil.copy(made / "build" / "digits.host.tflite", folder / "model.tflite")
        bundle = tiny_bundle(2, name="digits", signer=load_signer(None, home.keys))
        (folder / "digits.host.gedge").write_bytes(bundle)
        (folder / "build").mkdir()
        (folder / "build" / "digits.pi4.gedge").write_bytes(bundle)
    return Desk(home, demo)


@pytest.fixture(scope="module")
def fleet(desk: Desk) -> Iterator[Up]:
    """`up` with one agent that already runs version 1 of the model."""
    with running_up(desk.home.folder, "--device", DEVICE) as up:
        folder = desk.home.folder / "device"
        folder.mkdir()
        config = folder / "agent.toml"
        text = up.agent_toml(DEVICE).replace("/var/lib/green-edge", str(folder / "state"))
        config.write_text(text)
        config.chmod(0o600)
        agent = [sys.executable, "-m", "green_edge_agent", "run", "--config", str(config)]
        with subprocess.Popen(
            agent,
            env=desk.home.environ(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                old = desk.home.folder / "old.gedge"
                signer = load_signer(None, desk.home.keys)
                old.write_bytes(tiny_bundle(1, name="digits", signer=signer))
                wait_until(lambda: bool(devices(desk.home)), within_s=30)
                pushed = desk.home.run("push", str(old), "--device", DEVICE, "--timeout", "60")
                assert pushed.returncode == 0, pushed.stderr
                yield up
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(30)


def devices(home: Home) -> list[dict[str, Any]]:
    listed = json.loads(home.run("devices", "--json").stdout)["devices"]
    return [device for device in listed if device["online"]]


def test_every_command_has_an_example() -> None:
    without = [name for name, command in commands() if not command.epilog]
    assert without == []


def test_the_demo_runs_the_whole_loop_on_real_data(desk: Desk) -> None:
    assert desk.demo.returncode == 0, desk.demo.stderr
    document = json.loads(desk.demo.stdout)
    quality = document["build"]["chosen"]["quality"]
    assert quality["n"] == 1797
    assert quality["low"] < quality["value"] < quality["high"]
    assert quality["value"] >= 0.97
    assert document["build"]["guard"]["verdict"] == "pass"
    (pushed,) = document["push"]["devices"]
    assert pushed["state"] == "done"
    rows = [row for row in document["energy"]["rows"] if row["model"] == "digits"]
    assert rows
    assert rows[0]["inferences"] > 0
    assert rows[0]["energy_uj_per_inference"] > 0
    assert rows[0]["kind"] in {"counter", "mean", "point", "modelled"}
    for page in (document["build_html"], document["energy_html"]):
        assert "<html" in (desk.home.folder / page).read_text()


def test_the_demo_leaves_no_process_behind(desk: Desk) -> None:
    found = subprocess.run(
        ["pgrep", "-f", str(desk.home.folder / "demo-out")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.stdout == ""


ALONE = ["init", "build", "inspect", "check", "compare", "bench", "estimate", "keys new",
         "keys list", "keys export", "verify", "doctor"]  # fmt: skip
WITH_FLEET = ["push", "devices", "tell", "watch", "report", "rollback"]


def test_every_example_is_run_here() -> None:
    assert sorted([*ALONE, *WITH_FLEET, *SERVERS, "demo"]) == sorted(EXAMPLES)


@pytest.mark.parametrize("name", ALONE)
def test_an_example_runs(name: str, desk: Desk) -> None:
    assert desk.demo.returncode == 0, desk.demo.stderr
    ran = desk.home.run(*EXAMPLES[name], **OFFLINE)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout + ran.stderr


@pytest.mark.parametrize("name", WITH_FLEET)
def test_an_example_runs_on_a_fleet(name: str, desk: Desk, fleet: Up) -> None:
    del fleet
    ran = desk.home.run(*EXAMPLES[name])
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout


@pytest.mark.parametrize("name", SERVERS)
def test_an_example_serves_until_it_is_ended(name: str, desk: Desk, tmp_path: Path) -> None:
    home = Home(tmp_path)
    shutil.copytree(desk.home.keys, home.keys)
    home.state.mkdir()
    open_store(str(home.state / "green-edge.db")).close()
    talk = tmp_path / "talk"
    with home.start(*EXAMPLES[name], talk=talk) as server:
        deadline = time.monotonic() + 30
        while SERVERS[name] not in talk.read_text() and time.monotonic() < deadline:
            assert server.poll() is None, talk.read_text()
            time.sleep(0.05)
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0, talk.read_text()
