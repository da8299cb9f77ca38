"""The cache: one installer at a time, whole parts only, and errors that say what to do."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from green_edge.emulate import board, counter, parts, wheels
from green_edge.emulate.assembly import digest, require_host
from green_edge.emulate.book import Book
from green_edge.emulate.cache import alone, cache_folder, write_whole, writing
from green_edge.emulate.parts import Member
from green_edge.emulate.setting import Count, EmulationError, Setting
from support.nobody import without_root

_MEMBER = Member("tool", "1.0", "0" * 64)
_SETTING = Setting("ai-edge-litert", "2.3.0", "cortex-a72", "aarch64")
_HOLD = """
import sys
from pathlib import Path
from green_edge.emulate.cache import alone
with alone(Path(sys.argv[1]), print):
    print("has it", flush=True)
    sys.stdin.read()
"""


def _quietly(doing: str, share: float | None = None) -> None:
    del doing, share


def _maker(folder: Path) -> list[Member]:
    (folder / "tool").write_bytes(b"tool")
    return [_MEMBER]


def test_the_cache_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("GREEN_EDGE_CACHE", "")
    assert cache_folder() == Path("/home/me/.cache/green-edge")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert cache_folder() == Path("/caches/green-edge")
    monkeypatch.setenv("GREEN_EDGE_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.setenv("GREEN_EDGE_CACHE", "~/elsewhere")
    assert cache_folder() == Path("/home/me/elsewhere")


def test_a_folder_that_cannot_be_written_is_an_error_with_the_remedy(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with (
        without_root(*list(tmp_path.parents)[:2]),
        pytest.raises(EmulationError, match=r"not usable: Permission denied.*GREEN_EDGE_CACHE"),
        writing(tmp_path),
        alone(tmp_path / "emulation", _quietly),
    ):
        pass


def test_a_file_in_the_folder_s_place_is_an_error_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "emulation").write_text("in the way")
    with (
        pytest.raises(EmulationError, match=r"emulation: not usable: File exists"),
        writing(tmp_path),
        alone(tmp_path / "emulation", _quietly),
    ):
        pass


def test_a_second_estimate_waits_for_the_first_and_says_so(tmp_path: Path) -> None:
    told: list[str] = []
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": ":".join(sys.path)},
    ) as first:
        assert first.stdout is not None
        assert first.stdin is not None
        assert first.stdout.readline() == b"has it\n"
        held = first.stdin

        def progress(doing: str, share: float | None = None) -> None:
            del share
            told.append(doing)
            held.close()

        with alone(tmp_path, progress):
            assert first.wait() == 0
    assert told == [f"waiting for another estimate that fills {tmp_path}"]


def test_a_part_is_there_only_when_it_is_whole(tmp_path: Path) -> None:
    folder = parts.place(tmp_path, "tool", "recipe")

    def interrupted(made: Path) -> list[Member]:
        _maker(made)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        parts.make(folder, interrupted)
    assert parts.ready(folder) is None
    part = parts.make(folder, _maker)
    assert part.members == (_MEMBER,)
    assert parts.ready(folder) == part
    assert [entry.name for entry in folder.parent.iterdir()] == [folder.name]


def test_what_an_interrupted_run_left_is_not_mixed_in(tmp_path: Path) -> None:
    folder = parts.place(tmp_path, "tool", "recipe")
    for left in (folder, folder.with_name(f"{folder.name}.part")):
        left.mkdir(parents=True)
        (left / "rubbish").write_bytes(b"half")
    made = parts.make(folder, _maker)
    assert sorted(entry.name for entry in made.folder.iterdir()) == ["part.json", "tool"]


@pytest.mark.parametrize("record", [b"", b'{"memb', b"[]"])
def test_a_part_with_a_damaged_record_is_made_again(tmp_path: Path, record: bytes) -> None:
    folder = parts.place(tmp_path, "tool", "recipe")
    parts.make(folder, _maker)
    (folder / "part.json").write_bytes(record)
    assert parts.ready(folder) is None
    assert parts.make(folder, _maker).members == (_MEMBER,)


def test_a_new_part_takes_the_place_of_those_of_older_recipes_alone(tmp_path: Path) -> None:
    other = parts.make(parts.place(tmp_path, "tool-kit", "recipe"), _maker)
    parts.make(parts.place(tmp_path, "tool", "old"), _maker)
    new = parts.make(parts.place(tmp_path, "tool", "new"), _maker)
    assert sorted(new.folder.parent.iterdir()) == sorted((other.folder, new.folder))


def test_a_changed_recipe_is_another_part(tmp_path: Path) -> None:
    assert parts.place(tmp_path, "tool", "one") != parts.place(tmp_path, "tool", "two")


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    file = tmp_path / "counts" / "one.json"
    write_whole(file, b"{}")
    write_whole(file, b'{"a":1}')
    assert file.read_bytes() == b'{"a":1}'
    assert list(file.parent.iterdir()) == [file]


def test_without_a_compiler_the_error_names_the_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EmulationError, match=r"no C compiler.*Debian package gcc"):
        counter.build(tmp_path)


def test_a_compiler_that_refuses_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\necho 'no such luck' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EmulationError, match=r"did not build the counter: no such luck$"):
        counter.build(tmp_path)


def test_a_damaged_counter_is_built_again_once_its_part_is_gone(tmp_path: Path) -> None:
    folder = parts.place(tmp_path, "counter", counter.source().decode())
    whole = (parts.make(folder, counter.build).folder / counter.LIBRARY).read_bytes()
    (folder / "part.json").unlink()
    (folder / counter.LIBRARY).write_bytes(whole[:100])
    parts.make(folder, counter.build)
    assert (folder / counter.LIBRARY).read_bytes() == whole


def test_a_count_is_remembered_and_a_senseless_one_is_not_believed(tmp_path: Path) -> None:
    book = Book(tmp_path / "counts" / "digest", _SETTING, _quietly)
    assert book.look_up("a") is None
    assert not book.note("a", 1000).cached
    known = book.look_up("a")
    assert known == Count("a", _SETTING, 1000, cached=True, userland="digest")
    for content in (b"", b'{"instr', b'{"instructions":-5}', b'{"instructions":0}', b"[]"):
        (tmp_path / "counts/digest/a.json").write_bytes(content)
        assert book.look_up("a") is None


def test_where_the_cache_cannot_be_written_counts_are_told_all_the_same(tmp_path: Path) -> None:
    told: list[str] = []

    def progress(doing: str, share: float | None = None) -> None:
        del share
        told.append(doing)

    (tmp_path / "counts").write_text("in the way")
    book = Book(tmp_path / "counts", _SETTING, progress)
    assert [book.note(name, 7).instructions for name in "ab"] == [7, 7]
    assert book.look_up("a") is None
    assert len(told) == 1
    assert told[0].startswith("counts are not remembered: ")


def test_what_a_count_depends_on_is_in_its_digest() -> None:
    core = board.core_of(_SETTING)
    same = digest([_MEMBER], core, b"counter", b"guest")
    assert same == digest([_MEMBER], core, b"counter", b"guest")
    others = {
        digest([replace(_MEMBER, sha256="1" * 64)], core, b"counter", b"guest"),
        digest([_MEMBER], replace(core, features="fp"), b"counter", b"guest"),
        digest([_MEMBER], core, b"another counter", b"guest"),
        digest([_MEMBER], core, b"counter", b"another guest"),
    }
    assert len(others - {same}) == 4


@pytest.mark.parametrize(
    ("system", "machine"), [("Darwin", "arm64"), ("Linux", "aarch64"), ("Windows", "AMD64")]
)
def test_another_machine_than_linux_x86_64_is_told_so(system: str, machine: str) -> None:
    with pytest.raises(EmulationError, match=f"not counted on {system} {machine}"):
        require_host(system, machine)


@pytest.mark.parametrize(
    ("runtime", "version", "arch"),
    [("ai-edge-litert", "2.3.0", "armv7l"), ("tflite-runtime", "2.5.0", "aarch64")],
)
def test_a_runtime_without_wheels_is_an_error_that_lists_those_with(
    runtime: str, version: str, arch: str
) -> None:
    with pytest.raises(EmulationError, match=r"is not counted.*tflite-runtime 2\.14\.0"):
        wheels.site_of(Setting(runtime, version, "cortex-a72", arch))


def test_an_unknown_core_is_an_error_that_lists_the_known() -> None:
    with pytest.raises(EmulationError, match=r"cortex-m4.*not emulated.*cortex-a76"):
        board.core_of(Setting("ai-edge-litert", "2.3.0", "cortex-m4", "aarch64"))


@pytest.mark.parametrize(
    ("core", "part", "dot"),
    [("cortex-a53", "0xd03", False), ("cortex-a72", "0xd08", False), ("cortex-a76", "0xd0b", True)],
)
def test_a_program_sees_the_core_of_the_board_and_its_userland(
    tmp_path: Path, core: str, part: str, dot: bool
) -> None:
    userland = tmp_path / "userland"
    (userland / "usr/bin").mkdir(parents=True)
    (userland / "part.json").write_text("{}")
    setting = Setting("ai-edge-litert", "2.3.0", core, "aarch64")
    board.lay_out(tmp_path / "root", userland, board.core_of(setting))
    cpuinfo = (tmp_path / "root/proc/cpuinfo").read_text()
    assert cpuinfo.count(f"CPU part\t: {part}\n") == 4
    assert ("asimddp" in cpuinfo) == dot
    assert (tmp_path / "root/usr/bin").is_dir()
    assert (tmp_path / "root/proc/device-tree/model").read_bytes().startswith(b"Raspberry Pi")
    assert (tmp_path / "root/sys/devices/system/cpu/possible").read_text() == "0-3\n"
