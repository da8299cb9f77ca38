"""The embedded broker as a real child process, both programs."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Self

import pytest

from green_edge.fleet.embedded import EmbeddedBroker
from green_edge.fleet.engines import find_engine
from green_edge_agent.transport.contract import Message
from green_edge_agent.transport.mqtt import MqttTransport, check_broker
from green_edge_agent.transport.url import parse_broker_url
from green_edge_wire.errors import ConfigError, TransportError
from support.brokers import KINDS, kill, running_broker, skip_unless_installed, wait_until

pytestmark = pytest.mark.broker


@pytest.fixture(params=KINDS)
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EmbeddedBroker]:
    with running_broker(request.param, tmp_path) as running:
        yield running


class Client:
    """A connected client that keeps what it received."""

    def __init__(self, url: str, name: str, *filters: str) -> None:
        self.received: list[tuple[str, bytes]] = []
        self.connections = 0
        self.transport = MqttTransport(parse_broker_url(url), name)
        for topic_filter in filters:
            self.transport.subscribe(topic_filter, self._take)
        self.transport.start(will=None, on_connect=self._count)
        wait_until(lambda: self.connections > 0)

    def _take(self, message: Message) -> None:
        self.received.append((message.topic, message.payload))

    def _count(self) -> None:
        self.connections += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.transport.stop()


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_each_device_reads_and_writes_its_own_topics_only(broker: EmbeddedBroker) -> None:
    with (
        Client(broker.url, "host", "ge/v1/+/+/telemetry") as host,
        Client(broker.device_url("pi"), "pi", "ge/v1/home/pi/desired") as pi,
        Client(broker.device_url("spy"), "spy", "ge/v1/home/pi/desired", "#") as spy,
    ):
        spy.transport.publish(Message("ge/v1/home/pi/telemetry", b"forged"))
        spy.transport.publish(Message("ge/v1/home/pi/desired", b"forged"))
        pi.transport.publish(Message("ge/v1/home/pi/telemetry", b"real"))
        host.transport.publish(Message("ge/v1/home/pi/desired", b"order", retain=True))
        wait_until(lambda: bool(host.received and pi.received))
        assert host.received == [("ge/v1/home/pi/telemetry", b"real")]
        assert pi.received == [("ge/v1/home/pi/desired", b"order")]
        assert spy.received == []


def test_a_wrong_password_or_none_is_refused(broker: EmbeddedBroker) -> None:
    url = parse_broker_url(broker.url)
    with pytest.raises(TransportError, match="refused the user name or password"):
        check_broker(replace(url, password="wrong"))
    with pytest.raises(TransportError):
        check_broker(replace(url, username=None, password=None))
    with pytest.raises(TransportError):
        check_broker(replace(url, username="nobody"))


def test_a_device_is_let_in_while_the_broker_runs(broker: EmbeddedBroker) -> None:
    pid = broker.pid
    url = parse_broker_url(broker.device_url("late"))

    def let_in() -> bool:
        try:
            check_broker(url)
        except TransportError:
            return False
        return True

    wait_until(let_in)
    assert broker.pid == pid
    assert broker.add_device("late") == url.password


def test_a_killed_broker_is_started_again_and_clients_return(tmp_path: Path) -> None:
    for kind in KINDS:
        skip_unless_installed(kind)
        said: list[str] = []
        with (
            running_broker(kind, tmp_path, say=said.append) as broker,
            Client(broker.url, "host", "ge/v1/+/+/status") as host,
        ):
            died = kill(broker)
            wait_until(lambda: host.connections == 2)
            assert broker.pid not in {None, died}
            assert said == ["the broker ended with code -9; starting it again"]
            host.transport.publish(Message("ge/v1/home/pi/status", b"again"))
            wait_until(lambda: host.received == [("ge/v1/home/pi/status", b"again")])


def test_stop_leaves_no_process_and_start_takes_the_same_port(broker: EmbeddedBroker) -> None:
    pid, port, url = broker.pid, broker.port, broker.url
    assert pid is not None
    broker.stop()
    assert gone(pid)
    assert broker.pid is None
    broker.stop()
    broker.start()
    assert (broker.port, broker.url) == (port, url)
    check_broker(parse_broker_url(url))


def test_a_taken_port_is_refused_with_a_remedy(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        broker = EmbeddedBroker(tmp_path, port=taken.getsockname()[1])
        with pytest.raises(TransportError, match=r"taken by another program.*--broker-port"):
            broker.start()


def test_a_free_port_that_another_program_takes_first_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    skip_unless_installed("mosquitto")
    real = find_engine("mosquitto").program[0]
    late = tmp_path / "bin" / "mosquitto"
    late.parent.mkdir()
    late.write_text(
        "#!/bin/sh\n"
        f'if mkdir "{tmp_path}/was-late" 2>/dev/null; then\n'
        '  echo "Error: Address already in use" >&2; exit 1\n'
        "fi\n"
        f'exec {real} "$@"\n'
    )
    late.chmod(0o755)
    monkeypatch.setenv("PATH", f"{late.parent}:{os.environ['PATH']}")
    with EmbeddedBroker(tmp_path / "broker", kind="mosquitto") as broker:
        check_broker(parse_broker_url(broker.url))
    assert (tmp_path / "was-late").is_dir()


def test_a_broker_that_cannot_start_says_why(tmp_path: Path) -> None:
    skip_unless_installed("mosquitto")
    broker = EmbeddedBroker(tmp_path, kind="mosquitto")
    (tmp_path / "passwd").unlink()
    with pytest.raises(TransportError, match=r"did not start: .*passwd"):
        broker.start()
    assert broker.pid is None


def test_no_broker_outlives_a_parent_that_is_killed(tmp_path: Path) -> None:
    skip_unless_installed("mosquitto")
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from green_edge.fleet.embedded import EmbeddedBroker\n"
        "broker = EmbeddedBroker(Path(sys.argv[1]))\n"
        "broker.start()\n"
        "print(broker.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not gone(pid)
        parent.send_signal(signal.SIGKILL)
    wait_until(lambda: gone(pid))


def test_a_broker_that_is_not_installed_is_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert find_engine("amqtt").kind == "amqtt"
    monkeypatch.setenv("PATH", "")
    engine = find_engine()
    if engine.kind == "mosquitto":
        assert engine.program == ("/usr/sbin/mosquitto",)
    else:
        with pytest.raises(ConfigError, match="apt-get install mosquitto"):
            find_engine("mosquitto")
