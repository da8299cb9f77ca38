"""The collector over a transport and a broker in memory, and a store that can be made to fail."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from green_edge.telemetry.collector import Collector, Counts, Listeners
from green_edge.telemetry.mailbox import Letter, Mailbox
from green_edge.telemetry.sqlite import SqliteStore
from green_edge.telemetry.store import StoreError
from green_edge_agent.transport.contract import Message
from green_edge_wire import codec
from green_edge_wire.device import Reported
from green_edge_wire.errors import ConfigError, TransportError
from green_edge_wire.telemetry import Ack
from green_edge_wire.topics import Address, Down, Up
from support.brokers import wait_until
from support.clock import ManualClock
from support.records import BOOT_A, T0_UNIX_MS, Steady, event, info, reported, status, unread
from support.transport import MemoryBroker, MemoryTransport

KITCHEN = Address("home", "pi-kitchen")
PORCH = Address("home", "pi-porch")


class SwappedStore(SqliteStore):
    """A store whose file was replaced by another program's: a mistake, not trouble that passes."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.broken = threading.Event()
        self.broken.set()
        self.failures = 0

    def reread(self) -> int:
        raise ConfigError("fleet.db is not an SQLite file", place="store")

    @contextmanager
    def batch(self) -> Iterator[None]:
        with super().batch():
            yield
            if self.broken.is_set():
                self.failures += 1
                raise ConfigError("fleet.db is not an SQLite file", place="store")


class FailingStore(SqliteStore):
    """A store whose batches fail while `broken` is set, as on a full disk."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.broken = threading.Event()
        self.failures = 0

    @contextmanager
    def batch(self) -> Iterator[None]:
        with super().batch():
            yield
            if self.broken.is_set():
                self.failures += 1
                raise StoreError("database or disk is full")


class World:
    """A broker, a collector that listens to it, and a device's side of the connection."""

    def __init__(
        self,
        folder: Path,
        *,
        listeners: Listeners | None = None,
        store: type[FailingStore | SwappedStore] | None = None,
    ) -> None:
        self.broker = MemoryBroker()
        self.device = MemoryTransport(self.broker)
        self.device.start(will=None, on_connect=lambda: None)
        self.store = (store or FailingStore)(folder / "fleet.db")
        self.transport = MemoryTransport(self.broker)
        clock = ManualClock(unix_ms=T0_UNIX_MS + 3_600_000)
        self.collector = Collector(self.transport, self.store, clock, listeners=listeners)
        self.collector.start()
        self.transport.start(will=None, on_connect=lambda: None)

    def send(self, channel: Up, payload: bytes, *, address: Address = KITCHEN) -> None:
        self.device.publish(Message(address.topic(channel), payload))

    def acks(self, address: Address = KITCHEN) -> list[Ack]:
        payloads = self.broker.payloads(address.topic(Down.ACK))
        return [codec.unpack_one(Ack, payload) for payload in payloads]

    def close(self) -> None:
        self.collector.stop()
        self.transport.stop()
        self.store.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


def test_records_are_committed_and_then_acknowledged(world: World) -> None:
    world.send(Up.EVENT, codec.pack([event(1)]))
    world.send(Up.TELEMETRY, codec.pack(Steady().windows([2, 3, 4])))
    wait_until(lambda: Ack(BOOT_A, 4) in world.acks())
    assert world.store.figures()[0].windows == 3
    assert world.collector.counts.records == 4


def test_repeats_are_acknowledged_again_and_counted_once(world: World) -> None:
    for _ in range(2):
        world.send(Up.TELEMETRY, codec.pack(Steady().windows([1, 2])))
        seen = len(world.acks())
        wait_until(lambda seen=seen: len(world.acks()) > seen)  # type: ignore[misc]
    assert set(world.acks()) == {Ack(BOOT_A, 2)}
    assert world.store.figures()[0].inferences == 100


