"""Sends what the spool holds and forgets what the host has confirmed.

Oldest first, in batches, with a bounded number of records on their way. Records stay in the spool
until the host's own acknowledgement; what is not acknowledged within a while is sent again, and
everything is after a reconnection. The host takes repeats for what they are.
"""

import logging
from collections.abc import Iterator, Sequence
from itertools import groupby

from green_edge_agent.spool import Entry, Spool
from green_edge_agent.transport.contract import Message, Transport
from green_edge_wire import codec
from green_edge_wire.clock import Clock
from green_edge_wire.telemetry import Ack, Sample
from green_edge_wire.topics import Address, Up
from green_edge_wire.units import NS_PER_S

logger = logging.getLogger(__name__)

# Batches on their way at most; more would only wait in the broker.
_BATCHES_IN_FLIGHT = 10
_RESEND_MIN_NS = 10 * NS_PER_S
_RESEND_MAX_NS = 60 * NS_PER_S


class Uplink:
    """The way of records from the spool to the host. Used by the service's thread alone.

    Args:
        spool: where records wait.
        transport: how they travel.
        address: whose topics they go to.
        clock: times the repetition.
        batch: records in one message at most.
    """

    def __init__(
        self, spool: Spool, transport: Transport, address: Address, clock: Clock, *, batch: int
    ) -> None:
        self._spool = spool
        self._transport = transport
        self._address = address
        self._clock = clock
        self._batch = batch
        self._sent_to = 0
        self._in_flight = 0
        self._progress_ns = 0
        self._resend_ns = _RESEND_MIN_NS
        self._foreign: set[str] = set()

    def reconnected(self) -> None:
        """Begin again with the oldest record: what was on its way may be lost."""
        self._rewind()
        self._resend_ns = _RESEND_MIN_NS

    def pump(self) -> None:
        """Send what may be sent now."""
        if not self._transport.connected:
            return
        now_ns = self._clock.monotonic_ns()
        if self._in_flight and now_ns - self._progress_ns >= self._resend_ns:
            self._rewind()
            self._resend_ns = min(2 * self._resend_ns, _RESEND_MAX_NS)
        while self._in_flight < _BATCHES_IN_FLIGHT * self._batch:
            entries = self._spool.after(self._sent_to, self._batch)
            if not entries or not self._send(entries):
                return
            if not self._in_flight:
                self._progress_ns = now_ns
            self._in_flight += len(entries)
            self._sent_to = entries[-1].id

    def acknowledged(self, ack: Ack) -> bool:
        """Take the host's word.

        Returns:
            False when it is about a boot that this device never had, once for each such boot:
            another agent uses its device id.

        Raises:
            DeviceError: the disk refused to forget; the host will be asked again.
        """
        before = self._spool.pending
        if not self._spool.acknowledge(ack.boot_id, ack.seq):
            new = ack.boot_id not in self._foreign
            self._foreign.add(ack.boot_id)
            return not new
        gone = before - self._spool.pending
        if gone:
            self._in_flight = max(self._in_flight - gone, 0)
            self._progress_ns = self._clock.monotonic_ns()
            self._resend_ns = _RESEND_MIN_NS
        return True

    def _rewind(self) -> None:
        self._sent_to = 0
        self._in_flight = 0

    def _send(self, entries: Sequence[Entry]) -> bool:
        return all(self._transport.publish(message) for message in self._messages(entries))

    def _messages(self, entries: Sequence[Entry]) -> Iterator[Message]:
        """Messages of neighbouring records that share a channel, in the spool's order."""
        for is_sample, group in groupby(entries, key=lambda e: isinstance(e.record, Sample)):
            topic = self._address.topic(Up.TELEMETRY if is_sample else Up.EVENT)
            yield Message(topic, codec.pack([entry.record for entry in group]))
