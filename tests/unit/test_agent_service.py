"""The agent with all its parts and a broker in memory: orders, reports, requests, offline time."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from green_edge_agent.config import EnergyConfig, TelemetryConfig
from green_edge_wire import codec
from green_edge_wire.command import Command
from green_edge_wire.device import InferRequest
from green_edge_wire.telemetry import Ack
from green_edge_wire.topics import Down, Up
from support.artefacts import ArtefactServer
from support.bundles import test_signer as signer
from support.bundles import tiny_bundle
from support.memory_device import MemoryDevice, with_input

FAR_UNIX_MS = 9_000_000_000_000


@pytest.fixture
def server() -> Iterator[ArtefactServer]:
    with ArtefactServer().running() as running:
        yield running


@pytest.fixture
def device(tmp_path: Path, server: ArtefactServer) -> MemoryDevice:
    return MemoryDevice(tmp_path, server)


# --- presence ------------------------------------------------------------------------------------


def test_a_start_says_who_is_there_and_a_stop_says_goodbye(device: MemoryDevice) -> None:
    with device.run() as running:
        assert device.status().online
        info = device.info()
        assert (info.device_id, info.board) == ("pi", "Raspberry Pi 4 Model B Rev 1.2")
        assert info.keys == (signer().key_id,)
        assert info.meters[0].name.startswith("model:")
        assert [event.kind for event in device.events("boot")] == ["boot"]
        assert running.transport.will is not None
        running.step(5.0)
    assert not device.status().online
    assert len(device.samples()) == 2
    with device.run():
        assert device.events("unclean-end") == []


def test_an_unclean_end_is_told_with_its_bound_at_the_next_start(device: MemoryDevice) -> None:
    with device.run(clean=False) as running:
        running.step(1.0)
        running.step(1.5)
    with device.run():
        (end,) = device.events("unclean-end")
        assert end.facts["bound_ms"] == 1500
        cut = [s for s in device.samples() if s.cut]
        assert [s.window_ns for s in cut] == [2_500_000_000]
        assert cut[0].seq == end.facts["last_seq"]


def test_a_damaged_spool_is_replaced_and_an_event_says_so(device: MemoryDevice) -> None:
    device.config.state_dir.mkdir()
    (device.config.state_dir / "spool.db").write_bytes(b"what a failing memory card leaves" * 99)
    with device.run() as running:
        running.step(5.0)
        (event,) = device.events("error")
        assert event.facts == {"file": "spool.damaged-1.db"}
        assert "the spool was damaged" in event.message
        assert len(device.samples()) == 1
    assert (device.config.state_dir / "spool.damaged-1.db").exists()


def test_a_start_that_is_killed_in_its_first_period_leaves_a_cut_window(
    device: MemoryDevice,
) -> None:
    with device.run(clean=False) as running:
        running.step(0.3)
    with device.run():
        (cut,) = (s for s in device.samples() if s.cut)
        (end,) = device.events("unclean-end")
        assert (cut.boot_id, cut.seq) == (end.facts["boot_id"], end.facts["last_seq"])
        assert (cut.window_ns, cut.energy[0].energy_uj) == (0, 0)


def test_energy_and_windows_tile_the_time(device: MemoryDevice) -> None:
    with device.run() as running:
        for _ in range(20):
            running.step(0.7)
    samples = [once for _, once in sorted({s.seq: s for s in device.samples()}.items())]
    assert sum(s.window_ns for s in samples) == 14_000_000_000
    for one, two in pairwise(samples):
        assert one.window_start_mono_ns + one.window_ns == two.window_start_mono_ns
    readings = [reading for s in samples for reading in s.energy]
    assert readings[-1].cumulative_uj == sum(r.energy_uj for r in readings if r.valid) > 0
    assert all(r.idle_uj is not None for r in readings)


def test_a_device_without_a_meter_works_and_says_so(device: MemoryDevice) -> None:
    device.energy = EnergyConfig(prefer=("hwmon",))
    with device.run() as running:
        running.step(5.0)
        assert device.samples()[0].energy == ()
        assert "no power source" in device.events("meter")[0].message
        (refused,) = device.info().meters
        assert refused.refusal


def test_a_clock_that_is_set_back_is_told_and_durations_stay_right(device: MemoryDevice) -> None:
    with device.run() as running:
        running.step(2.0)
        device.clock.set_unix_ms(device.clock.unix_ms() - 3_600_000)
        running.step(3.0)
        (event,) = device.events("clock")
        assert event.facts["step_ms"] == -3_600_000
        assert "back" in event.message
        assert [s.window_ns for s in device.samples()] == [5_000_000_000]


# --- commands and acknowledgements ---------------------------------------------------------------


def test_commands_are_obeyed_once_and_not_after_their_time(device: MemoryDevice) -> None:
    with device.run() as running:
        infos = len(device.broker.payloads(device.topic(Up.INFO)))
        device.command(Command("c1", "refresh", FAR_UNIX_MS), 1)
        device.command(Command("c1", "refresh", FAR_UNIX_MS), 1)
        running.step()
        assert len(device.broker.payloads(device.topic(Up.INFO))) == infos + 1
        device.command(Command("c2", "refresh", 1), 2)
        running.step()
        assert "expired" in device.events("refused")[0].message
        assert len(device.events("command")) == 1


def test_records_wait_for_the_hosts_word_and_are_sent_again_without_it(
    device: MemoryDevice,
) -> None:
    with device.run() as running:
        running.step(5.0)
        said = len(device.samples())
        assert said == 1
        running.step(1.0)
        assert len(device.samples()) == said
        running.step(10.0)
        assert len(device.samples()) > said
        running.ack()
        assert running.agent._parts.spool.pending == 0


def test_what_happens_offline_is_told_after_the_reconnection(device: MemoryDevice) -> None:
    with device.run() as running:
        device.broker.go_down()
        for _ in range(30):
            running.step(5.0)
        assert device.samples() == []
        device.broker.come_up()
        running.step()
        assert len(device.samples()) >= 30
        assert device.status().online


def test_an_acknowledgement_of_an_unknown_boot_tells_of_a_second_agent_once(
    device: MemoryDevice,
) -> None:
    with device.run() as running:
        for _ in range(3):
            device.send(Down.ACK, codec.pack_one(Ack("another-boot", 7)))
        device.send(Down.ACK, b"?")
        running.step()
        (event,) = device.events("error")
        assert event.message == "another agent uses this device id"


def test_a_full_spool_is_told_when_it_begins_and_when_it_ends(device: MemoryDevice) -> None:
    device.telemetry = TelemetryConfig(spool_max_bytes=65_536)
    with device.run() as running:
        device.broker.go_down()
        for _ in range(200):
            running.step(5.0)
        device.broker.come_up()
        running.step()
        running.ack()
        running.step()
        messages = [event.message for event in device.events("spool")]
        assert any("has room again" in message for message in messages)
        assert device.samples()[0].first_kept_seq > 1
        assert device.samples()[-1].seq > 200


# --- inference -----------------------------------------------------------------------------------


def test_a_request_over_mqtt_is_answered(device: MemoryDevice) -> None:
    with_input(device, kind="mqtt")
    with device.run() as running:
        ask = codec.pack_one(InferRequest("q1", ((0.1, 0.2, 0.3, 0.4),)))
        device.send(Down.INFER, ask)
        running.until(lambda: len(device.results()) == 1)
        assert "no model is active yet" in (device.results()[0].error or "")
        device.order(tiny_bundle(1))
        running.settle()
        device.send(Down.INFER, ask)
        device.send(Down.INFER, codec.pack_one(InferRequest("q2", ((0.1,),))))
        device.send(Down.INFER, b"nonsense")
        running.until(lambda: len(device.results()) == 4)
        by_id = {result.id: result for result in device.results()[1:]}
        assert by_id["q1"].error is None
        assert len(by_id["q1"].labels) == len(by_id["q1"].scores) == 2
        assert sum(by_id["q1"].outputs[0]) == pytest.approx(1.0, abs=1e-5)
        assert "takes shape (4,), got (1,)" in (by_id["q2"].error or "")
        assert "not a request" in (by_id[""].error or "")
        running.step(5.0)
        sample = device.samples()[-1]
        assert (sample.latency.count, sample.errors) == (1, 1)


def test_a_file_is_replayed_and_counted_for_the_model_that_ran(device: MemoryDevice) -> None:
    data = device.folder / "x.npz"
    np.savez(data, x=np.zeros((3, 4), dtype=np.float32))
    with_input(device, kind="npz", path=data, rate_hz=0.0, repeat=False)
    with device.run() as running:
        device.order(tiny_bundle(1))
        running.settle()
        windows = running.agent._parts.windows
        running.until(lambda: windows.peek().latency.count == 3)
        running.step(5.0)
        assert device.samples()[-1].cumulative_inferences == 3
        device.order(tiny_bundle(2), 2)
        running.settle()
        running.step(5.0)
        assert device.samples()[-1].cumulative_inferences == 0
        assert device.samples()[-1].model_version == 2
