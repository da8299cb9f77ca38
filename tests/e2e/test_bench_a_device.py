"""`green-edge bench --device`: through a real broker, artefact server and agent."""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from green_edge_agent.runtime import interpreter, litert_profiler
from support.agents import AgentProcess, cleaned_up
from support.brokers import wait_until
from support.bundles import test_signer, tiny_bundle
from support.commands import Up, running_up
from support.tiny_models import tiny_int8_dense

pytestmark = pytest.mark.broker


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    with running_up(tmp_path / "host", "--device", "pi") as up:
        settings = tomllib.loads(up.agent_toml("pi"))
        broker = settings["broker"]
        host = broker["url"].removeprefix("mqtt://")
        url = f"mqtt://{broker['username']}:{broker['password']}@{host}"
        keys = tuple(settings["trust"]["keys"])
        with cleaned_up(AgentProcess(tmp_path / "pi", url, device_id="pi", keys=keys)) as agent:
            agent.start()
            wait_until(lambda: device(up)["online"], within_s=30)
            yield up


def device(up: Up) -> dict[str, Any]:
    listed = json.loads(up.home.run("devices", "--json").stdout)["devices"]
    return next((row for row in listed if row["device_id"] == "pi"), {"online": False})


def test_a_model_is_measured_where_it_would_run(up: Up) -> None:
    path = up.home.folder / "tiny.tflite"
    path.write_bytes(tiny_int8_dense())
    profile = litert_profiler.why_not(interpreter.runtime_name()) is None
    options = ["--profile"] if profile else []
    ran = up.home.run("bench", str(path), "--device", "pi", "--runs", "20", "--json", *options)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert (found["measured_on"], found["device"]["device_id"]) == ("device", "pi")
    assert found["device"]["processor"] == "cpu"
    assert found["latency"]["runs"] == 20
    assert found["machine"]
    if profile:
        assert [layer["op"] for layer in found["profile"]["layers"] if "op" in layer] == [
            "FULLY_CONNECTED"
        ]
    shown = up.home.run("bench", str(path), "--device", "pi", "--runs", "5")
    assert "Measured on device pi" in shown.stdout
    slots = device(up)["slots"]
    assert [slot["state"] for slot in slots] == ["empty", "empty"]
    assert not (up.home.folder.parent / "pi" / "state" / "bench").exists()


def test_a_bundle_of_an_unknown_key_is_not_measured(up: Up) -> None:
    path = up.home.folder / "strange.gedge"
    path.write_bytes(tiny_bundle(1, signer=test_signer(seed=9)))
    ran = up.home.run("bench", str(path), "--device", "pi")
    assert ran.returncode == 6
    assert "unknown key" in ran.stderr


def test_a_device_that_is_not_known_measures_nothing(up: Up) -> None:
    path = up.home.folder / "tiny.tflite"
    path.write_bytes(tiny_int8_dense())
    ran = up.home.run("bench", str(path), "--device", "pii")
    assert ran.returncode == 2
    assert "did you mean 'pi'?" in ran.stderr
