"""Real brokers on free loopback ports, for tests that need one.

    with running_broker("mosquitto", tmp_path) as broker:
        transport = MqttTransport(parse_broker_url(broker.device_url("pi-kitchen")), "client")

`broker.url` carries the operator's credential, `broker.device_url(id)` a device's. `stop()` and
`start()` keep the port; `kill(broker)` ends the program with SIGKILL, after which the embedded
broker starts it again by itself.
"""

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from green_edge.fleet.embedded import EmbeddedBroker
from green_edge.fleet.engines import Kind

KINDS: tuple[Kind, ...] = ("mosquitto", "amqtt")


def skip_unless_installed(kind: Kind) -> None:
    """Skip the test, with the remedy, where the broker's program is missing."""
    if kind == "mosquitto":
        found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
        if found is None:
            pytest.skip("mosquitto is not installed: apt-get install mosquitto")
    elif find_spec("amqtt") is None:
        pytest.skip("amqtt is not installed: pip install 'green-edge[host]'")


@contextmanager
def running_broker(
    kind: Kind, folder: Path, *, say: Callable[[str], None] | None = None
) -> Iterator[EmbeddedBroker]:
    """A broker of one kind in a folder of its own; ended with the block."""
    skip_unless_installed(kind)
    said: list[str] = []
    broker = EmbeddedBroker(folder / f"broker-{kind}", kind=kind, say=say or said.append)
    with broker:
        yield broker


def kill(broker: EmbeddedBroker) -> int:
    """End the broker's program with SIGKILL; returns the process id that died."""
    pid = broker.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    return pid


def wait_until(true: Callable[[], bool], *, within_s: float = 15.0) -> None:
    """Poll until `true()`; fail the test when the time is over."""
    give_up_s = time.monotonic() + within_s
    while not true():
        if time.monotonic() > give_up_s:
            pytest.fail(f"not true within {within_s} s")
        time.sleep(0.02)
