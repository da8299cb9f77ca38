"""A device that obeys as it is told to: the wire's side of an agent, without models."""

import tomllib
from collections.abc import Callable
from types import TracebackType
from typing import Self

from green_edge_agent.transport.contract import Message
from green_edge_agent.transport.mqtt import MqttTransport
from green_edge_agent.transport.url import parse_broker_url
from green_edge_wire import codec
from green_edge_wire.clock import SystemClock
from green_edge_wire.command import Desired, Envelope
from green_edge_wire.device import Reported, SlotInfo, Status
from green_edge_wire.topics import Address, Down, Up

BOOT = "00112233aabbccdd"


class ScriptedDevice:
    """Connects with the settings that `up` prints, and answers each order by a function.

    Args:
        agent_toml: text of the settings.
        answer: the report that follows an order; None keeps silent.
    """

    def __init__(self, agent_toml: str, answer: Callable[[Desired], Reported | None]) -> None:
        settings = tomllib.loads(agent_toml)
        broker = settings["broker"]
        login = f"{broker['username']}:{broker['password']}@"
        url = broker["url"].replace("mqtt://", f"mqtt://{login}")
        self.device_id: str = settings["device_id"]
        self.orders: list[Envelope] = []
        self.connections = 0
        self._address = Address(settings["site"], self.device_id)
        self._answer = answer
        self._transport = MqttTransport(parse_broker_url(url), f"scripted-{self.device_id}")
        self._transport.subscribe(self._address.topic(Down.DESIRED), self._ordered)

    def __enter__(self) -> Self:
        will = self._message(Up.STATUS, self._status(online=False))
        self._transport.start(will=will, on_connect=self._connected)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._transport.stop(farewell=self._message(Up.STATUS, self._status(online=False)))

    def report(self, reported: Reported) -> None:
        """Publish the state of an update."""
        self._transport.publish(self._message(Up.REPORTED, reported))

    def _connected(self) -> None:
        self.connections += 1
        self._transport.publish(self._message(Up.STATUS, self._status(online=True)))

    def _ordered(self, message: Message) -> None:
        envelope = codec.unpack_one(Envelope, message.payload)
        self.orders.append(envelope)
        reported = self._answer(codec.loads(Desired, envelope.body, strict=True))
        if reported is not None:
            self.report(reported)

    def _status(self, *, online: bool) -> Status:
        return Status(self.device_id, BOOT, online=online, at_unix_ms=SystemClock().unix_ms())

    def _message(self, channel: Up, record: Status | Reported) -> Message:
        return Message(self._address.topic(channel), codec.pack_one(record), retain=True)


def installs(device_id: str, *, previous: SlotInfo | None = None) -> Callable[[Desired], Reported]:
    """Answer of a device that runs whatever it is told to."""

    def answer(desired: Desired) -> Reported:
        active = SlotInfo(
            "a", "active", desired.artifact_sha256, desired.model, desired.model_version
        )
        return Reported(
            device_id=device_id,
            boot_id=BOOT,
            at_unix_ms=SystemClock().unix_ms(),
            state="active",
            active_sha256=desired.artifact_sha256,
            desired_sha256=desired.artifact_sha256,
            rollout_id=desired.rollout_id,
            slots=(active,) if previous is None else (active, previous),
        )

    return answer
