"""The agent as a process, with a real broker: push, infer, be killed, lose nothing."""

import hashlib
import json
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from green_edge.bundle.envelope import sign_desired
from green_edge.fleet.embedded import EmbeddedBroker
from green_edge.fleet.engines import Kind
from green_edge_wire import codec
from green_edge_wire.command import Desired
from green_edge_wire.telemetry import Sample
from green_edge_wire.topics import Address, Down
from support.agents import AgentProcess, MiniCollector, cleaned_up
from support.artefacts import ArtefactServer
from support.brokers import KINDS, kill, running_broker, wait_until
from support.bundles import test_signer as signer
from support.bundles import tiny_bundle

pytestmark = pytest.mark.broker

DEVICE = "pi-test"


@pytest.fixture(params=KINDS)
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EmbeddedBroker]:
    kind: Kind = request.param
    with running_broker(kind, tmp_path) as running:
        yield running


@pytest.fixture
def server() -> Iterator[ArtefactServer]:
    with ArtefactServer().running() as running:
        yield running


@pytest.fixture
def collector(broker: EmbeddedBroker) -> Iterator[MiniCollector]:
    with MiniCollector(broker.url, Address("home", DEVICE)).running() as running:
        wait_until(lambda: running.connected)
        yield running


@pytest.fixture
def agent(broker: EmbeddedBroker, tmp_path: Path) -> Iterator[AgentProcess]:
    data = tmp_path / "x.npz"
    np.savez(data, x=np.random.default_rng(0).uniform(-1, 1, (20, 4)).astype(np.float32))
    device = AgentProcess(
        tmp_path / DEVICE,
        broker.device_url(DEVICE),
        DEVICE,
        keys=(signer().public.text,),
        input=f'kind = "npz"\npath = "{data}"\nrate_hz = 50.0',
    )
    with cleaned_up(device) as cleaned:
        yield cleaned


def push(
    collector: MiniCollector, server: ArtefactServer, version: int, *, downgrade: bool = False
) -> Desired:
    bundle = tiny_bundle(version)
    digest = hashlib.sha256(bundle).hexdigest()
    url = server.add(f"artefacts/{digest}", bundle)
    desired = Desired(f"rollout-{version}", digest, len(bundle), (url,), "tiny", version, downgrade)
    push.counter += 1  # type: ignore[attr-defined]
    envelope = sign_desired(signer(), DEVICE, push.counter, desired)  # type: ignore[attr-defined]
    assert collector.publish(Down.DESIRED, codec.pack_one(envelope), retain=True)
    return desired


push.counter = 0  # type: ignore[attr-defined]


def spooled(agent: AgentProcess) -> list[tuple[str, int]]:
    """What is committed in the spool of an agent that does not run."""
    with closing(sqlite3.connect(agent.state_dir / "spool.db")) as db:
        return list(db.execute("SELECT boot_id, seq FROM records ORDER BY id"))


def open_window(agent: AgentProcess) -> Sample | None:
    with closing(sqlite3.connect(agent.state_dir / "spool.db")) as db:
        row = db.execute("SELECT payload FROM open_window").fetchone()
    return None if row is None else codec.loads(Sample, row[0], strict=False)


