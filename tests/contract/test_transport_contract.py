"""Every transport keeps the same promises: in memory, over mosquitto, over amqtt."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from green_edge.fleet.embedded import EmbeddedBroker
from green_edge.fleet.engines import Kind
from green_edge_agent.transport.contract import Message, Transport
from green_edge_agent.transport.mqtt import MqttTransport
from green_edge_agent.transport.url import parse_broker_url
from support.brokers import kill, running_broker, wait_until
from support.transport import MemoryBroker, MemoryTransport


class Net(Protocol):
    """A broker and a way to make clients of it."""

    def client(self, name: str) -> Transport: ...

    def restart(self) -> None: ...


@dataclass
class MemoryNet:
    broker: MemoryBroker

    def client(self, name: str) -> Transport:
        del name
        return MemoryTransport(self.broker)

    def restart(self) -> None:
        self.broker.go_down()
        self.broker.come_up()


@dataclass
class MqttNet:
    broker: EmbeddedBroker

    def client(self, name: str) -> Transport:
        return MqttTransport(parse_broker_url(self.broker.url), name)

    def restart(self) -> None:
        kill(self.broker)


@pytest.fixture(
    params=[
        "memory",
        pytest.param("mosquitto", marks=pytest.mark.broker),
        pytest.param("amqtt", marks=pytest.mark.broker),
    ]
)
def net(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Net]:
    if request.param == "memory":
        yield MemoryNet(MemoryBroker())
        return
    kind: Kind = request.param
    with running_broker(kind, tmp_path) as broker:
        yield MqttNet(broker)


Connect = Callable[[str], Transport]


@pytest.fixture
def connect(net: Net) -> Iterator[Connect]:
    """Makes started clients and stops them."""
    with ExitStack() as stack:

        def make(name: str) -> Transport:
            client = net.client(name)
            client.start(will=None, on_connect=lambda: None)
            stack.callback(client.stop)
            wait_until(lambda: client.connected)
            return client

        yield make


def heard(messages: list[Message]) -> list[tuple[str, bytes]]:
    return [(message.topic, message.payload) for message in messages]


def test_a_message_reaches_subscribers_of_its_topic_and_of_matching_filters(
    connect: Connect,
) -> None:
    exact: list[Message] = []
    wide: list[Message] = []
    other: list[Message] = []
    one, two = connect("one"), connect("two")
    one.subscribe("ge/v1/home/pi/status", exact.append)
    one.subscribe("ge/v1/home/pi2/status", other.append)
    two.subscribe("ge/v1/+/+/status", wide.append)
    # A subscription on a live connection takes effect in its own time: knock until it does.
    wait_until(lambda: two.publish(Message("ge/v1/a/b/status", b"?")) and bool(wide))
    wait_until(lambda: two.publish(Message("ge/v1/home/pi/status", b"\x00yes")) and bool(exact))
    assert set(heard(exact)) == {("ge/v1/home/pi/status", b"\x00yes")}
    assert not other


def test_a_retained_message_waits_for_later_subscribers_until_it_is_emptied(
    connect: Connect,
) -> None:
    sender = connect("sender")
    assert sender.publish(Message("ge/v1/home/pi/info", b"state", retain=True))
    late: list[Message] = []

    def told(payload: bytes) -> bool:
        late.clear()
        reader = connect(f"reader-{len(payload)}-{id(late)}")
        reader.subscribe("ge/v1/home/pi/#", late.append)
        wait_until(lambda: reader.publish(Message("ge/v1/home/pi/want", b"end")) and bool(late))
        wait_until(lambda: b"end" in [message.payload for message in late])
        reader.stop()
        return ("ge/v1/home/pi/info", payload) in heard(late)

    wait_until(lambda: told(b"state"))
    assert next(m for m in late if m.payload == b"state").retain
    sender.publish(Message("ge/v1/home/pi/info", b"", retain=True))
    wait_until(lambda: not told(b"state"))


def test_nothing_is_taken_before_the_connection_stands(net: Net) -> None:
    client = net.client("early")
    assert not client.connected
    assert not client.publish(Message("ge/v1/home/pi/status", b"lost"))


def test_subscriptions_are_active_when_on_connect_is_called(net: Net) -> None:
    client = net.client("echo")
    got: list[Message] = []
    client.subscribe("ge/v1/home/pi/cmd", got.append)
    client.start(will=None, on_connect=lambda: _sent(client, Message("ge/v1/home/pi/cmd", b"mine")))
    wait_until(lambda: heard(got) == [("ge/v1/home/pi/cmd", b"mine")])
    client.stop()
    assert not client.connected


def test_after_a_broker_restart_the_connection_and_its_subscriptions_come_back(net: Net) -> None:
    client = net.client("back")
    got: list[Message] = []
    births: list[bool] = []
    client.subscribe("ge/v1/home/+/desired", got.append)
    client.start(will=None, on_connect=lambda: births.append(True))
    wait_until(lambda: len(births) == 1)
    net.restart()
    wait_until(lambda: len(births) >= 2, within_s=60)
    assert client.publish(Message("ge/v1/home/pi/desired", b"again"))
    wait_until(lambda: ("ge/v1/home/pi/desired", b"again") in heard(got))
    client.stop()


def test_a_clean_stop_says_farewell_and_leaves_no_will(net: Net, connect: Connect) -> None:
    got: list[Message] = []
    listener = connect("listener")
    listener.subscribe("ge/v1/home/pi/status", got.append)
    wait_until(lambda: listener.publish(Message("ge/v1/home/pi/status", b"?")) and bool(got))
    client = net.client("leaving")
    online = threading.Event()
    client.start(will=Message("ge/v1/home/pi/status", b"will"), on_connect=online.set)
    wait_until(online.is_set)
    client.stop(farewell=Message("ge/v1/home/pi/status", b"farewell"))
    wait_until(lambda: ("ge/v1/home/pi/status", b"farewell") in heard(got))
    assert ("ge/v1/home/pi/status", b"will") not in heard(got)


def _sent(client: Transport, message: Message) -> None:
    assert client.publish(message)
