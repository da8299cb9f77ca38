"""Packages come from a signed list to the last file, or not at all."""

import hashlib
import lzma
from collections.abc import Iterator
from pathlib import Path

import pytest

from green_edge.emulate import debian
from green_edge.emulate.setting import EmulationError
from green_edge.emulate.userland import Archive, Userland, debian_archive, unpack
from support.debian_mirror import Content, Mirror, archive, deb, link, serving

# Does not compress: the package is far longer than the list and its signature.
_LONG = b"".join(hashlib.sha256(bytes([k])).digest() for k in range(256))


def _quietly(doing: str, share: float | None = None) -> None:
    del doing, share


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    packages = {
        "small": deb({"usr/bin/tool": b"tool", "lib/ld.so": link("/usr/bin/tool")}),
        "large": deb({"usr/share/large": _LONG}),
        "unwanted": deb({"usr/bin/unwanted": b"no"}),
    }
    with serving(*archive(packages)) as running:
        yield running


def _unpack(mirror: Mirror, folder: Path, *, keys: bytes | None = None) -> Path:
    root = folder / "root"
    root.mkdir(exist_ok=True)
    source = Archive(mirror.url, keys or mirror.keys, folder / "downloads")
    unpack(Userland("test", "amd64", ("small", "large")), source, root, _quietly)
    return root


def _serve_evil(files: dict[str, Content], folder: Path) -> None:
    packages = {"small": deb(files), "large": deb({"fine": b""})}
    with serving(*archive(packages)) as mirror:
        _unpack(mirror, folder)


def test_the_packages_asked_for_are_unpacked_and_no_others(mirror: Mirror, tmp_path: Path) -> None:
    root = _unpack(mirror, tmp_path)
    assert (root / "usr/bin/tool").read_bytes() == b"tool"
    assert (root / "usr/share/large").read_bytes() == _LONG
    assert not (root / "usr/bin/unwanted").exists()
    assert list((tmp_path / "downloads").iterdir()) == []


def test_a_link_from_the_systems_root_leads_to_the_package_s_own(
    mirror: Mirror, tmp_path: Path
) -> None:
    root = _unpack(mirror, tmp_path)
    assert (root / "lib/ld.so").resolve() == (root / "usr/bin/tool").resolve()


def test_what_is_told_names_version_and_digest_of_each_package(
    mirror: Mirror, tmp_path: Path
) -> None:
    source = Archive(mirror.url, mirror.keys, tmp_path / "downloads")
    (member,) = unpack(Userland("test", "amd64", ("small",)), source, tmp_path, _quietly)
    assert (member.name, member.version, len(member.sha256)) == ("small", "1.0", 64)


def test_a_list_signed_by_somebody_else_is_refused(mirror: Mirror, tmp_path: Path) -> None:
    _, other = archive({})
    with pytest.raises(EmulationError, match=r"InRelease: not signed by Debian"):
        _unpack(mirror, tmp_path, keys=other)


def test_a_list_changed_after_signing_is_refused(mirror: Mirror, tmp_path: Path) -> None:
    name = "dists/bookworm/InRelease"
    mirror.files[name] = mirror.files[name].replace(b"Origin: Debian", b"Origin: Nobody")
    with pytest.raises(EmulationError, match="not signed by Debian"):
        _unpack(mirror, tmp_path)


