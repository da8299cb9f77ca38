"""The transport contract over MQTT, by paho.

MQTT 3.1.1 with a clean session is enough: nothing relies on a broker's memory but retained state,
because the records that matter wait in the sender's spool for the receiver's own acknowledgement.

Paho's behaviour that this module hides:

- `publish` without a connection answers "no connection" and queues all the same. Here it answers
  False and queues nothing, except in the instant in which a connection breaks.
- After a reconnection paho runs `on_connect` first and then sends what it still held. A retained
  state published in `on_connect` could be overwritten by an older one. So the caller's `on_connect`
  runs when the broker has confirmed the subscriptions, which is after those old messages.
- An exception in a callback ends paho's thread for good, in silence. Here it is logged.
- A lock of ours around `publish` that a callback also takes would deadlock with paho's own; hence
  callbacks take none that is held while calling paho.
"""

import contextlib
import logging
import ssl
import sys
import threading
from collections.abc import Callable
from typing import Any, Literal

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from green_edge_agent.transport.contract import Handler, Message
from green_edge_agent.transport.url import BrokerUrl
from green_edge_wire.errors import ConfigError, TransportError

logger = logging.getLogger(__name__)

MqttVersion = Literal["3.1.1", "5"]

_VERSIONS = {"3.1.1": MQTTProtocolVersion.MQTTv311, "5": MQTTProtocolVersion.MQTTv5}
_KEEPALIVE_S = 30
_CONNECT_TIMEOUT_S = 5.0
_RECONNECT_MIN_S = 1
_RECONNECT_MAX_S = 30
# Paho's default is unlimited, which is the machine's memory.
_MAX_QUEUED = 1000
_FAREWELL_TIMEOUT_S = 2.0
# CONNACK codes of MQTT 3.1.1 (4, 5) as paho maps them to MQTT 5 reason codes.
_BAD_CREDENTIALS = frozenset({0x86, 0x87})


