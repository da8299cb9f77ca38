"""The embedded amqtt broker: a child process with our users and topic rules.

amqtt speaks MQTT 3.1.1 only. Users are read again at every log-in, so a new device needs no signal.
"""

import asyncio
import logging
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from amqtt.broker import Broker
from amqtt.contexts import Action, BaseContext
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import Session

from green_edge.fleet.access import may, password_matches
from green_edge.fleet.engines import AmqttSettings
from green_edge_wire import codec

# Spelled out: as the main program this module's own name is another.
_HERE = "green_edge.fleet.amqtt_child"


class PasswordPlugin(BaseAuthPlugin):  # type: ignore[misc]  # amqtt has no types for mypy
    """Lets in whom the password file names; nobody without a name."""

    def __init__(self, context: BaseContext) -> None:
        super().__init__(context)
        self._path = Path(self.config.password_file)

    async def authenticate(self, *, session: Session) -> bool:
        """Decide about one CONNECT."""
        lines = self._path.read_text(encoding="utf-8").splitlines()
        return password_matches(lines, session.username or "", session.password or "")

    @dataclass
    class Config:
        """Settings of the plugin."""

        password_file: str


class TopicPlugin(BaseTopicPlugin):  # type: ignore[misc]  # amqtt has no types for mypy
    """Applies the topic rules of `access`."""

    async def topic_filtering(
        self,
        *,
        session: Session | None = None,
        topic: str | None = None,
        action: Action | None = None,
    ) -> bool:
        """Decide about one publish, subscription or delivery."""
        if session is None or topic is None or action is None:
            return False
        return may(session.username or "", action.value, topic)


async def serve(settings: AmqttSettings) -> None:
    """Run the broker until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    broker = Broker(
        {
            "listeners": {
                "default": {"type": "tcp", "bind": f"{settings.host}:{settings.port}"},
            },
            "plugins": {
                f"{_HERE}.PasswordPlugin": {"password_file": str(settings.password_file)},
                f"{_HERE}.TopicPlugin": {},
            },
        },
        loop=loop,
    )
    await broker.start()
    await stop.wait()
    await broker.shutdown()


def main(arguments: list[str]) -> None:
    """Run with the settings file that the first argument names."""
    logging.basicConfig(stream=sys.stderr, level=logging.ERROR)
    settings = codec.loads(AmqttSettings, Path(arguments[0]).read_bytes(), strict=True)
    asyncio.run(serve(settings))


if __name__ == "__main__":
    main(sys.argv[1:])
