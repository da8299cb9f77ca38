"""The command `bench` to the agent with all its parts: figures come back, and nothing stays."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from green_edge_agent.config import InputConfig
from green_edge_wire import codec
from green_edge_wire.bench import FLAG_UPDATE, RESULT_FACT, BenchOrder, BenchResult, Trial
from green_edge_wire.command import Command
from green_edge_wire.telemetry import FLAG_BENCH, Event
from support.agents import children_of
from support.artefacts import ArtefactServer
from support.broken_child import ENDS, HANGS, break_children
from support.bundles import test_signer as signer
from support.bundles import tiny_bundle
from support.memory_device import MemoryDevice, Running
from support.sysfs import write
from support.tiny_models import tiny_int8_dense

FAR_UNIX_MS = 9_000_000_000_000
SHORT = Trial(runs=5, warm_up=0)


@pytest.fixture
def server() -> Iterator[ArtefactServer]:
    with ArtefactServer().running() as running:
        yield running


@pytest.fixture
def device(tmp_path: Path, server: ArtefactServer) -> MemoryDevice:
    return MemoryDevice(tmp_path, server)


def ask(
    device: MemoryDevice, content: bytes, *, length: int | None = None, sha256: str = ""
) -> Command:
    """Serve a file and tell the device to measure it."""
    digest = sha256 or hashlib.sha256(content).hexdigest()
    url = device.server.add(digest, content)
    order = BenchOrder(digest, len(content) if length is None else length, (url,), SHORT)
    device.counter += 1
    command = Command(f"c-{device.counter}", "bench", FAR_UNIX_MS, codec.dumps(order))
    device.command(command, device.counter)
    return command


def answer(running: Running, command: Command) -> Event:
    """Drive the agent until it answers a command."""
    found: list[Event] = []

    def answered() -> bool:
        running.device.clock.advance_s(0.01)
        events = running.device.events("command")
        found.extend(event for event in events if event.facts.get("id") == command.id)
        return bool(found)

    running.until(answered)
    return found[0]


def result(event: Event) -> BenchResult:
    return codec.loads(BenchResult, str(event.facts[RESULT_FACT]), strict=True)


def test_a_bare_model_is_measured_and_nothing_of_it_stays(device: MemoryDevice) -> None:
    model = tiny_int8_dense()
    with device.run() as running:
        before = device.info().slots
        write(device.folder / "root/sys/class/thermal/thermal_zone0/temp", 61_500)
        throttled = "root/sys/devices/platform/soc/soc:firmware/get_throttled"
        write(device.folder / throttled, "50005")
        found = result(answer(running, ask(device, model)))
        assert found.model_sha256 == hashlib.sha256(model).hexdigest()
        assert found.measured.latency.runs == SHORT.runs
        assert found.board.startswith("Raspberry Pi 4")
        assert (found.processor, found.temperature_c) == ("cpu", 61.5)
        assert found.flags == ("under-voltage", "throttled")
        assert device.info().slots == before
        assert not (device.config.state_dir / "bench").exists()
        assert not list((device.config.state_dir / "staging").iterdir())


def test_the_model_in_a_bundle_is_measured_if_its_signature_is_trusted(
    device: MemoryDevice,
) -> None:
    with device.run() as running:
        found = result(answer(running, ask(device, tiny_bundle(1))))
        assert found.model_sha256 == hashlib.sha256(tiny_int8_dense(seed=1)).hexdigest()
        refused = answer(running, ask(device, tiny_bundle(1, signer=signer(seed=9))))
        assert "manifest.sig: unknown key" in refused.message
        assert RESULT_FACT not in refused.facts


def test_inference_stands_still_meanwhile_and_its_windows_are_flagged(
    device: MemoryDevice,
) -> None:
    x = np.zeros((1, 4), np.float32)
    np.savez(device.folder / "x.npz", x=x)
    device.input = InputConfig(kind="npz", path=device.folder / "x.npz", rate_hz=50.0)
    with device.run() as running:
        device.order(tiny_bundle(1))
        running.settle()
        result(answer(running, ask(device, tiny_int8_dense())))
        windows = running.agent._parts.windows
        running.step(5.0)
        samples = list({s.seq: s for s in device.samples() if s.model}.values())
        flagged = [s for s in samples if FLAG_BENCH in s.energy[0].flags]
        assert flagged
        assert flagged[-1].window_ns > 0
        for sample in flagged:
            assert sample.latency.count == 0
            assert not sample.energy[0].valid
        after = samples[samples.index(flagged[-1]) + 1 :]
        assert all(FLAG_BENCH not in sample.energy[0].flags for sample in after)
        served = windows.peek().cumulative_inferences
        running.until(lambda: windows.peek().cumulative_inferences > served)


def test_a_file_that_is_not_the_ordered_one_is_not_run(device: MemoryDevice) -> None:
    with device.run() as running:
        said = answer(running, ask(device, tiny_int8_dense(), sha256="0" * 64))
        assert "gave a file of another digest" in said.message


def test_a_file_that_finds_no_room_is_not_fetched(device: MemoryDevice) -> None:
    with device.run() as running:
        asked = len(device.server.ranges)
        said = answer(running, ask(device, tiny_int8_dense(), length=1 << 60))
        assert "disk full" in said.message
        assert len(device.server.ranges) == asked


def test_a_model_that_crashes_the_runtime_leaves_the_agent_alive(
    device: MemoryDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with device.run() as running:
        break_children(tmp_path / "broken", ENDS, monkeypatch)
        said = answer(running, ask(device, tiny_int8_dense()))
        assert "the model ended the process that ran it, by SIGABRT" in said.message
        monkeypatch.undo()
        assert result(answer(running, ask(device, tiny_int8_dense()))).measured.latency.runs == 5


def test_one_model_is_measured_at_a_time(device: MemoryDevice) -> None:
    with device.run() as running:
        first, second = ask(device, tiny_int8_dense()), ask(device, tiny_int8_dense())
        assert "measures already; try again later" in answer(running, second).message
        assert result(answer(running, first)).measured.latency.runs == 5


def test_an_order_that_cannot_be_read_is_answered(device: MemoryDevice) -> None:
    with device.run() as running:
        command = Command("c-1", "bench", FAR_UNIX_MS, '{"artifact_sha256": "../../etc"}')
        device.command(command, 1)
        assert "bench: " in answer(running, command).message


def test_figures_that_an_update_disturbed_are_flagged(device: MemoryDevice) -> None:
    with device.run() as running:
        command = ask(device, tiny_int8_dense())
        running.until(lambda: bool(children_of(os.getpid())))
        device.order(tiny_bundle(1))
        assert result(answer(running, command)).flags == (FLAG_UPDATE,)
        running.settle()
        assert result(answer(running, ask(device, tiny_int8_dense()))).flags == ()


def test_an_order_of_another_schema_is_refused(device: MemoryDevice) -> None:
    with device.run() as running:
        argument = {"artifact_sha256": "0" * 64, "length_bytes": 1, "urls": [], "trial": {}}
        text = json.dumps(argument | {"schema": 2})
        device.command(Command("c-1", "bench", FAR_UNIX_MS, text), 1)
        said = answer(running, Command("c-1", "bench", FAR_UNIX_MS)).message
        assert "schema 2, this agent reads 1" in said


def test_an_agent_that_stops_ends_the_measurement_and_says_so(
    device: MemoryDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with device.run() as running:
        break_children(tmp_path / "broken", HANGS, monkeypatch)
        command = ask(device, tiny_int8_dense())
        running.until(lambda: bool(children_of(os.getpid())))
    assert children_of(os.getpid()) == []
    assert not (device.config.state_dir / "bench").exists()
    (said,) = [e for e in device.events("command") if e.facts.get("id") == command.id]
    assert said.message == "bench: the agent stops; try again later"


def test_what_a_killed_start_left_behind_is_removed(device: MemoryDevice) -> None:
    left = device.config.state_dir / "bench" / ("0" * 64)
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half a model")
    with device.run():
        assert not left.exists()


def test_a_verb_that_an_agent_does_not_know_is_refused_as_unreadable(device: MemoryDevice) -> None:
    with device.run() as running:
        device.command(Command("c-1", "dance", FAR_UNIX_MS), 1)  # type: ignore[arg-type]
        running.step()
        (said,) = device.events("refused")
        assert "unreadable command" in said.message
        assert said.facts["counter"] == 1
