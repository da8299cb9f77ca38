"""Orders to the agent with all its parts: what is installed, refused, tried again, returned to."""

import base64
import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from green_edge_wire import codec
from green_edge_wire.command import Command, Envelope, signed_bytes
from green_edge_wire.topics import Down
from support.artefacts import ArtefactServer
from support.bundles import test_signer as signer
from support.bundles import tiny_bundle, wrong_golden
from support.memory_device import MemoryDevice

FAR_UNIX_MS = 9_000_000_000_000


@pytest.fixture
def server() -> Iterator[ArtefactServer]:
    with ArtefactServer().running() as running:
        yield running


@pytest.fixture
def device(tmp_path: Path, server: ArtefactServer) -> MemoryDevice:
    return MemoryDevice(tmp_path, server)


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
        assert not last.retrying
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
        assert (last.state, last.retrying) == ("failed", True)
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


def test_a_genuine_envelope_with_an_unreadable_body_is_refused(device: MemoryDevice) -> None:
    with device.run() as running:
        for channel in (Down.DESIRED, Down.CMD):
            message = signed_bytes(
                channel, device_id="pi", key_id=signer().key_id, counter=1, body="{}"
            )
            signature = base64.b64encode(signer().sign(message)).decode()
            envelope = Envelope("pi", signer().key_id, 1, "{}", signature)
            device.send(channel, codec.pack_one(envelope))
        running.step()
        messages = [event.message for event in device.events("refused")]
        assert "unreadable order: rollout_id: missing" in messages
        assert "command: unreadable command: id: missing" in messages


def test_a_rotten_other_slot_is_fetched_anew_when_it_is_wanted_back(device: MemoryDevice) -> None:
    with device.run() as running:
        device.order(tiny_bundle(1))
        running.settle()
        device.order(tiny_bundle(2), 2)
        running.settle()
        (rotten,) = (device.folder / "state" / "slots" / "a").iterdir()
        rotten.write_bytes(b"rot")
        asked = len(device.server.ranges)
        device.order(tiny_bundle(1), 1, downgrade=True)
        assert running.settle().state == "active"
        assert len(device.server.ranges) == asked + 1
        assert [slot.state for slot in device.info().slots] == ["active", "previous"]


def test_a_state_file_that_cannot_be_written_delays_the_swap(device: MemoryDevice) -> None:
    with device.run() as running:
        good = device.order(tiny_bundle(1))
        running.settle()
        device.order(tiny_bundle(2), 2)
        running.agent._drain()
        blocked = device.folder / "state" / "install.tmp"
        blocked.mkdir()
        last = running.settle()
        assert (last.state, last.active_sha256) == ("failed", good.artifact_sha256)
        assert "cannot write" in last.reason
        assert running.agent._parts.loop.model is not None
        assert running.agent._parts.loop.model.artefact.model_version == 1
        blocked.rmdir()
        running.step(6.0)
        running.settle()
        assert device.reports()[-1].state == "active"


def test_a_standing_order_whose_key_is_no_longer_trusted_is_refused_at_the_start(
    device: MemoryDevice,
) -> None:
    device.server.status = 503
    with device.run() as running:
        device.order(tiny_bundle(1))
        assert running.settle().retrying
    device.server.status = None
    device.broker.retained.clear()
    device.trusted = signer(seed=9)
    asked = len(device.server.ranges)
    with device.run() as running:
        running.step(5.0)
        last = running.settle()
        assert (last.state, last.rollout_id) == ("refused", "rollout-1")
        (event,) = device.events("refused")
        assert "unknown key" in event.message
        running.step(400.0)
        running.settle()
        assert len(device.server.ranges) == asked
        assert running.agent._parts.loop.model is None
