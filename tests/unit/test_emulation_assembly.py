"""An emulated board is put together once, from a mirror and wheels, whoever else wants it."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from green_edge.emulate import wheels
from green_edge.emulate.setting import EmulationError
from green_edge.emulate.wheels import Site
from support.debian_mirror import Mirror, archive, deb, serving

_ASSEMBLE = """
import json, sys
from pathlib import Path
from green_edge.emulate.assembly import Sources, assemble
from green_edge.emulate.board import core_of
from green_edge.emulate.setting import Setting
from green_edge.emulate.userland import Archive, Userland
from green_edge.emulate.wheels import Site
url, keys, cache, wheel = sys.argv[1:]
cache = Path(cache)
sources = Sources(
    Archive(url, Path(keys).read_bytes(), cache / "downloads"),
    Userland("qemu", "amd64", ("emulator",)),
    Userland("aarch64", "amd64", ("board",)),
    Site("tiny", "1.0", "aarch64", ("manylinux2014_aarch64",), (wheel,)),
)
core = core_of(Setting("tiny", "1.0", "cortex-a72", "aarch64"))
made = assemble(core, sources, cache, lambda doing, share=None: print(doing, flush=True))
machine = made.machine
print(json.dumps([
    made.digest, [member.name for member in made.members], str(machine.counter),
    (machine.qemu / "usr/bin/qemu").read_text(), (machine.userland / "usr/bin/python").read_text(),
    (machine.site / "tiny.py").read_text(),
]))
"""


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    packages = {
        "emulator": deb({"usr/bin/qemu": b"qemu"}),
        "board": deb({"usr/bin/python": b"python"}),
    }
    with serving(*archive(packages)) as running:
        yield running


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A wheel in the only folder that pip looks into; its requirement."""
    file = tmp_path / "wheels" / "tiny-1.0-py3-none-any.whl"
    file.parent.mkdir()
    about = "tiny-1.0.dist-info"
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr("tiny.py", "VERSION = 1\n")
        packed.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        packed.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        packed.writestr(f"{about}/RECORD", "tiny.py,,\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(file.parent))
    return f"tiny==1.0 --hash=sha256:{sha256(file.read_bytes()).hexdigest()}"


def _site(*wanted: str) -> Site:
    return Site("tiny", "1.0", "aarch64", ("manylinux2014_aarch64",), wanted)


def _started(mirror: Mirror, folder: Path, wheel: str) -> subprocess.Popen[str]:
    keys = folder / "keys.asc"
    keys.write_bytes(mirror.keys)
    arguments = [mirror.url, str(keys), str(folder / "cache"), wheel]
    return subprocess.Popen(
        [sys.executable, "-c", _ASSEMBLE, *arguments], stdout=subprocess.PIPE, text=True
    )


def test_two_at_once_make_a_board_once_and_both_have_it(
    mirror: Mirror, tmp_path: Path, wheel: str
) -> None:
    mirror.open.clear()
    with _started(mirror, tmp_path, wheel) as first:
        assert first.stdout is not None
        try:
            # Once it asks the mirror, which does not answer yet, it has the lock.
            told = next(line for line in first.stdout if line.startswith("reading "))
            with _started(mirror, tmp_path, wheel) as second:
                assert second.stdout is not None
                waits = second.stdout.readline()
                mirror.open.set()
                found = json.loads(second.stdout.read().splitlines()[-1])
        finally:
            mirror.open.set()
        assert json.loads(first.stdout.read().splitlines()[-1]) == found
    assert told.rstrip().endswith("/dists/bookworm/InRelease")
    assert waits == f"waiting for another estimate that fills {tmp_path / 'cache'}\n"
    digest, members, counter, *contents = found
    assert members == ["emulator", "board", "tiny"]
    assert contents == ["qemu", "python", "VERSION = 1\n"]
    assert Path(counter).parent.parent == tmp_path / "cache/parts"
    pool = [path for path, _ in mirror.asked if path.startswith("pool/")]
    assert pool == ["pool/emulator.deb", "pool/board.deb"]
    assert len(digest) == 64
    left = sorted(entry.name for entry in (tmp_path / "cache").iterdir())
    assert left == ["lock", "parts"]


def test_a_user_s_own_pip_settings_do_not_stand_in_the_way(
    tmp_path: Path, wheel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_USER", "1")
    folder = tmp_path / "site"
    folder.mkdir()
    (member,) = wheels.install(_site(wheel), folder)
    assert (member.name, member.version) == ("tiny", "1.0")
    assert (folder / "tiny.py").exists()


def test_what_pip_refuses_is_told_in_one_line(tmp_path: Path, wheel: str) -> None:
    wrong = wheel.rpartition(":")[0] + ":" + "0" * 64
    with pytest.raises(EmulationError, match="pip did not install tiny: ") as raised:
        wheels.install(_site(wrong), tmp_path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("said", "reason", "hint"),
    [
        ("x: No module named pip\n", "x: No module named pip", "ensurepip"),
        (
            "WARNING: slow\nERROR: Could not install: [Errno 28] No space left on device\n\nnote\n",
            "Could not install: [Errno 28] No space left on device",
            "make room",
        ),
        ("ERROR: one\nERROR: two\n", "two", "try again"),
    ],
)
def test_the_last_of_pip_s_errors_is_told_with_its_remedy(
    said: str, reason: str, hint: str
) -> None:
    error = wheels.refused("tiny", said)
    assert str(error).startswith(f"pip did not install tiny: {reason}; ")
    assert hint in str(error)


def test_without_pip_nothing_is_fetched(
    mirror: Mirror, tmp_path: Path, wheel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nowhere"))
    with _started(mirror, tmp_path, wheel) as process:
        assert process.wait(60) != 0
    assert mirror.asked == []
