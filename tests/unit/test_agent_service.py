"""The agent with all its parts and a broker in memory: orders, reports, requests, offline time."""

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from green_edge.bundle.pack import pack
from green_edge_agent.config import EnergyConfig, TelemetryConfig
from green_edge_wire import codec
from green_edge_wire.command import Command
from green_edge_wire.device import InferRequest
from green_edge_wire.telemetry import Ack
from green_edge_wire.topics import Down, Up
from support.artefacts import ArtefactServer
from support.bundles import test_signer as signer
from support.bundles import tiny_bundle, tiny_contents
from support.memory_device import MemoryDevice, with_input

FAR_UNIX_MS = 9_000_000_000_000


@pytest.fixture
def server() -> Iterator[ArtefactServer]:
    with ArtefactServer().running() as running:
        yield running


@pytest.fixture
def device(tmp_path: Path, server: ArtefactServer) -> MemoryDevice:
    return MemoryDevice(tmp_path, server)


def wrong_golden(version: int) -> bytes:
    contents = tiny_contents(version)
    shifted = tuple((array ^ 0x40).astype(array.dtype) for array in contents.golden_outputs)
    return pack(replace(contents, golden_outputs=shifted), signer())


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


# --- orders --------------------------------------------------------------------------------------


def test_an_order_goes_through_its_states_to_active(device: MemoryDevice) -> None:
    with device.run() as running:
        desired = device.order(tiny_bundle(1))
        last = running.settle()
        states = [report.state for report in device.reports() if report.rollout_id == "rollout-1"]
        assert states == ["fetching", "verifying", "testing", "active"]
        assert last.active_sha256 == last.desired_sha256 == desired.artifact_sha256
        assert last.counter == 1
        assert [slot.state for slot in device.info().slots] == ["active", "empty"]
        running.step(5.0)
        assert device.events("install")[0].facts["model_version"] == 1
        assert device.samples()[-1].artifact_sha256 == desired.artifact_sha256
    with device.run():
        assert device.reports()[-1].state == "active"
        assert device.reports()[-1].rollout_id == "rollout-1"


def test_the_retained_order_of_a_reconnection_changes_nothing(device: MemoryDevice) -> None:
    with device.run() as running:
        device.order(tiny_bundle(1))
        running.settle()
        asked = len(device.server.ranges)
        device.broker.go_down()
        device.broker.come_up()
        running.step(1.0)
        assert running.settle().state == "active"
        assert len(device.server.ranges) == asked
        assert len(device.events("install")) == 1


def test_an_order_of_a_key_that_is_not_trusted_is_refused(device: MemoryDevice) -> None:
    with device.run() as running:
        device.order(tiny_bundle(1), by=signer(seed=9))
        running.step()
        last = device.reports()[-1]
        assert (last.state, last.rollout_id) == ("refused", "rollout-1")
        assert "unknown key" in last.reason
        assert device.server.ranges == []


def test_a_bundle_of_a_key_that_is_not_trusted_is_refused(device: MemoryDevice) -> None:
    with device.run() as running:
        device.order(tiny_bundle(1, signer=signer(seed=9)))
        last = running.settle()
        assert last.state == "refused"
        assert "manifest.sig: unknown key" in last.reason


def test_a_replayed_order_is_refused_with_its_counter(device: MemoryDevice) -> None:
    with device.run() as running:
        device.order(tiny_bundle(1))
        running.settle()
        device.order(tiny_bundle(2), 2, counter=1)
        running.step()
        assert device.reports()[-1].state == "refused"
        assert "counter 1 is not above 1" in device.reports()[-1].reason
        assert device.events("refused")


def test_an_older_version_is_refused_unless_the_order_allows_it(device: MemoryDevice) -> None:
    with device.run() as running:
        device.order(tiny_bundle(2), 2)
        running.settle()
        device.order(tiny_bundle(1), 1)
        assert "downgrade" in running.settle().reason
        device.order(tiny_bundle(1), 1, downgrade=True)
        assert running.settle().state == "active"
        device.server.files.clear()
        asked = len(device.server.ranges)
        device.order(tiny_bundle(2), 2, urls=())
        assert running.settle().state == "active"
        assert len(device.server.ranges) == asked


