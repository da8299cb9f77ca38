"""`green-edge bench --device`: through a real broker, artefact server and agent."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from green_edge_agent.runtime import interpreter, litert_profiler
from support.bundles import test_signer, tiny_bundle
from support.commands import Up
from support.one_device import device, up_with_device
from support.tiny_models import tiny_int8_dense

pytestmark = pytest.mark.broker


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    with up_with_device(tmp_path) as up:
        yield up


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
