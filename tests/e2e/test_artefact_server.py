"""The artefact server over real HTTP, by its own client and by the device's."""

import hashlib
import http.client
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from starlette.applications import Starlette

from green_edge.fleet import artefacts, ports
from green_edge.fleet.http import HttpServer, RequireToken, may_enter
from green_edge.fleet.upload import artefact_url, stored_bytes, upload
from green_edge_agent.install.fetch import Wanted, fetch
from green_edge_wire.errors import ConfigError, TransportError

TOKEN = "operator-token"
DATA = bytes(range(256)) * 400
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "artefacts"


@pytest.fixture
def server(folder: Path) -> Iterator[str]:
    app = Starlette(routes=artefacts.routes(folder, TOKEN, max_bytes=len(DATA)))
    listener = ports.bind("127.0.0.1", 0, what="the web server", option="--port")
    url = f"http://127.0.0.1:{ports.port_of(listener)}"
    with HttpServer(RequireToken(app, TOKEN), listener):
        yield url


def ask(
    url: str, method: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    with closing(http.client.HTTPConnection(parts.hostname, parts.port, timeout=15)) as connection:
        connection.request(method, parts.path, body=body, headers=headers or {})
        reply = connection.getresponse()
        return reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read()


def put(url: str, body: bytes, token: str = TOKEN) -> tuple[int, str]:
    status, _, text = ask(url, "PUT", body, {"authorization": f"Bearer {token}"})
    return status, text.decode()


def test_what_is_uploaded_comes_back_byte_for_byte(server: str, folder: Path) -> None:
    url = upload(server, TOKEN, DATA)
    assert url == f"{server}/artefacts/{SHA256}"
    assert ask(url, "GET")[2] == DATA
    assert stored_bytes(server, SHA256) == len(DATA)
    assert [path.name for path in folder.iterdir()] == [SHA256]


def test_an_upload_that_is_there_already_is_not_sent_again(server: str, folder: Path) -> None:
    upload(server, TOKEN, DATA)
    before = (folder / SHA256).stat().st_mtime_ns
    assert upload(f"{server}/", "wrong token", DATA) == artefact_url(server, SHA256)
    assert (folder / SHA256).stat().st_mtime_ns == before


def test_a_part_is_given_where_asked(server: str) -> None:
    url = upload(server, TOKEN, DATA)
    status, headers, body = ask(url, "GET", headers={"range": "bytes=1000-1003"})
    assert (status, body) == (206, DATA[1000:1004])
    assert headers["content-range"] == f"bytes 1000-1003/{len(DATA)}"
    assert ask(url, "GET", headers={"range": f"bytes={len(DATA)}-"})[0] == 416


def test_a_device_goes_on_where_it_was_interrupted(server: str, tmp_path: Path) -> None:
    url = upload(server, TOKEN, DATA)
    part = tmp_path / "x.part"
    part.write_bytes(DATA[:5000])
    fetch(Wanted((url,), SHA256, len(DATA)), part)
    assert part.read_bytes() == DATA


def test_nobody_uploads_without_the_token(server: str, folder: Path) -> None:
    url = artefact_url(server, SHA256)
    assert put(url, DATA, "wrong")[0] == 401
    assert ask(url, "PUT", DATA)[0] == 401
    assert list(folder.iterdir()) == []
    with pytest.raises(TransportError, match="refused the token; set GREEN_EDGE_TOKEN"):
        upload(server, "wrong", DATA)


def test_bytes_of_another_digest_are_refused_and_leave_nothing(server: str, folder: Path) -> None:
    status, why = put(artefact_url(server, SHA256), DATA[:-1])
    assert status == 422
    assert hashlib.sha256(DATA[:-1]).hexdigest() in why
    assert list(folder.iterdir()) == []


def test_more_than_allowed_is_refused_and_leaves_nothing(server: str, folder: Path) -> None:
    data = DATA + b"x"
    status, why = put(artefact_url(server, hashlib.sha256(data).hexdigest()), data)
    assert (status, "greater than" in why) == (413, True)
    assert list(folder.iterdir()) == []


def test_an_upload_that_breaks_off_leaves_nothing(server: str, folder: Path) -> None:
    parts = urlsplit(server)
    assert parts.hostname is not None
    with closing(http.client.HTTPConnection(parts.hostname, parts.port, timeout=15)) as connection:
        connection.putrequest("PUT", f"/artefacts/{SHA256}")
        connection.putheader("authorization", f"Bearer {TOKEN}")
        connection.putheader("content-length", str(len(DATA)))
        connection.endheaders(DATA[:1000])
    assert upload(server, TOKEN, DATA)
    assert [path.name for path in folder.iterdir()] == [SHA256]


@pytest.mark.parametrize(
    "name", ["a" * 63, "A" * 64, "g" * 64, "..", ".upload-x", "%2e%2e%2fetc%2fpasswd"]
)
def test_only_digests_are_names(server: str, name: str) -> None:
    assert ask(f"{server}/artefacts/{name}", "GET")[0] in {401, 404}
    assert put(f"{server}/artefacts/{name}", b"x")[0] in {404, 405}


def test_an_artefact_that_is_not_there_is_none(server: str) -> None:
    assert stored_bytes(server, "0" * 64) is None


def test_an_unreachable_server_is_an_error_with_a_remedy() -> None:
    port = ports.check_free("127.0.0.1", 0, what="nothing", option="--port")
    with pytest.raises(TransportError, match=r"cannot be reached.*green-edge up"):
        upload(f"http://127.0.0.1:{port}", TOKEN, DATA)


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://h", "http://", "http://h:port", "[::1"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="--artefacts"):
        upload(url, TOKEN, DATA)


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "artefacts"
    app = Starlette(routes=artefacts.routes(folder, TOKEN))
    folder.rmdir()
    listener = ports.bind("127.0.0.1", 0, what="the web server", option="--port")
    url = f"http://127.0.0.1:{ports.port_of(listener)}"
    with (
        HttpServer(app, listener),
        pytest.raises(TransportError, match="answered 507: cannot keep it: No such file"),
    ):
        upload(url, TOKEN, DATA)


def test_pages_beyond_the_artefacts_ask_for_the_token(server: str) -> None:
    status, headers, _ = ask(f"{server}/", "GET")
    assert (status, headers["www-authenticate"].split()[0]) == (401, "Basic")
    assert ask(f"{server}/", "GET", headers={"authorization": f"Bearer {TOKEN}"})[0] == 404


@pytest.mark.parametrize(
    ("header", "enters"),
    [
        ("Bearer operator-token", True),
        ("bearer operator-token", True),
        ("Basic X29wZXJhdG9yOm9wZXJhdG9yLXRva2Vu", True),  # _operator:operator-token
        ("Basic cGk6b3BlcmF0b3ItdG9rZW4=", False),  # pi:operator-token
        ("Basic X29wZXJhdG9yOndyb25n", False),  # _operator:wrong
        ("Basic !!!", False),
        ("Basic /w==", False),
        ("Bearer wrong", False),
        ("", False),
    ],
)
def test_the_token_enters_as_basic_or_bearer(header: str, enters: bool) -> None:
    assert may_enter(header, TOKEN) == enters
