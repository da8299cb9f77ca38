"""The client of the artefact server."""

import hashlib
import http.client
from contextlib import closing
from urllib.parse import urlsplit

from green_edge_wire import codec
from green_edge_wire.errors import ConfigError, DecodeError, TransportError

_TIMEOUT_S = 30.0


def artefact_url(base_url: str, sha256: str) -> str:
    """URL that devices fetch a bundle from."""
    return f"{base_url.rstrip('/')}/artefacts/{sha256}"


def upload(base_url: str, token: str, data: bytes) -> str:
    """Put a bundle on the artefact server, unless it is there already.

    Args:
        base_url: of the server, such as `http://127.0.0.1:8080`.
        token: the operator's.
        data: the bundle.

    Returns:
        Its URL.

    Raises:
        ConfigError: `base_url` is not one.
        TransportError: unreachable, or the server refused, with its reason.
    """
    sha256 = hashlib.sha256(data).hexdigest()
    url = artefact_url(base_url, sha256)
    if stored_bytes(base_url, sha256) == len(data):
        return url
    headers = {"authorization": f"Bearer {token}", "content-type": "application/octet-stream"}
    status, reason, _ = _ask(url, "PUT", body=data, headers=headers)
    if status == 401:
        raise TransportError(
            f"the artefact server {base_url} refused the token",
            hint="set GREEN_EDGE_TOKEN to the token that the server was started with",
        )
    if status not in {200, 201, 204}:
        raise TransportError(f"the artefact server {base_url} answered {status}: {reason}")
    return url


def stored_bytes(base_url: str, sha256: str) -> int | None:
    """Length of a bundle on the artefact server; None when it is not there.

    Raises:
        ConfigError, TransportError: as `upload`.
    """
    status, reason, length = _ask(artefact_url(base_url, sha256), "HEAD")
    if status == 404:
        return None
    if status != 200:
        raise TransportError(f"the artefact server {base_url} answered {status}: {reason}")
    return length


def _ask(
    url: str, method: str, *, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, str, int]:
    """Status, reason in one line, and content length of one request."""
    with closing(_connection(url)) as connection:
        try:
            connection.request(method, urlsplit(url).path, body=body, headers=headers or {})
            response = connection.getresponse()
            text = response.read(1000).decode("utf-8", "replace").strip()
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or error
            raise TransportError(
                f"the artefact server at {url} cannot be reached: {reason}",
                hint="is 'green-edge up' running?",
            ) from error
        length = response.getheader("content-length", "0")
        return (
            response.status,
            _plain(text) or response.reason,
            int(length) if length.isdigit() else 0,
        )


def _plain(text: str) -> str:
    """Reason out of an answer's body, which is text or `{"error": text}`."""
    if not text.startswith("{"):
        return text
    try:
        document = codec.parse_json(text)
    except DecodeError:
        return text
    return str(document.get("error", text)) if isinstance(document, dict) else text


def _connection(url: str) -> http.client.HTTPConnection:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _not_an_url(url) from error
    if parts.hostname is None or parts.scheme not in {"http", "https"}:
        raise _not_an_url(url)
    if parts.scheme == "https":
        return http.client.HTTPSConnection(parts.hostname, port, timeout=_TIMEOUT_S)
    return http.client.HTTPConnection(parts.hostname, port, timeout=_TIMEOUT_S)


def _not_an_url(url: str) -> ConfigError:
    return ConfigError(
        f"{url!r} is not the URL of an artefact server", place="--artefacts",
        hint="write it as http://host:8080",
    )  # fmt: skip