class MqttTransport:
    """One MQTT connection.

    Args:
        url: the broker.
        client_id: unique at the broker; a second client of the same id would push us out.
        version: of the protocol; `5` only where the broker is known to speak it.
    """

    def __init__(self, url: BrokerUrl, client_id: str, *, version: MqttVersion = "3.1.1") -> None:
        self._url = url
        self._handlers: dict[str, list[Handler]] = {}
        self._lock = threading.Lock()
        self._on_connect: Callable[[], None] = _nothing
        self._subscribing: set[int | None] = set()
        self._ready = False
        self._trouble = ""
        self._client = _client(url, client_id, version)
        self._client.suppress_exceptions = True
        self._client.on_connect = self._connected
        self._client.on_connect_fail = self._unreachable
        self._client.on_subscribe = self._subscribed
        self._client.on_message = self._received
        self._client.on_disconnect = self._disconnected

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted us and the connection stands."""
        return self._client.is_connected()

    def start(self, *, will: Message | None, on_connect: Callable[[], None]) -> None:
        """Connect in the background; see the contract."""
        self._on_connect = on_connect
        if will is not None:
            self._client.will_set(will.topic, will.payload, will.qos, will.retain)
        self._client.connect_async(self._url.host, self._url.port, _KEEPALIVE_S)
        self._client.loop_start()

    def subscribe(self, topic_filter: str, handler: Handler) -> None:
        """Receive messages of a filter, now and after every reconnection."""
        with self._lock:
            self._handlers.setdefault(topic_filter, []).append(handler)
        if self._client.is_connected():
            self._client.subscribe(topic_filter, qos=1)

    def publish(self, message: Message) -> bool:
        """Hand a message to the connection; False without one or when its queue is full."""
        if not self._client.is_connected():
            return False
        info = self._client.publish(
            message.topic, message.payload, qos=message.qos, retain=message.retain
        )
        return _taken(info.rc, message.qos)

    def stop(self, *, farewell: Message | None = None) -> None:
        """Publish a last message where possible, disconnect cleanly, end the thread."""
        if farewell is not None and self._client.is_connected():
            info = self._client.publish(
                farewell.topic, farewell.payload, qos=farewell.qos, retain=farewell.retain
            )
            # Paho raises where the connection breaks meanwhile; then there is nobody to tell.
            with contextlib.suppress(RuntimeError, ValueError):
                info.wait_for_publish(_FAREWELL_TIMEOUT_S)
        self._client.disconnect()
        self._client.loop_stop()

    # --- callbacks, all in paho's thread ---------------------------------------------------------

    def _connected(
        self, client: paho.Client, _userdata: Any, _flags: Any, reason: ReasonCode, _props: Any
    ) -> None:
        if reason.is_failure:
            remedy = "; check the password" if reason.value in _BAD_CREDENTIALS else ""
            self._complain(f"refused={reason}{remedy}")
            return
        self._trouble = ""
        logger.info("broker=%s connected", self._url)
        self._ready = False
        with self._lock:
            filters = list(self._handlers)
        self._subscribing = {client.subscribe(topic_filter, qos=1)[1] for topic_filter in filters}
        if not filters:
            self._announce()

    def _unreachable(self, _client: paho.Client, _userdata: Any) -> None:
        # Paho calls this from inside of its `except`, and does not hand the error on.
        error = sys.exception()
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        self._complain(f"unreachable={reason}; check that it runs, and its address")

    def _complain(self, trouble: str) -> None:
        """Tell of a trouble once, and not once an attempt: paho tries again for ever."""
        if trouble != self._trouble:
            logger.warning("broker=%s %s; it is tried again", self._url, trouble)
        self._trouble = trouble

    def _subscribed(
        self, _client: paho.Client, _userdata: Any, mid: int, codes: list[ReasonCode], _props: Any
    ) -> None:
        for code in codes:
            if code.is_failure:
                logger.error("broker=%s refused a subscription: %s", self._url, code)
        self._subscribing.discard(mid)
        if not self._subscribing and not self._ready:
            self._announce()

    def _announce(self) -> None:
        self._ready = True
        self._on_connect()

    def _received(self, _client: paho.Client, _userdata: Any, message: paho.MQTTMessage) -> None:
        received = Message(
            topic=message.topic,
            payload=bytes(message.payload),
            qos=1 if message.qos else 0,
            retain=message.retain,
        )
        with self._lock:
            pairs = [(key, tuple(handlers)) for key, handlers in self._handlers.items()]
        for topic_filter, handlers in pairs:
            if paho.topic_matches_sub(topic_filter, received.topic):
                for handler in handlers:
                    handler(received)

    def _disconnected(
        self, _client: paho.Client, _userdata: Any, _flags: Any, reason: ReasonCode, _props: Any
    ) -> None:
        if not self._trouble:
            logger.info("broker=%s disconnected reason=%s", self._url, reason)


def check_broker(url: BrokerUrl, *, timeout_s: float = 5.0, client_id: str = "ge-check") -> None:
    """Connect once and leave.

    Raises:
        TransportError: unreachable, no MQTT behind the port, or the credentials are refused.
    """
    answered = threading.Event()
    verdicts: list[ReasonCode] = []

    def on_connect(
        _client: paho.Client, _userdata: Any, _flags: Any, reason: ReasonCode, _props: Any
    ) -> None:
        verdicts.append(reason)
        answered.set()

    client = _client(url, client_id, "3.1.1", reconnect=False)
    client.connect_timeout = timeout_s
    client.on_connect = on_connect
    client.on_disconnect = lambda *_: answered.set()
    try:
        client.connect(url.host, url.port, _KEEPALIVE_S)
    except OSError as error:
        raise TransportError(
            f"broker {url} cannot be reached: {error.strerror or error}",
            hint="check that it runs, and the address in the configuration",
        ) from error
    client.loop_start()
    answered.wait(timeout_s)
    client.disconnect()
    client.loop_stop()
    _judge(url, verdicts[0] if verdicts else None)


def _judge(url: BrokerUrl, verdict: ReasonCode | None) -> None:
    if verdict is None:
        raise TransportError(
            f"broker {url} gave no answer to an MQTT connection",
            hint="check that the port speaks MQTT (mqtt:// plain, mqtts:// TLS), and the password",
        )
    if verdict.value in _BAD_CREDENTIALS:
        raise TransportError(
            f"broker {url} refused the user name or password ({verdict})",
            hint="check them in the configuration against those that the broker's owner gave out",
        )
    if verdict.is_failure:
        raise TransportError(f"broker {url} refused the connection ({verdict})")


def _client(
    url: BrokerUrl, client_id: str, version: MqttVersion, *, reconnect: bool = True
) -> paho.Client:
    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        clean_session=None if version == "5" else True,
        protocol=_VERSIONS[version],
        reconnect_on_failure=reconnect,
    )
    client.connect_timeout = _CONNECT_TIMEOUT_S
    client.reconnect_delay_set(_RECONNECT_MIN_S, _RECONNECT_MAX_S)
    client.max_queued_messages_set(_MAX_QUEUED)
    paho_logger = logging.getLogger("paho")
    paho_logger.addFilter(_worth_saying)
    client.enable_logger(paho_logger)
    if url.username is not None:
        client.username_pw_set(url.username, url.password)
    if url.tls:
        try:
            client.tls_set_context(ssl.create_default_context())
        except (ssl.SSLError, OSError) as error:
            raise ConfigError(f"TLS cannot be set up: {error}", place="broker") from error
    return client


def _taken(rc: MQTTErrorCode, qos: int) -> bool:
    # "No connection" with QoS 1 means that the connection broke this instant: paho has queued it.
    return rc == MQTTErrorCode.MQTT_ERR_SUCCESS or (
        qos > 0 and rc == MQTTErrorCode.MQTT_ERR_NO_CONN
    )


def _worth_saying(record: logging.LogRecord) -> bool:
    """Whether a line of paho's log tells of trouble.

    Disconnecting while paho's thread is between two reads makes it log an error that is none.
    """
    return not record.getMessage().startswith("Client is not connected")


def _nothing() -> None:
    """Stand in until `start` gives the real callback."""