def test_a_pushed_bundle_runs_and_every_record_survives_kills_of_agent_and_broker(
    broker: EmbeddedBroker, collector: MiniCollector, agent: AgentProcess, server: ArtefactServer
) -> None:
    agent.start()
    wait_until(lambda: collector.status is not None and collector.status.online)
    desired = push(collector, server, 1)
    wait_until(lambda: "active" in collector.states())
    assert collector.states()[-1] == "active"
    assert collector.reported[-1].rollout_id == "rollout-1"
    wait_until(lambda: any(s.latency.count for s in collector.samples()))
    first_boot = collector.samples()[-1].boot_id

    # The host goes silent; what the agent commits from here on stays in its spool.
    collector.acking = False
    at_silence = len(collector.samples())
    wait_until(lambda: len(collector.samples()) >= at_silence + 3)
    agent.end(signal.SIGKILL)
    kept, left_open = spooled(agent), open_window(agent)
    assert kept
    wait_until(lambda: collector.status is not None and not collector.status.online)

    kill(broker)
    wait_until(lambda: not collector.connected)
    wait_until(lambda: collector.connected, within_s=40)
    collector.acking = True
    agent.start()
    wait_until(lambda: bool(collector.events("unclean-end")), within_s=40)
    end = collector.events("unclean-end")[0]
    assert end.facts["boot_id"] == first_boot
    assert 200 <= int(end.facts["bound_ms"]) < 5_000

    # The broker dies under the running agent; records of that time come later.
    second_boot = end.boot_id
    wait_until(lambda: any(s.boot_id == second_boot for s in collector.samples()))
    kill(broker)
    wait_until(lambda: not collector.connected)
    wait_until(lambda: collector.connected, within_s=40)
    newest = max(s.seq for s in collector.samples() if s.boot_id == second_boot)
    wait_until(
        lambda: max(s.seq for s in collector.samples() if s.boot_id == second_boot) > newest + 3,
        within_s=60,
    )
    assert agent.end() == 0
    wait_until(lambda: collector.status is not None and not collector.status.online)

    # 0 lost: all that was committed at the kill has come, and no boot has a hole.
    assert set(kept) <= set(collector.records)
    assert collector.missing(first_boot) == []
    assert collector.missing(second_boot) == []
    cut = [s for s in collector.samples() if s.cut]
    if left_open is not None:
        assert [s.latency for s in cut] == [left_open.latency]
        assert cut[0].seq == end.facts["last_seq"]
    # 0 double-counted: what is counted once by (boot, seq) adds up to the agent's own total.
    for boot in (first_boot, second_boot):
        samples = [s for s in collector.samples() if s.boot_id == boot]
        ran = [s for s in samples if s.artifact_sha256 == desired.artifact_sha256]
        assert sum(s.latency.count for s in ran) == max(s.cumulative_inferences for s in ran)
        counted = sum(r.energy_uj for s in ran for r in s.energy if r.valid)
        assert counted == max(r.cumulative_uj for s in ran for r in s.energy)
    ends = {s.window_start_mono_ns + s.window_ns for s in ran}
    starts = {s.window_start_mono_ns for s in ran}
    assert len(ends - starts) == 1
    assert not any(s.errors for s in collector.samples())


def test_the_model_is_back_after_a_restart_and_the_host_can_return_to_the_one_before(
    collector: MiniCollector, agent: AgentProcess, server: ArtefactServer
) -> None:
    agent.start()
    wait_until(lambda: collector.status is not None and collector.status.online)
    push(collector, server, 1)
    wait_until(lambda: collector.states()[-1:] == ["active"])
    push(collector, server, 2)
    wait_until(lambda: collector.reported[-1].rollout_id == "rollout-2")
    wait_until(lambda: collector.states()[-1] == "active")
    assert agent.end() == 0
    collector.reported.clear()
    agent.start()
    wait_until(lambda: collector.states()[-1:] == ["active"])
    assert [slot.model_version for slot in collector.reported[-1].slots] == [1, 2]

    push(collector, server, 1)
    wait_until(lambda: collector.states()[-1] == "refused")
    assert "downgrade" in collector.reported[-1].reason
    server.files.clear()
    server.ranges.clear()
    push(collector, server, 1, downgrade=True)
    server.files.clear()
    wait_until(lambda: collector.states()[-1] == "active")
    assert {s.slot: s.state for s in collector.reported[-1].slots} == {
        "a": "active",
        "b": "previous",
    }
    assert server.ranges == []

    shown = subprocess.run(
        [sys.executable, "-m", "green_edge_agent", "slots", "--config", agent.config, "--json"],
        capture_output=True,
        check=True,
    )
    assert [slot["state"] for slot in json.loads(shown.stdout)["slots"]] == ["active", "previous"]


def test_an_agent_without_a_broker_works_on_and_tells_all_of_it_later(
    broker: EmbeddedBroker, agent: AgentProcess
) -> None:
    broker.stop()
    agent.start()
    wait_until(lambda: "event=boot" in agent.log)
    wait_until(lambda: len(spooled(agent)) >= 5)
    early = set(spooled(agent))
    broker.start()
    with MiniCollector(broker.url, Address("home", DEVICE)).running() as collector:
        wait_until(lambda: early <= set(collector.records), within_s=60)
    assert agent.end() == 0


def test_an_agent_with_a_wrong_password_says_so_and_goes_on(agent: AgentProcess) -> None:
    agent.url = agent.url.replace(f"{DEVICE}:", f"{DEVICE}:wrong")
    agent.start()
    wait_until(lambda: len(re.findall("refused=", agent.log)) == 1, within_s=30)
    shown = subprocess.run(
        [sys.executable, "-m", "green_edge_agent", "doctor", "--config", agent.config],
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 6
    assert "refused the user name or password" in shown.stdout
    wait_until(lambda: bool(spooled(agent)))
    assert agent.end() == 0
    assert "wrong" not in agent.log
