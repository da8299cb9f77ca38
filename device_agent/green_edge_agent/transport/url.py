"""Broker addresses: `mqtt://user:password@host:1883`, or `mqtts://` for TLS."""

from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit

from green_edge_wire.errors import ConfigError

_DEFAULT_PORTS = {"mqtt": 1883, "mqtts": 8883}
_HINT = "write it as mqtt://host:1883 or mqtts://user:password@host:8883"


@dataclass(frozen=True, slots=True)
class BrokerUrl:
    """Where a broker listens and who we are there. `str` and `repr` never show the password."""

    host: str
    port: int = 1883
    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        user = "" if self.username is None else f"{quote(self.username, safe='')}@"
        return f"{self._scheme}://{user}{self._host}:{self.port}"

    def with_password(self) -> str:
        """Text that `parse_broker_url` turns into an equal value; holds the password."""
        if self.username is None:
            return str(self)
        secret = "" if self.password is None else f":{quote(self.password, safe='')}"
        user = f"{quote(self.username, safe='')}{secret}@"
        return f"{self._scheme}://{user}{self._host}:{self.port}"

    @property
    def _scheme(self) -> str:
        return "mqtts" if self.tls else "mqtt"

    @property
    def _host(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


def parse_broker_url(text: str, *, place: str = "broker") -> BrokerUrl:
    """Parse a broker address.

    Args:
        text: the address; user and password may be percent-encoded.
        place: the option or key it came from, for the message.

    Raises:
        ConfigError: not such an address. The message never repeats the text, which may hold a
            password.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"not a broker address ({error})", place=place, hint=_HINT) from None
    if parts.scheme not in _DEFAULT_PORTS:
        shown = f"scheme {parts.scheme!r}" if "://" in text else "no scheme"
        raise ConfigError(f"not a broker address ({shown})", place=place, hint=_HINT)
    if not parts.hostname or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ConfigError(
            "a broker address is a scheme, a host and a port", place=place, hint=_HINT
        )
    if port == 0:
        raise ConfigError("port 0 cannot be connected to", place=place, hint=_HINT)
    return BrokerUrl(
        host=parts.hostname,
        port=_DEFAULT_PORTS[parts.scheme] if port is None else port,
        tls=parts.scheme == "mqtts",
        username=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
    )
