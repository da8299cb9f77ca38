"""A transport and a broker in memory: same contract, no network, no threads.

Everything happens in the caller's thread at once, so tests need no waiting.
"""

import threading
from collections.abc import Callable
from dataclasses import replace

from paho.mqtt.client import topic_matches_sub

from green_edge_agent.transport.contract import Handler, Message


class MemoryBroker:
    """Routes between MemoryTransports; keeps retained messages; can be taken down."""

    def __init__(self) -> None:
        self.up = True
        self.log: list[Message] = []
        self.retained: dict[str, Message] = {}
        self._clients: list[MemoryTransport] = []
        self._lock = threading.RLock()

    def route(self, message: Message) -> None:
        """Deliver a message to every connected subscriber and keep it if it is retained."""
        with self._lock:
            self.log.append(message)
            if message.retain:
                self.retained.pop(message.topic, None)
                if message.payload:
                    self.retained[message.topic] = message
            clients = list(self._clients)
        for client in clients:
            client.deliver(replace(message, retain=False))

    def attach(self, client: "MemoryTransport") -> None:
        """Take a client that has started."""
        with self._lock:
            self._clients.append(client)
        if self.up:
            client.connect_now()

    def detach(self, client: "MemoryTransport") -> None:
        """Let a client go; without its will."""
        with self._lock:
            if client in self._clients:
                self._clients.remove(client)

    def go_down(self) -> None:
        """Stop: everyone loses the connection, nobody's will is published."""
        self.up = False
        for client in list(self._clients):
            client.lose_now()

    def come_up(self) -> None:
        """Start again with the retained messages; everyone reconnects."""
        self.up = True
        for client in list(self._clients):
            client.connect_now()

    def kill(self, client: "MemoryTransport") -> None:
        """Let a client vanish without a word: its will is published."""
        self.detach(client)
        client.lose_now()
        if client.will is not None:
            self.route(client.will)

    def payloads(self, topic: str) -> list[bytes]:
        """Payloads of all messages that passed on one topic."""
        return [message.payload for message in self.log if message.topic == topic]


class MemoryTransport:
    """The client side of a MemoryBroker."""

    def __init__(self, broker: MemoryBroker) -> None:
        self.will: Message | None = None
        self._broker = broker
        self._connected = False
        self._handlers: list[tuple[str, Handler]] = []
        self._on_connect: Callable[[], None] = lambda: None

    @property
    def connected(self) -> bool:
        return self._connected

    def start(self, *, will: Message | None, on_connect: Callable[[], None]) -> None:
        self.will = will
        self._on_connect = on_connect
        self._broker.attach(self)

    def subscribe(self, topic_filter: str, handler: Handler) -> None:
        self._handlers.append((topic_filter, handler))
        if self._connected:
            self._replay(topic_filter, handler)

    def publish(self, message: Message) -> bool:
        if not self._connected:
            return False
        self._broker.route(message)
        return True

    def stop(self, *, farewell: Message | None = None) -> None:
        if farewell is not None:
            self.publish(farewell)
        self._broker.detach(self)
        self._connected = False

    def deliver(self, message: Message) -> None:
        """Called by the broker: pass a message to the handlers whose filter matches."""
        if not self._connected:
            return
        for topic_filter, handler in list(self._handlers):
            if topic_matches_sub(topic_filter, message.topic):
                handler(message)

    def connect_now(self) -> None:
        """Called by the broker: the connection stands."""
        self._connected = True
        for topic_filter, handler in list(self._handlers):
            self._replay(topic_filter, handler)
        self._on_connect()

    def lose_now(self) -> None:
        """Called by the broker: the connection is gone."""
        self._connected = False

    def _replay(self, topic_filter: str, handler: Handler) -> None:
        for message in list(self._broker.retained.values()):
            if topic_matches_sub(topic_filter, message.topic):
                handler(message)
