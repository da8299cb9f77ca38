"""An agent in this process: its real parts, a transport in memory, a clock in the test's hand."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from green_edge.bundle.envelope import sign_cmd, sign_desired
from green_edge.bundle.keys import SigningKey
from green_edge_agent.agent import Agent
from green_edge_agent.compose import World, composed
from green_edge_agent.config import (
    AgentConfig,
    BrokerConfig,
    EnergyConfig,
    InputConfig,
    RuntimeConfig,
    TelemetryConfig,
    TrustConfig,
)
from green_edge_agent.transport.contract import Message
from green_edge_wire import codec
from green_edge_wire.command import Command, Desired
from green_edge_wire.device import DeviceInfo, InferResult, Reported, Status
from green_edge_wire.telemetry import Ack, Event, Sample
from green_edge_wire.topics import Down, Up
from support.artefacts import ArtefactServer
from support.brokers import wait_until
from support.bundles import test_signer as signer
from support.clock import ManualClock
from support.sysfs import board_tree
from support.transport import MemoryBroker, MemoryTransport


@dataclass
class MemoryDevice:
    """One device on one broker; `run()` gives it one start after the other."""

    folder: Path
    server: ArtefactServer
    broker: MemoryBroker = field(default_factory=MemoryBroker)
    clock: ManualClock = field(default_factory=lambda: ManualClock(unix_ms=1_780_000_000_000))
    input: InputConfig = field(default_factory=InputConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)
    energy: EnergyConfig = field(default_factory=lambda: EnergyConfig(prefer=("modelled",)))
    telemetry: TelemetryConfig = field(default_factory=TelemetryConfig)
    answers: list[InferResult] = field(default_factory=list)
    counter: int = 0
    trusted: SigningKey = field(default_factory=signer)

    @property
    def config(self) -> AgentConfig:
        return AgentConfig(
            site="home",
            device_id="pi",
            state_dir=self.folder / "state",
            broker=BrokerConfig("mqtt://127.0.0.1:1"),
            trust=TrustConfig((self.trusted.public.text,)),
            input=self.input,
            runtime=self.runtime,
            telemetry=self.telemetry,
            energy=self.energy,
        )

    @contextmanager
    def run(self, *, clean: bool = True) -> Iterator["Running"]:
        root = board_tree(self.folder / "root")
        transport = MemoryTransport(self.broker)
        world = World(self.answers.append, transport, self.clock, root)
        with composed(self.config, world) as agent:
            agent.start()
            agent.tick()
            try:
                yield Running(self, agent, transport)
            finally:
                agent.stop(clean=clean)

    def topic(self, channel: Up | Down) -> str:
        return self.config.address.topic(channel)

    def send(self, channel: Down, payload: bytes, *, retain: bool = False) -> None:
        self.broker.route(Message(self.topic(channel), payload, retain=retain))

    def order(
        self,
        bundle: bytes,
        version: int = 1,
        *,
        by: SigningKey | None = None,
        counter: int | None = None,
        downgrade: bool = False,
        urls: tuple[str, ...] | None = None,
    ) -> Desired:
        """Serve a bundle and announce it with a fresh counter."""
        digest = hashlib.sha256(bundle).hexdigest()
        url = self.server.add(digest, bundle)
        self.counter += 1
        desired = Desired(
            rollout_id=f"rollout-{self.counter}",
            artifact_sha256=digest,
            length_bytes=len(bundle),
            urls=(url,) if urls is None else urls,
            model="tiny",
            model_version=version,
            allow_downgrade=downgrade,
        )
        number = self.counter if counter is None else counter
        envelope = sign_desired(by or signer(), "pi", number, desired)
        self.send(Down.DESIRED, codec.pack_one(envelope), retain=True)
        return desired

    def command(self, command: Command, counter: int) -> None:
        self.send(Down.CMD, codec.pack_one(sign_cmd(signer(), "pi", counter, command)))

    # --- what was said -----------------------------------------------------------------------

    def samples(self) -> list[Sample]:
        payloads = self.broker.payloads(self.topic(Up.TELEMETRY))
        return [s for payload in payloads for s in codec.unpack(Sample, payload)]

    def events(self, kind: str) -> list[Event]:
        payloads = self.broker.payloads(self.topic(Up.EVENT))
        found = {(e.boot_id, e.seq): e for p in payloads for e in codec.unpack(Event, p)}
        return [event for event in found.values() if event.kind == kind]

    def reports(self) -> list[Reported]:
        payloads = self.broker.payloads(self.topic(Up.REPORTED))
        return [codec.unpack_one(Reported, payload) for payload in payloads]

    def info(self) -> DeviceInfo:
        return codec.unpack_one(DeviceInfo, self.broker.payloads(self.topic(Up.INFO))[-1])

    def status(self) -> Status:
        return codec.unpack_one(Status, self.broker.retained[self.topic(Up.STATUS)].payload)

    def results(self) -> list[InferResult]:
        payloads = self.broker.payloads(self.topic(Up.RESULT))
        return [codec.unpack_one(InferResult, payload) for payload in payloads]


@dataclass
class Running:
    """One start of a device's agent."""

    device: MemoryDevice
    agent: Agent
    transport: MemoryTransport

    def step(self, seconds: float = 0.0) -> None:
        """Let time pass and the agent do what is due."""
        self.device.clock.advance_s(seconds)
        self.agent.tick()

    def until(self, true: Callable[[], bool]) -> None:
        """Drive the agent until something holds; its worker threads run in real time."""

        def look() -> bool:
            self.agent.tick()
            return true()

        wait_until(look)

    def settle(self) -> Reported:
        """Drive the agent until its update work is done; its last report."""
        self.until(lambda: not self.agent._updates.busy)
        return self.device.reports()[-1]

    def ack(self) -> None:
        """Confirm everything that was said of this boot."""
        boot_id = self.agent._parts.identity.boot_id
        self.device.send(Down.ACK, codec.pack_one(Ack(boot_id, 1 << 40)))
        self.agent.tick()


def with_input(device: MemoryDevice, **changes: object) -> MemoryDevice:
    """The device with another `[input]`."""
    device.input = replace(device.input, **changes)  # type: ignore[arg-type]
    return device
