"""The update state machine over slots on disk: what runs is active, what waits is in the worker."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from numpy.typing import NDArray

from green_edge_agent.inference import LoadedModel
from green_edge_agent.install.bench import Bench
from green_edge_agent.install.orders import Order
from green_edge_agent.install.slots import Slots
from green_edge_agent.install.start import load_installed
from green_edge_agent.install.state import Artefact, Slot
from green_edge_agent.install.trust import TrustedKeys
from green_edge_agent.install.updates import Updates, Workbench
from green_edge_agent.runtime import interpreter
from green_edge_agent.runtime.contract import Processor, Timed
from green_edge_wire.archive import open_bundle
from green_edge_wire.clock import Clock
from green_edge_wire.command import Desired
from green_edge_wire.device import Reported
from green_edge_wire.errors import (
    ActivationError,
    DeviceError,
    GreenEdgeError,
    IntegrityError,
    ModelError,
)
from green_edge_wire.manifest import TensorSpec
from support.brokers import wait_until
from support.bundles import test_signer as signer
from support.bundles import tiny_bundle
from support.clock import ManualClock
from support.update_parts import RecordingDevice, ScriptedBench, no_runtime

VERIFY = TrustedKeys([signer().public.text]).verify


@dataclass
class Scene:
    """Version 2 active in slot b, version 1 in slot a."""

    slots: Slots
    clock: ManualClock = field(default_factory=ManualClock)
    device: RecordingDevice = field(default_factory=RecordingDevice)

    @property
    def active(self) -> Artefact:
        assert self.slots.state.b is not None
        return self.slots.state.b.artefact

    @property
    def fallback(self) -> Artefact:
        assert self.slots.state.a is not None
        return self.slots.state.a.artefact

    def updates(self, bench: Workbench) -> Updates:
        initial = Reported("pi", "boot", 0, "idle")
        return Updates(self.slots, bench, self.device, initial=initial, clock=self.clock)

    def loaded(self, artefact: Artefact) -> LoadedModel:
        content = tiny_bundle(artefact.model_version)
        bundle = open_bundle(content, VERIFY)
        net = interpreter.load(bundle.model())
        return LoadedModel(artefact, net, bundle.pipeline(), bundle.labels())

    def closing(self, artefact: Artefact) -> tuple[LoadedModel, list[str]]:
        """A loaded model, and the digests of those that were closed."""
        model, closed = self.loaded(artefact), list[str]()
        assert isinstance(model.interpreter, interpreter.Interpreter)
        runner = Closing(model.interpreter, partial(closed.append, artefact.sha256))
        return replace(model, interpreter=runner), closed


@dataclass
class Closing:
    """A runner that says when it is closed."""

    runner: interpreter.Interpreter
    told: Callable[[], None]

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self.runner.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self.runner.outputs

    @property
    def processor(self) -> Processor:
        return self.runner.processor

    def timed(self, inputs: Sequence[NDArray[Any]], clock: Clock) -> Timed:
        return self.runner.timed(inputs, clock)

    def close(self) -> None:
        self.told()


def order(artefact: Artefact) -> Order:
    version = artefact.model_version
    desired = Desired("r", artefact.sha256, 0, (), artefact.model, version, allow_downgrade=True)
    return Order(desired, counter=1, new=True)


def settle(updates: Updates) -> None:
    def ended() -> bool:
        updates.poll()
        return not updates.busy

    wait_until(ended)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    slots = Slots(tmp_path)
    for version in (1, 2):
        content = tiny_bundle(version)
        sha256 = open_bundle(content, VERIFY).sha256
        slots.part(sha256).write_bytes(content)
        slots.install(slots.part(sha256), Artefact(sha256, "tiny", version))
    return Scene(slots)


def test_an_installed_model_that_does_not_run_is_reported_as_failed_until_it_does(
    scene: Scene,
) -> None:
    missing = [True]

    def runtime() -> str:
        return no_runtime() if missing else interpreter.runtime_name()

    updates = scene.updates(Bench(scene.slots, VERIFY, runtime=runtime))
    updates.carry_out(order(scene.active))
    settle(updates)
    last = scene.device.reports[-1]
    assert (last.state, last.retrying) == ("failed", True)
    assert "no inference runtime" in last.reason
    assert [slot.state for slot in last.slots] == ["previous", "active"]
    assert "active" not in [report.state for report in scene.device.reports]
    missing.clear()
    scene.clock.advance_s(5.0)
    updates.poll()
    settle(updates)
    assert scene.device.reports[-1].state == "active"
    assert scene.device.running_sha256 == scene.active.sha256


def test_an_installed_model_that_runs_is_reported_as_active_at_once(scene: Scene) -> None:
    scene.device.running_sha256 = scene.active.sha256
    updates = scene.updates(Bench(scene.slots, VERIFY, runtime=no_runtime))
    updates.carry_out(order(scene.active))
    assert [report.state for report in scene.device.reports] == ["active"]
    assert not updates.busy


def test_a_return_without_a_runtime_leaves_the_other_slot_good(scene: Scene) -> None:
    updates = scene.updates(Bench(scene.slots, VERIFY, runtime=no_runtime))
    updates.carry_out(order(scene.fallback))
    settle(updates)
    last = scene.device.reports[-1]
    assert (last.state, last.retrying) == ("failed", True)
    assert scene.slots.state.a == Slot(scene.fallback)
    assert scene.slots.state.quarantine == ()


def test_a_start_without_a_runtime_leaves_the_slots_as_they_are(scene: Scene) -> None:
    before = scene.slots.state
    with pytest.raises(ModelError, match="no inference runtime"):
        load_installed(scene.slots, Bench(scene.slots, VERIFY, runtime=no_runtime))
    assert scene.slots.state == before


def test_a_return_is_tested_outside_of_the_services_thread(scene: Scene) -> None:
    bench = ScriptedBench(scene.loaded(scene.fallback))
    updates = scene.updates(bench)
    updates.carry_out(order(scene.fallback))
    # The test has not ended, and the service goes on.
    assert updates.busy
    updates.poll()
    assert scene.slots.state.active == "b"
    assert [report.state for report in scene.device.reports] == ["testing"]
    bench.may_end.set()
    settle(updates)
    assert bench.threads != [threading.current_thread()]
    assert (scene.slots.state.active, scene.device.reports[-1].state) == ("a", "active")
    assert bench.loaded == ["a"]
    ((kind, message, facts),) = scene.device.events
    assert (kind, message) == ("install", "tiny version 1 runs")
    assert facts["artifact_sha256"] == scene.fallback.sha256


def test_a_return_that_another_order_overtakes_does_not_swap(scene: Scene) -> None:
    outcome, closed = scene.closing(scene.fallback)
    bench = ScriptedBench(outcome)
    scene.device.running_sha256 = scene.active.sha256
    updates = scene.updates(bench)
    updates.carry_out(order(scene.fallback))
    updates.carry_out(order(scene.active))
    bench.may_end.set()
    settle(updates)
    assert (scene.slots.state.active, scene.device.reports[-1].state) == ("b", "active")
    assert scene.device.running_sha256 == scene.active.sha256
    # What it held besides memory, such as an accelerator, is free again.
    assert closed == [scene.fallback.sha256]


def test_a_model_that_the_disk_does_not_take_is_closed(scene: Scene) -> None:
    outcome, closed = scene.closing(scene.fallback)
    bench = ScriptedBench(outcome)
    bench.may_end.set()
    scene.device.refuses = DeviceError("cannot write install.json: No space left on device")
    updates = scene.updates(bench)
    updates.carry_out(order(scene.fallback))
    settle(updates)
    assert (scene.device.reports[-1].state, closed) == ("failed", [scene.fallback.sha256])


@pytest.mark.parametrize(
    ("outcome", "state", "quarantined"),
    [
        (ActivationError("self-test: 9 steps off"), "failed", True),
        (IntegrityError("cut short", member="archive"), "refused", False),
    ],
)
def test_a_return_to_what_does_not_run_leaves_the_running_model(
    scene: Scene, outcome: GreenEdgeError, state: str, quarantined: bool
) -> None:
    bench = ScriptedBench(outcome)
    bench.may_end.set()
    scene.device.running_sha256 = scene.active.sha256
    updates = scene.updates(bench)
    updates.carry_out(order(scene.fallback))
    settle(updates)
    # Damaged, it would be fetched anew; this order names no length to fetch.
    assert scene.device.reports[-1].state == state
    held = scene.slots.state
    assert held.active == "b"
    assert held.a == Slot(scene.fallback, str(outcome))
    assert (held.quarantine_reason(scene.fallback.sha256) is not None) == quarantined
    assert bench.fetched == []