def test_a_truncated_bundle_is_refused_and_quarantined_until_released(
    device: MemoryDevice,
) -> None:
    with device.run() as running:
        device.order(tiny_bundle(1))
        running.settle()
        bad = device.order(tiny_bundle(2)[:-10], 2)
        last = running.settle()
        assert (last.state, last.reason) == ("refused", "archive: not a bundle, or cut short")
        assert [slot.state for slot in last.slots] == ["active", "empty"]
        asked = len(device.server.ranges)
        device.order(tiny_bundle(2)[:-10], 2)
        assert "in quarantine" in running.settle().reason
        assert len(device.server.ranges) == asked
        device.command(Command("c1", "release", FAR_UNIX_MS, bad.artifact_sha256), 1)
        assert running.settle().state == "refused"
        assert len(device.server.ranges) > asked


def test_a_failed_self_test_leaves_the_model_before_running(device: MemoryDevice) -> None:
    with device.run() as running:
        good = device.order(tiny_bundle(1))
        running.settle()
        device.order(wrong_golden(2), 2)
        last = running.settle()
        assert (last.state, last.active_sha256) == ("failed", good.artifact_sha256)
        assert "self-test" in last.reason
        running.step(400.0)
        assert running.settle().reason == last.reason
    with device.run() as running:
        assert running.agent._parts.loop.model is not None
        assert "in quarantine" in device.reports()[-1].reason


def test_a_bundle_of_another_name_or_version_than_ordered_is_refused(device: MemoryDevice) -> None:
    with device.run() as running:
        device.order(tiny_bundle(1, name="other"))
        assert "holds other version 1" in running.settle().reason


def test_an_unreachable_server_is_tried_again_until_it_answers(device: MemoryDevice) -> None:
    with device.run() as running:
        device.server.status = 503
        device.order(tiny_bundle(1))
        last = running.settle()
        assert last.state == "failed"
        assert "503" in last.reason
        device.server.status = None
        running.step(1.0)
        assert not running.agent._updates.busy
        running.step(5.0)
        assert running.settle().state == "active"


def test_a_newer_order_takes_the_place_of_one_that_is_being_fetched(device: MemoryDevice) -> None:
    with device.run() as running:
        device.order(tiny_bundle(1))
        device.order(tiny_bundle(2), 2)
        last = running.settle()
        running.until(lambda: device.reports()[-1].state == "active")
        last = device.reports()[-1]
        assert last.rollout_id == "rollout-2"
        assert last.slots[0].model_version == 2


def test_an_order_that_cannot_be_read_is_refused(device: MemoryDevice) -> None:
    with device.run() as running:
        device.send(Down.DESIRED, b"{")
        device.send(Down.DESIRED, b"")
        device.send(Down.CMD, b"[]")
        running.step()
        assert len(device.events("refused")) == 2
        assert "not an envelope" in device.reports()[-1].reason


def test_a_damaged_active_slot_returns_to_the_other_and_is_fetched_anew(
    device: MemoryDevice,
) -> None:
    with device.run() as running:
        device.order(tiny_bundle(1))
        running.settle()
        device.order(tiny_bundle(2), 2)
        running.settle()
    (rotten,) = (device.folder / "state" / "slots" / "b").iterdir()
    rotten.write_bytes(b"rot")
    with device.run() as running:
        assert device.events("rollback")[0].facts["model_version"] == 1
        assert running.settle().state == "active"
        assert [slot.model_version for slot in device.reports()[-1].slots] == [1, 2]


@pytest.mark.root
def test_a_full_disk_leaves_the_old_model_running_until_there_is_room(
    device: MemoryDevice,
) -> None:
    state = device.folder / "state"
    state.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(state)]
    if subprocess.run(mounted, capture_output=True, check=False).returncode:
        pytest.skip("a tmpfs cannot be mounted here: run as root with CAP_SYS_ADMIN")
    try:
        with device.run() as running:
            good = device.order(tiny_bundle(1))
            assert running.settle().state == "active"
            filler = state / "filler"
            filler.write_bytes(b"\0" * (6 << 20))
            device.order(tiny_bundle(2), 2)
            last = running.settle()
            assert (last.state, last.active_sha256) == ("failed", good.artifact_sha256)
            assert "disk full" in last.reason
            filler.unlink()
            running.step(6.0)
            running.settle()
            assert device.reports()[-1].state == "active"
            with contextlib.suppress(OSError), filler.open("wb", buffering=0) as stream:
                while stream.write(b"\0" * 4096):
                    pass
            for _ in range(40):
                running.step(5.0)
            filler.unlink()
            running.step(5.0)
            running.step(5.0)
    finally:
        subprocess.run(["umount", str(state)], check=True)
    samples = [once for _, once in sorted({s.seq: s for s in device.samples()}.items())]
    assert sum(s.window_ns for s in samples) == device.clock.monotonic_ns()


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
