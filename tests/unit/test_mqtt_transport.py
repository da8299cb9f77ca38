"""What the MQTT transport says when a broker cannot be used, and broker addresses."""

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from green_edge_agent.transport.contract import Message
from green_edge_agent.transport.mqtt import MqttTransport, check_broker
from green_edge_agent.transport.url import BrokerUrl, parse_broker_url
from green_edge_wire.errors import ConfigError, TransportError
from support.brokers import KINDS, running_broker, wait_until


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.broker
@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_password_is_told_from_a_right_one(kind: str, tmp_path: Path) -> None:
    with running_broker(kind, tmp_path) as broker:  # type: ignore[arg-type]
        url = parse_broker_url(broker.url)
        check_broker(url)
        with pytest.raises(TransportError, match="password"):
            check_broker(replace(url, password="wrong"))


@pytest.mark.broker
def test_a_refused_client_says_so_once_and_keeps_trying(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running_broker("mosquitto", tmp_path) as broker:
        url = replace(parse_broker_url(broker.url), password="wrong")
        client = MqttTransport(url, "refused")
        connected = threading.Event()
        client.start(will=None, on_connect=connected.set)
        wait_until(lambda: "refused=" in caplog.text)
        assert not client.connected
        client.stop()
        assert not connected.is_set()
    (line,) = [r.getMessage() for r in caplog.records if r.name.startswith("green_edge")]
    assert line.endswith("refused=Not authorized; check the password; it is tried again")
    assert "wrong" not in line


@pytest.mark.broker
def test_mqtt_5_is_spoken_where_it_is_asked_for(tmp_path: Path) -> None:
    with running_broker("mosquitto", tmp_path) as broker:
        client = MqttTransport(parse_broker_url(broker.url), "five", version="5")
        connected = threading.Event()
        client.start(will=None, on_connect=connected.set)
        wait_until(connected.is_set)
        client.stop()


@pytest.mark.broker
def test_a_handler_that_fails_does_not_end_the_connection(tmp_path: Path) -> None:
    with running_broker("mosquitto", tmp_path) as broker:
        client = MqttTransport(parse_broker_url(broker.url), "clumsy")
        got: list[Message] = []

        def clumsy(message: Message) -> None:
            got.append(message)
            raise ValueError(message.topic)

        client.subscribe("ge/v1/home/pi/ack", clumsy)
        client.start(will=None, on_connect=lambda: None)
        wait_until(lambda: client.publish(Message("ge/v1/home/pi/ack", b"1")) and bool(got))
        before = len(got)
        wait_until(lambda: client.publish(Message("ge/v1/home/pi/ack", b"2")) and len(got) > before)
        client.stop()


def test_a_broker_that_is_not_there_is_named_with_a_remedy() -> None:
    with pytest.raises(TransportError, match=r"mqtt://127\.0\.0\.1:\d+ cannot be reached.*check"):
        check_broker(BrokerUrl("127.0.0.1", free_port()))


def test_a_client_without_a_broker_says_so_once_and_keeps_trying(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    client = MqttTransport(BrokerUrl("127.0.0.1", free_port()), "alone")
    client._client.reconnect_delay_set(0, 0)
    client.start(will=None, on_connect=lambda: None)
    wait_until(lambda: caplog.text.count("Connection failed, retrying") >= 3)
    assert not client.connected
    client.stop()
    (line,) = [r.getMessage() for r in caplog.records if r.name.startswith("green_edge")]
    assert "unreachable=Connection refused; check that it runs, and its address" in line


@pytest.fixture
def mute_port() -> Iterator[int]:
    """A port that accepts connections and never answers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield int(server.getsockname()[1])


def test_a_port_that_does_not_speak_mqtt_is_told(mute_port: int) -> None:
    with pytest.raises(TransportError, match="no answer to an MQTT connection"):
        check_broker(BrokerUrl("127.0.0.1", mute_port), timeout_s=0.3)


def test_tls_is_set_up_for_mqtts() -> None:
    client = MqttTransport(BrokerUrl("127.0.0.1", free_port(), tls=True), "secure")
    client.start(will=None, on_connect=lambda: None)
    assert not client.connected
    client.stop()


def test_an_address_is_parsed_with_its_defaults() -> None:
    assert parse_broker_url("mqtt://pi.local") == BrokerUrl("pi.local", 1883)
    assert parse_broker_url("mqtts://[::1]/") == BrokerUrl("::1", 8883, tls=True)
    given_url = parse_broker_url("mqtt://me:p%40ss@host:99")
    assert given_url == BrokerUrl("host", 99, username="me", password="p@ss")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "host",
        "host:1883",
        "http://host",
        "mqtt://",
        "mqtt://host:port",
        "mqtt://host:0",
        "mqtt://host:70000",
        "mqtt://host/path",
        "mqtt://host?x=1",
        "mqtt://[::1",
    ],
)
def test_what_is_no_address_is_refused_with_the_form_to_use(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^broker\.url: .*mqtt://host:1883"):
        parse_broker_url(text, place="broker.url")


names = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1)


@given(user=st.none() | names, password=names, tls=st.booleans(), port=st.integers(1, 65535))
def test_an_address_survives_its_text_and_hides_its_password(
    user: str | None, password: str, tls: bool, port: int
) -> None:
    secret = None if user is None else "sEcReT" + password
    url = BrokerUrl("broker.example", port, tls, user, secret)
    assert parse_broker_url(url.with_password()) == url
    assert "sEcReT" not in f"{url}{url!r}"
