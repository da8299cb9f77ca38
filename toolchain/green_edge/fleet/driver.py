"""Runs the rollouts: publishes orders and notes what devices report.

It works in the collector's thread, after each of its batches. `push` only writes a rollout to the
store, so it needs no broker, and a rollout goes on when the terminal that asked for it is closed.
"""

import threading

from green_edge.fleet import rollout as rules
from green_edge.telemetry.store import Rollouts
from green_edge_agent.transport.contract import Message, Transport
from green_edge_wire import codec
from green_edge_wire.clock import Clock
from green_edge_wire.command import Envelope
from green_edge_wire.device import Reported
from green_edge_wire.topics import Address, Down


class RolloutDriver:
    """Advances the open rollouts of a store.

    `reported` and `tick` are called from one thread, the collector's: a report that follows an
    announcement at once is then noted after it. `reconnected` may be called from any thread.

    Args:
        store: shared with the commands that make rollouts.
        transport: the connection to the broker.
        clock: of this machine.
    """

    def __init__(self, store: Rollouts, transport: Transport, clock: Clock) -> None:
        self._store = store
        self._transport = transport
        self._clock = clock
        self._again = threading.Event()

    def reconnected(self) -> None:
        """Publish all open orders again: the broker may have forgotten what it retained."""
        self._again.set()

    def reported(self, site: str, reported: Reported) -> None:
        """Note what a device reports of its update."""
        rollout = self._store.rollout(reported.rollout_id) if reported.rollout_id else None
        if rollout is None:
            return
        device = rules.after_report(rollout, reported, self._clock.unix_ms())
        if device is not None and device.site == site:
            self._store.set_rollout_device(rollout.rollout_id, device)

    def tick(self) -> None:
        """Do what the open rollouts call for now."""
        again = self._again.is_set() and self._transport.connected
        if again:
            self._again.clear()
        now = self._clock.unix_ms()
        for step in rules.next_steps(self._store.open_rollouts(), now, again=again):
            match step:
                case rules.Settle(rollout_id, device):
                    self._store.set_rollout_device(rollout_id, device)
                case rules.Publish(rollout_id, device):
                    if self._publish(device.site, device.envelope):
                        told = rules.announced(device, now)
                        self._store.set_rollout_device(rollout_id, told)

    def _publish(self, site: str, envelope: str) -> bool:
        signed = codec.loads(Envelope, envelope, strict=True)
        topic = Address(site, signed.device_id).topic(Down.DESIRED)
        return self._transport.publish(Message(topic, codec.pack_one(signed), retain=True))
