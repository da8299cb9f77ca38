"""The agent as a process on a board with an Edge TPU: push, swap, lose it, stop, be killed."""

import hashlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from green_edge.build.pipeline import build
from green_edge.bundle.envelope import sign_desired
from green_edge.bundle.keys import trusting
from green_edge.fleet.embedded import EmbeddedBroker
from green_edge_agent.config import RuntimeConfig
from green_edge_wire import codec
from green_edge_wire.archive import open_bundle
from green_edge_wire.command import Desired
from green_edge_wire.device import AcceleratorInfo
from green_edge_wire.telemetry import Sample
from green_edge_wire.topics import Address, Down
from green_edge_wire.units import NS_PER_S
from support import edgetpu_compiler
from support.agents import AgentProcess, MiniCollector, children_of, cleaned_up
from support.artefacts import ArtefactServer
from support.brokers import running_broker, wait_until
from support.bundles import test_signer as signer
from support.bundles import tiny_bundle
from support.edgetpu_device import (
    MODE_KEY,
    TestDelegate,
    add_usb_edgetpu,
    compiled_delegate,
    edgetpu_bundle,
)
from support.memory_device import MemoryDevice
from support.small_builds import workshop
from support.sysfs import board_tree

pytestmark = pytest.mark.broker

DEVICE = "pi-coral"
ABSENT = (
    "no Edge TPU was found on USB or PCIe; see that it is connected, or set accelerator = 'none' in"
    " [runtime]"
)
LIBRARY = "BuildLabel(COMPILER=test), RuntimeVersion(14)"


@pytest.fixture
def delegate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TestDelegate:
    made = TestDelegate(compiled_delegate(tmp_path), tmp_path / "word")
    made.behave("fine")
    monkeypatch.setenv(MODE_KEY, str(made.word))
    return made


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    with running_broker("amqtt", tmp_path) as running:
        yield running


@pytest.fixture
def collector(broker: EmbeddedBroker) -> Iterator[MiniCollector]:
    with MiniCollector(broker.url, Address("home", DEVICE)).running() as running:
        wait_until(lambda: running.connected)
        yield running


@pytest.fixture
def server() -> Iterator[ArtefactServer]:
    with ArtefactServer().running() as running:
        yield running


