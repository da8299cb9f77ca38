"""What every transport promises, whatever carries the bytes.

Delivery is at least once while the connection lasts and at most once over a lost one; nothing is
kept on disk. Who needs more keeps a spool and waits for the receiver's own word (see `spool`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class Message:
    """One message on one topic.

    Attributes:
        retain: the broker keeps it as the topic's state; with an empty payload it forgets it.
    """

    topic: str
    payload: bytes
    qos: Literal[0, 1] = 1
    retain: bool = False


Handler = Callable[[Message], None]


class Transport(Protocol):
    """A connection that comes back by itself. Its methods may be called from any thread."""

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted us and the connection stands."""
        ...

    def start(self, *, will: Message | None, on_connect: Callable[[], None]) -> None:
        """Connect in the background; an unreachable broker is tried again for ever.

        Args:
            will: what the broker publishes for us when we vanish.
            on_connect: called in the network thread after each connection, once the
                subscriptions are active. It may publish; a birth message belongs there.
        """
        ...

    def subscribe(self, topic_filter: str, handler: Handler) -> None:
        """Receive messages of a filter, now and after every reconnection.

        Handlers run in the network thread and must only enqueue.
        """
        ...

    def publish(self, message: Message) -> bool:
        """Hand a message over; False when it was not taken and the caller must keep it."""
        ...

    def stop(self, *, farewell: Message | None = None) -> None:
        """Publish a last message where possible, disconnect cleanly (no will), end the thread."""
        ...
