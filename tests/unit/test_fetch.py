"""Artefacts arrive whole, by as few bytes as possible, and never bigger than ordered."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from green_edge_agent.install.fetch import Stopped, Wanted, fetch
from green_edge_wire.errors import DeviceError, TransportError
from support.artefacts import ArtefactServer

CONTENT = bytes(range(256)) * 1024  # 256 KiB: several chunks
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server() -> Iterator[ArtefactServer]:
    with ArtefactServer().running() as running:
        yield running


def wanted(*urls: str) -> Wanted:
    return Wanted(urls, DIGEST, len(CONTENT))


def test_a_file_comes_whole(server: ArtefactServer, tmp_path: Path) -> None:
    part = tmp_path / "x.part"
    fetch(wanted(server.add("a", CONTENT)), part)
    assert part.read_bytes() == CONTENT
    fetch(wanted(f"{server.url}/gone"), part)  # complete already: nobody is asked
    assert server.ranges == [""]


def test_a_broken_transfer_goes_on_where_it_ended(server: ArtefactServer, tmp_path: Path) -> None:
    server.break_after_bytes = 100_000
    fetch(wanted(server.add("a", CONTENT)), tmp_path / "x.part")
    assert (tmp_path / "x.part").read_bytes() == CONTENT
    assert server.ranges == ["", "bytes=100000-", "bytes=200000-"]


def test_a_part_of_an_earlier_start_is_kept(server: ArtefactServer, tmp_path: Path) -> None:
    part = tmp_path / "x.part"
    part.write_bytes(CONTENT[:1000])
    fetch(wanted(server.add("a", CONTENT)), part)
    assert part.read_bytes() == CONTENT
    assert server.ranges == ["bytes=1000-"]


def test_a_server_without_ranges_is_read_from_the_start(
    server: ArtefactServer, tmp_path: Path
) -> None:
    part = tmp_path / "x.part"
    part.write_bytes(CONTENT[:1000])
    server.ignore_range = True
    fetch(wanted(server.add("a", CONTENT)), part)
    assert part.read_bytes() == CONTENT


def test_a_part_that_is_longer_than_ordered_begins_anew(
    server: ArtefactServer, tmp_path: Path
) -> None:
    part = tmp_path / "x.part"
    part.write_bytes(CONTENT + b"more")
    fetch(wanted(server.add("a", CONTENT)), part)
    assert part.read_bytes() == CONTENT


def test_a_part_with_other_bytes_is_fetched_anew(server: ArtefactServer, tmp_path: Path) -> None:
    part = tmp_path / "x.part"
    part.write_bytes(b"\xff" * 1000)
    fetch(wanted(server.add("a", CONTENT)), part)
    assert part.read_bytes() == CONTENT
    assert server.ranges == ["bytes=1000-", ""]


def test_another_file_under_the_address_is_told_and_removed(
    server: ArtefactServer, tmp_path: Path
) -> None:
    other = b"\x00" * len(CONTENT)
    with pytest.raises(TransportError, match="another digest"):
        fetch(wanted(server.add("a", other)), tmp_path / "x.part")
    assert not (tmp_path / "x.part").exists()


def test_more_bytes_than_ordered_are_never_written(server: ArtefactServer, tmp_path: Path) -> None:
    with pytest.raises(TransportError, match="more than the order says"):
        fetch(wanted(server.add("a", CONTENT * 40)), tmp_path / "x.part")
    assert (tmp_path / "x.part").stat().st_size <= len(CONTENT)


def test_a_shorter_file_never_completes(server: ArtefactServer, tmp_path: Path) -> None:
    with pytest.raises(TransportError, match=r"answered 416|ended after"):
        fetch(wanted(server.add("a", CONTENT[:5000])), tmp_path / "x.part")


def test_the_next_address_is_tried(server: ArtefactServer, tmp_path: Path) -> None:
    good = server.add("a", CONTENT)
    dead = "http://127.0.0.1:9/x"
    fetch(wanted(dead, f"{server.url}/none", good), tmp_path / "x.part")
    assert (tmp_path / "x.part").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("file:///etc/passwd", "not an http or https address"),
        ("http://127.0.0.1:9/x", "refused"),
        ("http://[::1", "Invalid IPv6 URL"),
    ],
)
def test_an_address_that_gives_nothing_is_named(tmp_path: Path, url: str, said: str) -> None:
    with pytest.raises(TransportError, match=said):
        fetch(wanted(url), tmp_path / "x.part")
    with pytest.raises(TransportError, match="no address"):
        fetch(wanted(), tmp_path / "x.part")


def test_a_server_error_is_quoted(server: ArtefactServer, tmp_path: Path) -> None:
    server.status = 503
    with pytest.raises(TransportError, match="503"):
        fetch(wanted(server.add("a", CONTENT)), tmp_path / "x.part")


def test_a_stop_keeps_what_has_come(server: ArtefactServer, tmp_path: Path) -> None:
    asked = iter([False, True])
    part = tmp_path / "x.part"
    with pytest.raises(Stopped):
        fetch(wanted(server.add("a", CONTENT)), part, stopped=lambda: next(asked))
    assert 0 < part.stat().st_size < len(CONTENT)
    fetch(wanted(f"{server.url}/a"), part)
    assert part.read_bytes() == CONTENT


def test_a_folder_that_cannot_be_written_is_the_devices_problem(
    server: ArtefactServer, tmp_path: Path
) -> None:
    with pytest.raises(DeviceError, match="cannot stage"):
        fetch(wanted(server.add("a", CONTENT)), tmp_path / "none" / "x.part")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full: Linux")  # noqa: PTH110
def test_a_full_disk_is_the_devices_problem_and_its_part_is_removed(
    server: ArtefactServer, tmp_path: Path
) -> None:
    part = tmp_path / "x.part"
    part.symlink_to("/dev/full")
    with pytest.raises(DeviceError, match="No space left on device"):
        fetch(wanted(server.add("a", CONTENT)), part)
    assert not part.is_symlink()