@pytest.fixture
def agent(
    broker: EmbeddedBroker,
    delegate: TestDelegate,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[AgentProcess]:
    root = board_tree(tmp_path / "root")
    add_usb_edgetpu(root)
    monkeypatch.setenv("GREEN_EDGE_SYSROOT", str(root))
    data = tmp_path / "x.npz"
    np.savez(data, x=np.random.default_rng(0).uniform(-1, 1, (20, 4)).astype(np.float32))
    device = AgentProcess(
        tmp_path / DEVICE,
        broker.device_url(DEVICE),
        DEVICE,
        keys=(signer().public.text,),
        input=f'kind = "npz"\npath = "{data}"\nrate_hz = 50.0',
        runtime=f'delegate = "{delegate.library}"',
    )
    with cleaned_up(device) as cleaned:
        yield cleaned


def push(
    collector: MiniCollector, server: ArtefactServer, version: int, bundle: bytes | None = None
) -> str:
    bundle = edgetpu_bundle(version) if bundle is None else bundle
    manifest = open_bundle(bundle, trusting([signer().public])).manifest
    digest = hashlib.sha256(bundle).hexdigest()
    url = server.add(f"artefacts/{digest}", bundle)
    name, model_version = manifest.name, manifest.version
    desired = Desired(f"rollout-{version}", digest, len(bundle), (url,), name, model_version)
    envelope = sign_desired(signer(), DEVICE, version, desired)
    assert collector.publish(Down.DESIRED, codec.pack_one(envelope), retain=True)
    return digest


def alive(pid: int) -> bool:
    """Whether it runs; a process that ended and waits to be reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def found(collector: MiniCollector) -> AcceleratorInfo | None:
    return None if collector.info is None else collector.info.accelerator


def inferences(collector: MiniCollector, digest: str) -> int:
    return sum(s.latency.count for s in collector.samples() if s.artifact_sha256 == digest)


def ordered(collector: MiniCollector) -> list[Sample]:
    return sorted(collector.samples(), key=lambda sample: sample.seq)


def test_an_agent_with_an_edge_tpu_uses_it_loses_it_and_goes_on_with_the_cpu(
    agent: AgentProcess, delegate: TestDelegate, collector: MiniCollector, server: ArtefactServer
) -> None:
    agent.start()
    wait_until(lambda: collector.info is not None)
    assert found(collector) == AcceleratorInfo("edgetpu:usb:2-1", "no model is installed")

    first = push(collector, server, 1)
    wait_until(lambda: inferences(collector, first) > 0, within_s=60)
    assert (collector.reported[-1].state, collector.reported[-1].runs_on) == (
        "active",
        "edgetpu",
    )
    wait_until(lambda: found(collector) == AcceleratorInfo("edgetpu:usb:2-1"))
    assert len(agent.children) == 1

    # The second model is tested on the device that the first one runs on.
    second = push(collector, server, 2)
    wait_until(lambda: inferences(collector, second) > 0, within_s=60)
    assert collector.reported[-1].runs_on == "edgetpu"
    assert len(agent.children) == 1
    assert sum(s.errors for s in collector.samples()) == 0
    said = [event.message for event in collector.events("accelerator")]
    assert said == [
        f"edgetpu:usb:2-1 runs tiny version {version}, with {LIBRARY}" for version in (1, 2)
    ]

    # The self-test of the new start fails, too.
    delegate.behave("crash-invoke")
    wait_until(lambda: len(collector.events("accelerator")) == 4, within_s=60)
    wait_until(lambda: collector.reported[-1].runs_on == "cpu", within_s=60)
    before = inferences(collector, second)
    wait_until(lambda: inferences(collector, second) > before + 10, within_s=60)
    assert sum(s.errors for s in collector.samples()) == 1
    again, given_up = (event.message for event in collector.events("accelerator")[2:])
    assert "it is started again: the accelerator's process was ended by SIGSEGV" in again
    assert given_up.startswith("the CPU runs tiny version 2, not the Edge TPU: ")
    wait_until(lambda: found(collector) == AcceleratorInfo("edgetpu:usb:2-1", given_up))
    assert agent.children == []
    # No window mixes the two.
    counted = [s for s in ordered(collector) if s.latency.count and s.artifact_sha256 == second]
    processors = [s.processor for s in counted]
    first_cpu = processors.index(None)
    assert set(processors[:first_cpu]) == {"edgetpu"}
    assert set(processors[first_cpu:]) == {None}
    assert agent.end() == 0


def test_an_agent_that_stops_has_ended_what_runs_and_what_is_being_loaded(
    delegate: TestDelegate, server: ArtefactServer, tmp_path: Path
) -> None:
    pi = MemoryDevice(tmp_path, server, runtime=RuntimeConfig(delegate=str(delegate.library)))
    add_usb_edgetpu(tmp_path / "root")
    with pi.run() as running:
        pi.order(edgetpu_bundle(1))
        running.until(lambda: pi.reports()[-1].runs_on == "edgetpu")
        before = set(children_of(os.getpid()))
        assert before
    assert not any(map(alive, before))
    delegate.behave("hang-create")
    with pi.run():
        wait_until(lambda: delegate.hangs)
        assert len(children_of(os.getpid())) == 1
    assert children_of(os.getpid()) == []


def test_a_start_with_a_library_that_hangs_is_online_at_once_and_harms_no_bundle(
    agent: AgentProcess, delegate: TestDelegate, collector: MiniCollector, server: ArtefactServer
) -> None:
    agent.start()
    digest = push(collector, server, 1)
    wait_until(lambda: inferences(collector, digest) > 0, within_s=60)
    delegate.behave("hang-create")
    for number in (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM):
        agent.end(number)
        delegate.begin()
        before = len(collector.reported), inferences(collector, digest)
        agent.start()
        wait_until(lambda: delegate.hangs, within_s=30)
        # The CPU answers, and the agent tells, while the library hangs.
        wait_until(lambda n=before: inferences(collector, digest) > n[1], within_s=30)  # type: ignore[misc]
        wait_until(lambda n=before: len(collector.reported) > n[0], within_s=30)  # type: ignore[misc]
        assert (collector.reported[-1].state, collector.reported[-1].runs_on) == ("active", "cpu")
    (child,) = agent.children
    assert agent.end() == 0
    wait_until(lambda: not alive(child))
    assert collector.events("error") == []


def test_a_model_that_hangs_there_does_not_keep_the_agent_from_its_work(
    agent: AgentProcess, delegate: TestDelegate, collector: MiniCollector, server: ArtefactServer
) -> None:
    agent.runtime += "\ntimeout_s = 0.5"
    agent.start()
    first = push(collector, server, 1)
    wait_until(lambda: inferences(collector, first) > 0, within_s=60)
    delegate.behave("hang-create")
    second = push(collector, server, 2)
    wait_until(lambda: inferences(collector, second) > 0, within_s=60)
    assert (collector.reported[-1].state, collector.reported[-1].runs_on) == ("active", "cpu")
    # The loop closed its windows of half a second all the while.
    assert max(sample.window_ns for sample in collector.samples()) < 2 * NS_PER_S
    assert sum(sample.errors for sample in collector.samples()) == 0
    assert agent.children == []

    delegate.behave("fine")
    third = push(collector, server, 3)
    wait_until(lambda: inferences(collector, third) > 0, within_s=60)
    assert collector.reported[-1].runs_on == "edgetpu"
    # A model without one for the Edge TPU leaves it.
    plain = push(collector, server, 4, tiny_bundle(4))
    wait_until(lambda: inferences(collector, plain) > 0, within_s=60)
    wait_until(lambda: agent.children == [])


def test_where_it_is_insisted_on_nothing_runs_on_the_cpu_and_a_stick_is_awaited(
    agent: AgentProcess, collector: MiniCollector, server: ArtefactServer, tmp_path: Path
) -> None:
    agent.runtime += '\naccelerator = "edgetpu"'
    agent.start()
    digest = push(collector, server, 1)
    wait_until(lambda: inferences(collector, digest) > 0, within_s=60)
    assert agent.end() == 0
    stick = tmp_path / "root" / "sys" / "bus" / "usb" / "devices" / "2-1"
    stick.rename(tmp_path / "gone")
    wait_until(lambda: sum(s.errors for s in collector.samples()) == 0)
    before = inferences(collector, digest)
    agent.start()
    wait_until(lambda: sum(s.errors for s in collector.samples()) > 10, within_s=30)
    assert (collector.reported[-1].state, collector.reported[-1].runs_on) == ("active", "none")
    (tmp_path / "gone").rename(stick)
    wait_until(lambda: collector.reported[-1].runs_on == "edgetpu", within_s=30)
    wait_until(lambda: inferences(collector, digest) > before, within_s=30)
    assert {s.processor for s in collector.samples() if s.latency.count} == {"edgetpu"}
    assert [event.message for event in collector.events("accelerator")] == [
        f"edgetpu:usb:2-1 runs tiny version 1, with {LIBRARY}",
        f"the Edge TPU does not run tiny version 1: {ABSENT}",
        f"edgetpu:usb:2-1 runs tiny version 1, with {LIBRARY}",
    ]


def test_what_a_build_makes_for_a_coral_runs_on_the_edge_tpu(
    agent: AgentProcess,
    collector: MiniCollector,
    server: ArtefactServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program = edgetpu_compiler.install(tmp_path / "bin", "works")
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    place = workshop(tmp_path / "work")
    report = build(place.options(targets=("coral-usb",)), signer())
    bundle = (place.folder / "out" / report.targets[0].bundle).read_bytes()
    agent.start()
    digest = push(collector, server, 1, bundle)
    wait_until(lambda: inferences(collector, digest) > 0, within_s=60)
    assert [event.message for event in collector.events("accelerator")] == [
        f"edgetpu:usb:2-1 runs dense version 1, with {LIBRARY}"
    ]
    assert collector.reported[-1].runs_on == "edgetpu"
    assert len(agent.children) == 1


def test_neither_a_stop_nor_a_kill_of_the_agent_leaves_a_process_behind(
    agent: AgentProcess, collector: MiniCollector, server: ArtefactServer
) -> None:
    agent.start()
    digest = push(collector, server, 1)
    wait_until(lambda: inferences(collector, digest) > 0, within_s=60)
    (child,) = agent.children
    assert agent.end() == 0
    wait_until(lambda: not alive(child))

    # From its slot the model runs on the Edge TPU again.
    agent.start()
    wait_until(lambda: len(collector.events("accelerator")) == 2, within_s=60)
    (child,) = agent.children
    wait_until(lambda: collector.reported[-1].runs_on == "edgetpu")
    agent.end(signal.SIGKILL)
    wait_until(lambda: not alive(child))
