"""The collector behind a real broker: floods, repeats, a broker that dies."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from green_edge.fleet.embedded import EmbeddedBroker
from green_edge.fleet.engines import Kind
from green_edge.telemetry.collector import Collector
from green_edge.telemetry.mailbox import Mailbox
from green_edge.telemetry.opening import open_store
from green_edge.telemetry.store import Store
from green_edge_agent.transport.contract import Message
from green_edge_agent.transport.mqtt import MqttTransport
from green_edge_agent.transport.url import parse_broker_url
from green_edge_wire import codec
from green_edge_wire.clock import SystemClock
from green_edge_wire.telemetry import Ack
from green_edge_wire.topics import Address, Down, Up
from support.brokers import KINDS, kill, running_broker, wait_until
from support.records import Steady, status

pytestmark = pytest.mark.broker

ADDRESS = Address("home", "pi-kitchen")


class Device:
    """The sending half of an agent: keeps what is not acknowledged and sends it again."""

    def __init__(self, broker: EmbeddedBroker) -> None:
        broker.add_device(ADDRESS.device_id)
        url = parse_broker_url(broker.device_url(ADDRESS.device_id))
        self.acked_seq = 0
        self._transport = MqttTransport(url, "ge-pi-kitchen-test")
        self._transport.subscribe(ADDRESS.topic(Down.ACK), self._acknowledged)
        self._transport.start(will=_presence(online=False), on_connect=self._born)
        wait_until(lambda: self._transport.connected)

    def send(self, seqs: range, *, batch: int = 1) -> None:
        """Send every record of a range that is not acknowledged."""
        wanted = [seq for seq in seqs if seq > self.acked_seq]
        for start in range(0, len(wanted), batch):
            records = Steady().windows(wanted[start : start + batch])
            self._transport.publish(Message(ADDRESS.topic(Up.TELEMETRY), codec.pack(records)))

    def send_until_acknowledged(self, seqs: range, *, batch: int = 1) -> None:
        for _ in range(12):
            self.send(seqs, batch=batch)
            if self._answered(seqs[-1], within_s=5):
                return
        pytest.fail(f"acknowledged up to {self.acked_seq} of {seqs[-1]}")

    def stop(self) -> None:
        self._transport.stop(farewell=_presence(online=False))

    def _answered(self, seq: int, *, within_s: float) -> bool:
        pause = threading.Event()
        for _ in range(round(within_s / 0.05)):
            if self.acked_seq >= seq:
                return True
            pause.wait(0.05)
        return False

    def _born(self) -> None:
        self._transport.publish(_presence(online=True))

    def _acknowledged(self, message: Message) -> None:
        self.acked_seq = max(self.acked_seq, codec.unpack_one(Ack, message.payload).seq)


def _presence(*, online: bool) -> Message:
    payload = codec.pack_one(status(online=online))
    return Message(ADDRESS.topic(Up.STATUS), payload, retain=True)


@contextmanager
def collecting(
    broker: EmbeddedBroker, store: Store, *, mailbox: Mailbox | None = None
) -> Iterator[Collector]:
    transport = MqttTransport(parse_broker_url(broker.url), "ge-collector-test")
    collector = Collector(transport, store, SystemClock(), mailbox=mailbox)
    collector.start()
    transport.start(will=None, on_connect=lambda: None)
    wait_until(lambda: transport.connected)
    yield collector
    collector.stop()
    transport.stop()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(str(tmp_path / "fleet.db"))
    yield opened
    opened.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_device_is_seen_collected_acknowledged_and_missed(
    kind: Kind, tmp_path: Path, store: Store
) -> None:
    with running_broker(kind, tmp_path) as broker, collecting(broker, store):
        device = Device(broker)
        device.send_until_acknowledged(range(1, 51), batch=10)
        wait_until(lambda: bool(store.devices()) and store.devices()[0].online)
        device.stop()
        wait_until(lambda: not store.devices()[0].online)
    (figure,) = store.figures()
    assert (figure.windows, figure.windows_missing) == (50, 0)
    assert figure.energy_uj == 500_000_000


def test_a_flood_waits_outside_and_nothing_is_lost_or_counted_twice(
    tmp_path: Path, store: Store
) -> None:
    box = Mailbox(letters=20)
    with running_broker("mosquitto", tmp_path) as broker, collecting(broker, store, mailbox=box):
        device = Device(broker)
        device.send_until_acknowledged(range(1, 3_001))
        device.stop()
    (figure,) = store.figures()
    assert (figure.windows, figure.inferences) == (3_000, 150_000)
    assert (figure.energy_uj, figure.windows_missing) == (30_000_000_000, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_broker_that_is_killed_loses_nothing_that_the_device_still_holds(
    kind: Kind, tmp_path: Path, store: Store
) -> None:
    with running_broker(kind, tmp_path) as broker, collecting(broker, store):
        device = Device(broker)
        device.send_until_acknowledged(range(1, 101), batch=5)
        device.send(range(101, 301), batch=5)
        kill(broker)
        device.send_until_acknowledged(range(101, 401), batch=5)
        device.stop()
    (figure,) = store.figures()
    assert (figure.windows, figure.inferences) == (400, 20_000)
    assert (figure.energy_uj, figure.windows_missing) == (4_000_000_000, 0)


def test_a_collector_that_takes_over_finds_all_that_was_acknowledged(
    tmp_path: Path, store: Store
) -> None:
    with running_broker("mosquitto", tmp_path) as broker:
        with collecting(broker, store):
            device = Device(broker)
            device.send_until_acknowledged(range(1, 101), batch=10)
        device.send(range(101, 201), batch=10)
        with collecting(broker, store) as second:
            device.send_until_acknowledged(range(101, 201), batch=10)
            wait_until(lambda: second.counts.records >= 100)
        device.stop()
    assert store.figures()[0].windows == 200