def test_nothing_is_acknowledged_while_the_first_record_is_missing(world: World) -> None:
    world.send(Up.TELEMETRY, codec.pack([Steady().window(2)]))
    wait_until(lambda: world.collector.counts.records == 1)
    world.send(Up.TELEMETRY, codec.pack([Steady().window(1)]))
    wait_until(lambda: world.acks() == [Ack(BOOT_A, 2)])


def test_states_of_devices_reach_the_store(world: World) -> None:
    world.send(Up.STATUS, codec.pack_one(status()))
    world.send(Up.INFO, codec.pack_one(info()))
    world.send(Up.REPORTED, codec.pack_one(reported()))
    wait_until(lambda: bool(world.store.devices()) and world.store.devices()[0].state == "active")
    (row,) = world.store.devices()
    assert (row.online, row.runtime) == (True, "ai-edge-litert 2.3.0")


def test_undecodable_payloads_are_counted_and_logged_once_for_each_change(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    for payload in (b"\xff\x00", b"[{}]", b"x\x9cgarbage", b"[1,"):
        world.send(Up.TELEMETRY, payload)
    wait_until(lambda: world.collector.counts.undecodable == 4)
    world.send(Up.TELEMETRY, codec.pack([Steady().window(1)]))
    wait_until(lambda: world.acks() == [Ack(BOOT_A, 1)])
    world.send(Up.TELEMETRY, b"{")
    wait_until(lambda: world.collector.counts.undecodable == 5)
    lines = [record.getMessage() for record in caplog.records]
    assert len([line for line in lines if "home/pi-kitchen/telemetry trouble" in line]) == 2
    assert len([line for line in lines if "home/pi-kitchen/telemetry works again" in line]) == 1
    assert not any("garbage" in line for line in lines)


def future(seq: int, *, device_id: str = "pi-kitchen") -> bytes:
    """A window with a boundary that this version does not know."""
    text = codec.dumps(Steady(device_id=device_id).window(seq))
    return text.replace('"board-dc-in"', '"battery-2"').encode()


def array(*records: bytes) -> bytes:
    return b"[" + b",".join(records) + b"]"


def test_a_record_of_a_newer_device_holds_up_neither_the_others_nor_the_watermark(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    good = [codec.dumps(Steady().window(seq)).encode() for seq in (1, 3)]
    world.send(Up.TELEMETRY, array(good[0], future(2), good[1]))
    wait_until(lambda: world.acks() == [Ack(BOOT_A, 3)])
    world.send(Up.TELEMETRY, array(future(4)))
    wait_until(lambda: world.acks()[-1] == Ack(BOOT_A, 4))
    (figure,) = world.store.figures()
    assert (figure.windows, figure.windows_missing, figure.inferences) == (2, 2, 100)
    assert "upgrade green-edge" in world.store.devices()[0].problems[0]
    assert (world.collector.counts.records, world.collector.counts.unread) == (4, 2)
    (line,) = caplog.messages
    assert line.startswith("source=home/pi-kitchen/telemetry trouble=records that this version")
    assert line.endswith("got 'battery-2'")


def test_a_record_whose_place_cannot_be_read_is_counted_and_the_others_are_kept(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    good = codec.dumps(Steady().window(1)).encode()
    for strange in (b"{}", b"7", future(2).replace(b'"seq":2', b'"seq":"2"')):
        world.send(Up.TELEMETRY, array(good, strange))
    wait_until(lambda: world.collector.counts.undecodable == 3)
    wait_until(lambda: world.acks()[-1:] == [Ack(BOOT_A, 1)])
    assert world.collector.counts.unread == 0
    assert len([r for r in caplog.records if "whose place cannot be read" in r.getMessage()]) == 1


def test_an_unread_record_of_another_device_is_refused(world: World) -> None:
    world.send(Up.TELEMETRY, array(future(1, device_id="pi-porch"), future(1)))
    wait_until(lambda: world.acks() == [Ack(BOOT_A, 1)])
    assert (world.collector.counts.foreign, world.collector.counts.unread) == (1, 1)
    assert [row.device_id for row in world.store.devices()] == ["pi-kitchen"]


def test_what_an_unread_record_says_of_the_spool_is_believed_where_it_can_be(world: World) -> None:
    kept = future(7).replace(b'"first_kept_seq":1', b'"first_kept_seq":6')
    world.send(Up.TELEMETRY, array(kept))
    wait_until(lambda: world.collector.counts.unread == 1)
    world.send(Up.TELEMETRY, array(future(6).replace(b'"first_kept_seq":1', b'"first_kept_seq":9')))
    wait_until(lambda: world.acks()[-1:] == [Ack(BOOT_A, 7)])
    world.send(
        Up.TELEMETRY, array(future(9).replace(b'"first_kept_seq":1', b'"first_kept_seq":{}'))
    )
    wait_until(lambda: world.collector.counts.unread == 3)
    assert world.acks()[-1] == Ack(BOOT_A, 7)


def test_unread_records_are_tried_again_when_a_collector_starts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    store = SqliteStore(tmp_path / "fleet.db")
    readable = unread(1, text=codec.dumps(Steady().window(1)))
    store.commit([readable, unread(2)], site="home", received_unix_ms=T0_UNIX_MS + 9_000)
    store.close()
    world = World(tmp_path)
    wait_until(lambda: bool(world.store.figures()))
    assert (world.store.figures()[0].windows, world.store.figures()[0].windows_missing) == (1, 1)
    world.close()
    assert "records=1 kept unread can be read now" in caplog.messages


def test_records_that_name_another_device_than_their_topic_are_refused(world: World) -> None:
    own, foreign = Steady().window(1), Steady(device_id="pi-porch").window(1)
    world.send(Up.TELEMETRY, codec.pack([own, foreign]))
    world.send(Up.STATUS, codec.pack_one(status(device_id="pi-porch")))
    wait_until(lambda: world.collector.counts.foreign == 2)
    wait_until(lambda: world.acks() == [Ack(BOOT_A, 1)])
    assert [row.device_id for row in world.store.devices()] == ["pi-kitchen"]
    assert world.acks(PORCH) == []


def test_topics_of_others_and_emptied_states_are_passed_over(world: World) -> None:
    world.device.publish(Message("ge/v1/home/pi kitchen/telemetry", b"[]"))
    world.send(Up.STATUS, b"")
    world.send(Up.TELEMETRY, codec.pack([Steady().window(1)]))
    wait_until(lambda: world.acks() == [Ack(BOOT_A, 1)])
    assert world.collector.counts == Counts(letters=3, records=1, acks=1)


def test_a_failing_store_keeps_the_batch_and_acknowledges_it_later(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    world.store.broken.set()
    world.send(Up.TELEMETRY, codec.pack(Steady().windows([1, 2])))
    wait_until(lambda: world.store.failures >= 2)
    assert world.acks() == []
    assert world.store.figures() == ()
    world.store.broken.clear()
    wait_until(lambda: world.acks() == [Ack(BOOT_A, 2)])
    assert world.store.figures()[0].windows == 2
    lines = [record.getMessage() for record in caplog.records]
    assert len([line for line in lines if "source=store trouble" in line]) == 1
    assert len([line for line in lines if "source=store works again" in line]) == 1


def test_a_store_file_that_was_swapped_ends_neither_the_collector_nor_its_batch(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    world = World(tmp_path, store=SwappedStore)
    world.send(Up.TELEMETRY, codec.pack(Steady().windows([1, 2])))
    wait_until(lambda: world.store.failures >= 2 or not world.collector.alive)
    assert world.collector.alive
    assert world.acks() == []
    world.store.broken.clear()
    wait_until(lambda: world.acks() == [Ack(BOOT_A, 2)])
    world.close()
    assert len([line for line in caplog.messages if "source=store trouble" in line]) == 1


def test_counts_that_cannot_be_are_counted_and_logged(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    wild = replace(Steady().window(1), errors=1 << 62)
    far = Steady().window(1_500_000_000, first_kept_seq=1_500_000_000)
    world.send(Up.TELEMETRY, codec.pack([wild, far]))
    wait_until(lambda: world.collector.counts.implausible == 2)
    wait_until(lambda: world.acks() == [Ack(BOOT_A, 1)])
    (line,) = [line for line in caplog.messages if "cannot be" in line]
    assert line.startswith("source=home/pi-kitchen/telemetry trouble=")


def test_stopping_commits_and_acknowledges_what_is_at_hand(tmp_path: Path) -> None:
    world = World(tmp_path)
    for seq in range(1, 101):
        world.send(Up.TELEMETRY, codec.pack([Steady().window(seq)]))
    world.collector.stop()
    assert not world.collector.alive
    assert world.store.figures()[0].windows == 100
    assert world.acks()[-1] == Ack(BOOT_A, 100)
    world.close()


def test_stopping_while_the_store_fails_ends_without_an_acknowledgement(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.store.broken.set()
    world.send(Up.TELEMETRY, codec.pack(Steady().windows([1])))
    wait_until(lambda: world.store.failures >= 1)
    world.collector.stop()
    assert world.acks() == []
    assert world.store.figures() == ()
    world.close()


def test_listeners_hear_reports_after_their_commit_and_their_errors_end_nothing(
    tmp_path: Path,
) -> None:
    heard: list[tuple[str, str]] = []
    ticks = threading.Event()

    def on_reported(site: str, told: Reported) -> None:
        heard.append((site, told.state))
        raise TransportError("broker gone")

    world = World(tmp_path, listeners=Listeners(on_reported=on_reported, on_tick=ticks.set))
    assert ticks.wait(10)
    world.send(Up.REPORTED, codec.pack_one(reported("failed")))
    wait_until(lambda: heard == [("home", "failed")])
    assert world.store.devices()[0].state == "failed"
    world.send(Up.TELEMETRY, codec.pack([Steady().window(1)]))
    wait_until(lambda: world.acks() == [Ack(BOOT_A, 1)])
    assert world.collector.alive
    world.close()


def test_a_full_mailbox_holds_the_sender_back_and_loses_nothing() -> None:
    box = Mailbox(letters=2)
    sent: list[int] = []

    def flood() -> None:
        for n in range(50):
            assert box.put(Letter("t", str(n).encode(), 0))
            sent.append(n)

    sender = threading.Thread(target=flood)
    sender.start()
    wait_until(lambda: len(box) == 2)
    assert len(sent) <= 3
    taken: list[bytes] = []
    while len(taken) < 50:
        taken += [letter.payload for letter in box.take(at_most=3, timeout_s=5)]
    sender.join()
    assert taken == [str(n).encode() for n in range(50)]


def test_a_mailbox_is_bounded_in_bytes_but_lets_one_large_letter_pass() -> None:
    box = Mailbox(size_bytes=10)
    assert box.put(Letter("t", b"x" * 100, 0))
    blocked = threading.Thread(target=lambda: box.put(Letter("t", b"y", 0)))
    blocked.start()
    assert [len(letter.payload) for letter in box.take(at_most=9, timeout_s=5)] == [100]
    blocked.join()
    assert len(box) == 1


def test_a_closed_mailbox_frees_whoever_waits_and_gives_out_what_it_holds() -> None:
    box = Mailbox(letters=1)
    box.put(Letter("t", b"1", 0))
    answers: list[bool] = []
    waiting = threading.Thread(target=lambda: answers.append(box.put(Letter("t", b"2", 0))))
    waiting.start()
    box.close()
    waiting.join()
    assert answers == [False]
    assert [letter.payload for letter in box.take(at_most=9, timeout_s=0)] == [b"1"]
    assert box.take(at_most=9, timeout_s=5) == []
