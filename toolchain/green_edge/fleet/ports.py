"""Ports and addresses of this machine."""

import errno
import ipaddress
import socket

from green_edge_wire.errors import ConfigError, TransportError

MQTT_PORT = 1883


def bind(host: str, port: int, *, what: str, option: str) -> socket.socket:
    """Open a listening socket; port 0 takes a free one.

    Args:
        host: address or name to bind.
        port: TCP port.
        what: who wants it, for the message.
        option: the option that chooses another port.

    Raises:
        TransportError: the port is taken or needs rights.
        ConfigError: `host` is not an address of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise ConfigError(
            f"{host!r} is no address: {error.strerror}",
            place="--host",
            hint="see 'ip address' for those of this machine",
        ) from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise _refusal(error, f"{host}:{port}", what, option) from error
    return listener


def check_free(host: str, port: int, *, what: str, option: str) -> int:
    """Port that a child process can bind in a moment: `port` itself, or a free one for 0.

    Raises:
        TransportError, ConfigError: as `bind`.
    """
    with bind(host, port, what=what, option=option) as listener:
        return port_of(listener)


def broker_port(asked: int | None, remembered: int | None, host: str) -> int:
    """Port for the embedded broker.

    Devices keep it in their settings, so the one of the last start comes before all others but the
    one that is asked for. At the first start it is MQTT's own, unless a broker of the system (as
    Debian's mosquitto package starts one) has it.

    Args:
        asked: by the command line; 0 means a free one.
        remembered: from the last start.
        host: address to bind.
    """
    if asked is not None:
        return asked
    if remembered is not None:
        return remembered
    try:
        return check_free(host, MQTT_PORT, what="the MQTT broker", option="--broker-port")
    except TransportError:
        return 0


def port_of(listener: socket.socket) -> int:
    """Port that a socket is bound to."""
    return int(listener.getsockname()[1])


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def advertised(host: str) -> str:
    """Address under which others reach what is bound to `host`.

    For a wildcard (`0.0.0.0`, `::`) it is the address that the default route leaves from.
    """
    try:
        wildcard = ipaddress.ip_address(host).is_unspecified
    except ValueError:
        wildcard = False
    if not wildcard:
        return host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Connecting a datagram socket sends nothing; it only looks up the route.
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def url_host(host: str) -> str:
    """Host as a URL writes it: IPv6 addresses in brackets."""
    return f"[{host}]" if ":" in host else host


def _refusal(error: OSError, where: str, what: str, option: str) -> TransportError | ConfigError:
    if error.errno == errno.EADDRINUSE:
        return TransportError(
            f"{what}: {where} is taken by another program",
            hint=f"stop it, or choose another port with {option} (0 takes a free one)",
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return ConfigError(
            f"{what}: {where} is not an address of this machine", place="--host",
            hint="see 'ip address' for those it has",
        )  # fmt: skip
    return TransportError(f"{what}: cannot listen on {where}: {error.strerror}")