def test_an_unsigned_list_is_refused(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files["dists/bookworm/InRelease"] = b"Codename: bookworm\nSHA256:\n"
    with pytest.raises(EmulationError, match="not signed by Debian"):
        _unpack(mirror, tmp_path)


def test_what_is_signed_for_another_release_of_debian_is_refused(tmp_path: Path) -> None:
    with (
        serving(*archive({"small": deb({}), "large": deb({})}, suite="trixie")) as mirror,
        pytest.raises(EmulationError, match="no packages of bookworm for amd64"),
    ):
        _unpack(mirror, tmp_path)


def test_a_package_that_differs_from_the_list_is_refused_and_not_kept(
    mirror: Mirror, tmp_path: Path
) -> None:
    content = mirror.files["pool/small.deb"]
    mirror.files["pool/small.deb"] = content.replace(b"2.0\n", b"2.1\n")
    with pytest.raises(EmulationError, match=r"small\.deb: not the file that the list names"):
        _unpack(mirror, tmp_path)
    mirror.files["pool/small.deb"] = content
    assert (_unpack(mirror, tmp_path) / "usr/bin/tool").exists()


def test_a_package_longer_than_the_list_says_is_not_read_to_its_end(
    mirror: Mirror, tmp_path: Path
) -> None:
    mirror.files["pool/small.deb"] += bytes(4_000_000)
    with pytest.raises(EmulationError, match="not the file that the list names"):
        _unpack(mirror, tmp_path)


def test_a_package_missing_from_the_list_is_named(mirror: Mirror, tmp_path: Path) -> None:
    source = Archive(mirror.url, mirror.keys, tmp_path / "downloads")
    with pytest.raises(EmulationError, match="no package absent for amd64"):
        unpack(Userland("test", "amd64", ("absent",)), source, tmp_path, _quietly)


def test_a_connection_that_breaks_off_is_taken_up_where_it_broke(
    mirror: Mirror, tmp_path: Path
) -> None:
    longest = max(map(len, mirror.files.values()))
    mirror.cut_after = longest * 2 // 3
    assert (_unpack(mirror, tmp_path) / "usr/bin/tool").exists()
    assert [wanted for _, wanted in mirror.asked if wanted] == [f"bytes={mirror.cut_after}-"]


def test_an_interrupted_download_is_kept_and_continued_by_the_next_run(
    mirror: Mirror, tmp_path: Path
) -> None:
    whole = mirror.files["pool/small.deb"]
    mirror.files["pool/small.deb"] = whole[:100]
    with pytest.raises(EmulationError, match=rf"ends after 100 of {len(whole)} bytes"):
        _unpack(mirror, tmp_path)
    mirror.files["pool/small.deb"] = whole
    mirror.asked.clear()
    assert (_unpack(mirror, tmp_path) / "usr/bin/tool").exists()
    assert ("pool/small.deb", "bytes=100-") in mirror.asked


def test_a_mirror_that_knows_no_ranges_is_asked_for_the_whole_file_again(
    mirror: Mirror, tmp_path: Path
) -> None:
    whole = mirror.files["pool/small.deb"]
    mirror.files["pool/small.deb"] = whole[:100]
    with pytest.raises(EmulationError):
        _unpack(mirror, tmp_path)
    mirror.files["pool/small.deb"] = whole
    mirror.ranges = False
    assert (_unpack(mirror, tmp_path) / "usr/bin/tool").exists()


@pytest.mark.parametrize("rubbish", [b"x" * 100, b"x" * 1_000_000])
def test_rubbish_left_in_the_downloads_is_replaced(
    mirror: Mirror, tmp_path: Path, rubbish: bytes
) -> None:
    digest = debian.pick(_listing(mirror), ["small"])["small"].file.sha256
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    (downloads / f"{digest}.part").write_bytes(rubbish)
    assert (_unpack(mirror, tmp_path) / "usr/bin/tool").exists()


@pytest.mark.parametrize("name", ["list", "package"])
def test_rubbish_under_the_digest_of_a_download_is_not_used(
    mirror: Mirror, tmp_path: Path, name: str
) -> None:
    digests = {
        "package": debian.pick(_listing(mirror), ["small"])["small"].file.sha256,
        "list": next(path for path in mirror.files if "by-hash" in path).rpartition("/")[2],
    }
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / digests[name]).write_bytes(deb({"usr/bin/tool": b"evil"}))
    assert (_unpack(mirror, tmp_path) / "usr/bin/tool").read_bytes() == b"tool"


def test_a_signed_list_that_is_no_list_is_an_error(tmp_path: Path) -> None:
    with (
        serving(*archive({}, listing=b"not packed at all")) as mirror,
        pytest.raises(EmulationError, match="not a list"),
    ):
        _unpack(mirror, tmp_path)


def test_a_mirror_may_be_named_with_a_slash_at_its_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GREEN_EDGE_DEBIAN_MIRROR", "http://mirror.example.org/debian/")
    assert debian_archive(tmp_path).mirror == "http://mirror.example.org/debian"


def _listing(mirror: Mirror) -> str:
    (packed,) = (content for path, content in mirror.files.items() if "by-hash" in path)
    return lzma.decompress(packed).decode()


def test_a_mirror_that_is_no_url_is_an_error_with_the_remedy(tmp_path: Path) -> None:
    gone = Mirror("deb.example.org/debian", b"", {})
    with pytest.raises(EmulationError, match=r"not fetched.*GREEN_EDGE_DEBIAN_MIRROR"):
        _unpack(gone, tmp_path, keys=b"none")


def test_a_mirror_that_is_not_there_is_an_error_with_the_remedy(tmp_path: Path) -> None:
    files, keys = archive({})
    with serving(files, keys) as gone:
        pass
    with pytest.raises(EmulationError, match=r"not fetched.*GREEN_EDGE_DEBIAN_MIRROR"):
        _unpack(gone, tmp_path)


@pytest.mark.parametrize(
    "files",
    [
        {"../outside": b"evil"},
        {"/outside": b"evil"},
        {"usr/../../outside": b"evil"},
        {"way": link("../.."), "way/outside": b"evil"},
        {"way": link("../outside", b"1")},
        {"device": link("", b"3")},
        {"circle": link("other"), "other": link("circle"), "circle/file": b"evil"},
        {"nothing": link("absent", b"1")},
    ],
    ids=["parent", "absolute", "hidden parent", "link", "hard link", "device", "circle", "nothing"],
)
def test_a_package_that_reaches_outside_its_folder_is_refused(
    tmp_path: Path, files: dict[str, Content]
) -> None:
    with pytest.raises(EmulationError, match="package small is not unpacked"):
        _serve_evil(files, tmp_path)
    assert not (tmp_path / "outside").exists()
    assert not (tmp_path.parent / "outside").exists()


def test_links_that_lead_outside_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EmulationError, match="first: a link that leads outside"):
        _serve_evil({"first": link("second/.."), "second": link(".")}, tmp_path)


def test_a_package_whose_files_are_damaged_is_refused(tmp_path: Path) -> None:
    content = bytearray(deb({"large": _LONG}))
    content[-4000:-3000] = bytes(1000)
    with (
        serving(*archive({"small": bytes(content), "large": deb({})})) as mirror,
        pytest.raises(EmulationError, match="package small is not unpacked"),
    ):
        _unpack(mirror, tmp_path)


def test_a_file_that_is_no_package_is_refused(tmp_path: Path) -> None:
    packages = {"small": b"no package at all", "large": deb({})}
    with (
        serving(*archive(packages)) as mirror,
        pytest.raises(EmulationError, match="not a Debian package"),
    ):
        _unpack(mirror, tmp_path)
