"""Stand-ins for what surrounds the update state machine: a bench, a device, a device's runtime."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from green_edge_agent.inference import LoadedModel
from green_edge_agent.install.state import SlotName
from green_edge_agent.install.updates import Facts
from green_edge_wire.command import Desired
from green_edge_wire.device import Reported, UpdateState
from green_edge_wire.errors import DeviceError, GreenEdgeError, ModelError
from green_edge_wire.telemetry import EventKind


def no_runtime() -> str:
    """What the name of the runtime is where there is none."""
    raise ModelError("no inference runtime is installed")


@dataclass
class ScriptedBench:
    """A bench that loads what it is told to, once it may, and remembers in which threads."""

    slot_outcome: LoadedModel | GreenEdgeError
    may_end: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)
    loaded: list[SlotName] = field(default_factory=list)
    fetched: list[Desired] = field(default_factory=list)

    def bring(
        self,
        desired: Desired,
        step: Callable[[UpdateState], None],
        stopped: Callable[[], bool],
    ) -> LoadedModel:
        self.fetched.append(desired)
        step("verifying")
        raise DeviceError(f"nothing to fetch here, stopped: {stopped()}")

    def load_slot(self, name: SlotName) -> LoadedModel:
        self.threads.append(threading.current_thread())
        self.loaded.append(name)
        self.may_end.wait(10.0)
        if isinstance(self.slot_outcome, GreenEdgeError):
            raise self.slot_outcome
        return self.slot_outcome


@dataclass
class RecordingDevice:
    """A device that runs what it is given and remembers what it is told.

    `refuses` is what it raises instead.
    """

    running_sha256: str = ""
    refuses: DeviceError | None = None
    reports: list[Reported] = field(default_factory=list)
    events: list[tuple[EventKind, str, Facts]] = field(default_factory=list)

    def activate(self, model: LoadedModel, install: Callable[[], None]) -> None:
        if self.refuses is not None:
            raise self.refuses
        install()
        self.running_sha256 = model.artefact.sha256

    def publish_reported(self, reported: Reported) -> None:
        self.reports.append(reported)

    def emit(self, kind: EventKind, message: str, facts: Facts) -> None:
        self.events.append((kind, message, facts))
