"""The collector: from MQTT into the store, and the word back to the devices.

The network thread only puts letters into a bounded box. One writer thread takes them in batches,
commits each batch as one transaction, and only then publishes the watermarks up to which devices
may delete. While the store fails the batch is kept and tried again, nothing is acknowledged, and
the full box holds the network back. Collectors keep nothing but the batch at hand: one that dies
loses nothing, because devices send again what was not acknowledged.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from green_edge.telemetry import intake
from green_edge.telemetry.intake import Delivery, Unreadable
from green_edge.telemetry.mailbox import Letter, Mailbox
from green_edge.telemetry.store import Record, Telemetry, Watermark
from green_edge_agent.transport.contract import Message, Transport
from green_edge_wire import codec, topics
from green_edge_wire.clock import Clock
from green_edge_wire.device import DeviceInfo, Reported, Status
from green_edge_wire.errors import GreenEdgeError
from green_edge_wire.telemetry import Ack
from green_edge_wire.topics import Address, Down

logger = logging.getLogger(__name__)

# A letter holds one record to a few dozen; a batch is one transaction and one fsync.
_BATCH_LETTERS = 250
_BATCH_WAIT_S = 0.5
_RETRY_FIRST_S = 0.5
_RETRY_LAST_S = 15.0


@dataclass(frozen=True, slots=True)
class Counts:
    """What a collector has seen since it started.

    Attributes:
        letters: messages taken from the broker and worked off.
        records: samples, events and unread records committed, repeats included.
        unread: those of them that this version cannot decode and keeps as they came.
        undecodable: messages that hold nothing readable, and records without a readable place in
            their sequence: nothing can be kept of either.
        implausible: records that claim what cannot be: kept, and not counted as they say.
        foreign: records refused because they name another device than their topic.
        acks: watermarks that the transport took.
    """

    letters: int = 0
    records: int = 0
    unread: int = 0
    implausible: int = 0
    undecodable: int = 0
    foreign: int = 0
    acks: int = 0


@dataclass(frozen=True, slots=True)
class Listeners:
    """What else happens in the writer thread, after the commit.

    Attributes:
        on_reported: a device told of its update; gets its site and the report.
        on_tick: called after each batch, and every half second without one.
    """

    on_reported: Callable[[str, Reported], None] = lambda _site, _reported: None
    on_tick: Callable[[], None] = lambda: None


class Collector:
    """Collects the telemetry of all devices that the broker lets it see.

    Args:
        transport: not started, or started; its owner starts and stops it.
        store: where to; not closed by the collector.
        clock: gives the moment of arrival.
        listeners: called for reports and ticks; their errors are logged and end nothing.
        mailbox: the bounded box, when another than the default is wanted.
    """

    def __init__(
        self,
        transport: Transport,
        store: Telemetry,
        clock: Clock,
        *,
        listeners: Listeners | None = None,
        mailbox: Mailbox | None = None,
    ) -> None:
        self._transport = transport
        self._store = store
        self._clock = clock
        self._listeners = listeners if listeners is not None else Listeners()
        self._box = mailbox if mailbox is not None else Mailbox()
        self._counts = Counts()
        self._unwell: set[str] = set()
        self._untold: list[tuple[str, Reported]] = []
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="collector", daemon=True)

    @property
    def counts(self) -> Counts:
        """What was seen so far."""
        return self._counts

    @property
    def alive(self) -> bool:
        """Whether the writer thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Subscribe and begin to write."""
        for channel in intake.CHANNELS:
            self._transport.subscribe(topics.filter_for(channel), self._arrived)
        self._thread.start()

    def stop(self) -> None:
        """Take no more, commit and acknowledge what is at hand, end the thread.

        While the store fails the batch at hand is given up: it was not acknowledged, so the
        devices send it again.
        """
        self._closing.set()
        self._box.close()
        if self._thread.ident is not None:
            self._thread.join()

    # --- network thread --------------------------------------------------------------------------

    def _arrived(self, message: Message) -> None:
        self._box.put(Letter(message.topic, message.payload, self._clock.unix_ms()))

    # --- writer thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        self._reread()
        while not self._box.closed or len(self._box):
            letters = self._box.take(at_most=_BATCH_LETTERS, timeout_s=_BATCH_WAIT_S)
            deliveries = self._opened(letters)
            marks = self._committed(deliveries)
            if marks is None:
                return
            self._acknowledge(marks)
            self._tell(deliveries)
            # Letters one by one would cost an fsync each.
            if letters:
                self._box.gather(letters=_BATCH_LETTERS, timeout_s=_BATCH_WAIT_S)

    def _reread(self) -> None:
        """Commit what an older version could not decode."""
        try:
            count = self._store.reread()
        except GreenEdgeError as error:
            self._note("store", well=False, about=str(error))
        else:
            if count:
                logger.warning("records=%d kept unread can be read now", count)

    def _opened(self, letters: Sequence[Letter]) -> list[Delivery]:
        deliveries = []
        for letter in letters:
            found = intake.read(letter)
            if isinstance(found, Delivery):
                self._note_letter(found)
                deliveries.append(found)
            elif isinstance(found, Unreadable):
                self._note_unreadable(found)
        self._count(letters=len(letters))
        return deliveries

    def _committed(self, deliveries: Sequence[Delivery]) -> dict[Address, list[Watermark]] | None:
        """Watermarks by device once all is committed; None when told to stop before that."""
        if not deliveries:
            return {}
        wait_s = _RETRY_FIRST_S
        while True:
            try:
                marks = self._commit(deliveries)
            # Not only what passes by itself: a file that was swapped may be put back.
            except GreenEdgeError as error:
                self._note("store", well=False, about=str(error))
                if self._closing.wait(wait_s):
                    return self._last_try(deliveries)
                wait_s = min(2 * wait_s, _RETRY_LAST_S)
            else:
                self._note("store", well=True)
                return marks

    def _last_try(self, deliveries: Sequence[Delivery]) -> dict[Address, list[Watermark]] | None:
        try:
            return self._commit(deliveries)
        except GreenEdgeError as error:
            self._unwell.discard("store")
            self._note("store", well=False, about=f"stopped, devices send the batch again: {error}")
            return None

    def _commit(self, deliveries: Sequence[Delivery]) -> dict[Address, list[Watermark]]:
        by_site: dict[str, list[Record]] = {}
        marks: dict[Address, list[Watermark]] = {}
        with self._store.batch():
            for delivery in deliveries:
                by_site.setdefault(delivery.address.site, []).extend(delivery.records)
                self._put_state(delivery)
            for site, records in by_site.items():
                received_unix_ms = max(
                    d.received_unix_ms for d in deliveries if d.address.site == site
                )
                for mark in self._store.commit(
                    records, site=site, received_unix_ms=received_unix_ms
                ):
                    marks.setdefault(Address(site, mark.device_id), []).append(mark)
        self._count(records=sum(len(records) for records in by_site.values()))
        return marks

    def _put_state(self, delivery: Delivery) -> None:
        site, received_unix_ms = delivery.address.site, delivery.received_unix_ms
        match delivery.state:
            case Status() as status:
                self._store.put_status(site, status, received_unix_ms)
            case DeviceInfo() as info:
                self._store.put_info(site, info, received_unix_ms)
            case Reported() as reported:
                self._store.put_reported(site, reported, received_unix_ms)
            case None:
                pass

    def _acknowledge(self, marks: dict[Address, list[Watermark]]) -> None:
        for address, found in marks.items():
            for mark in found:
                if mark.seq < 1:
                    continue
                payload = codec.pack_one(Ack(mark.boot_id, mark.seq))
                # One that is not taken is not missed: the device sends again and is told again.
                if self._transport.publish(Message(address.topic(Down.ACK), payload)):
                    self._count(acks=1)

    def _tell(self, deliveries: Sequence[Delivery]) -> None:
        states = ((d.address.site, d.state) for d in deliveries)
        self._untold += [(site, state) for site, state in states if isinstance(state, Reported)]
        try:
            # What a store failure keeps from being told is told after it.
            while self._untold:
                self._listeners.on_reported(*self._untold[0])
                self._untold.pop(0)
            self._listeners.on_tick()
        except GreenEdgeError as error:
            self._note("rollouts", well=False, about=str(error))
        else:
            self._note("rollouts", well=True)

    def _note_letter(self, delivery: Delivery) -> None:
        self._count(foreign=delivery.foreign, undecodable=delivery.unplaced, unread=delivery.unread)
        self._count(implausible=delivery.implausible)
        trouble = _trouble(delivery)
        self._note(_source(delivery), well=not trouble, about=trouble)

    def _note_unreadable(self, found: Unreadable) -> None:
        self._count(undecodable=1)
        self._note(_source(found), well=False, about=found.reason)

    def _note(self, source: str, *, well: bool, about: str = "") -> None:
        """Log when a source of trouble changes its state, not each time it is in it."""
        if not well and source not in self._unwell:
            self._unwell.add(source)
            logger.warning("source=%s trouble=%s", source, about)
        elif well and source in self._unwell:
            self._unwell.discard(source)
            logger.warning("source=%s works again", source)

    def _count(self, **more: int) -> None:
        grown = {name: getattr(self._counts, name) + n for name, n in more.items()}
        self._counts = replace(self._counts, **grown)


def _source(found: Delivery | Unreadable) -> str:
    return f"{found.address.site}/{found.address.device_id}/{found.channel}"


def _trouble(delivery: Delivery) -> str:
    """The worst thing about a letter; empty when all is well."""
    if delivery.foreign:
        return "records of another device's name were refused"
    if delivery.unplaced:
        return f"records whose place cannot be read were refused: {delivery.reason}"
    if delivery.unread:
        return f"records that this version cannot read are kept: {delivery.reason}"
    if delivery.implausible:
        return "records with figures that cannot be are kept and not counted"
    return ""
