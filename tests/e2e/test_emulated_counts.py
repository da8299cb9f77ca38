"""Instructions counted on an emulated core, with Debian's packages from the network."""

import os
import select
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from green_edge.emulate import Count, EmulationError, Refusal, Result, Setting, count, machine
from green_edge.emulate.assembly import Assembly, assemble, sources_of
from green_edge.emulate.board import core_of
from green_edge.emulate.fetch import fetch_small
from green_edge.emulate.machine import Failed, Ran, Refused
from green_edge.emulate.userland import debian_archive
from support.tiny_models import tiny_float_conv, tiny_float_dense, tiny_int8_dense

_A72 = Setting("ai-edge-litert", "2.3.0", "cortex-a72", "aarch64")
_A76 = replace(_A72, core="cortex-a76")
_OLD_32 = Setting("tflite-runtime", "2.14.0", "cortex-a72", "armv7l")
_MODELS = (tiny_int8_dense(64, 64), tiny_float_conv(), tiny_float_dense())

# Stands in for a runtime that crashes at a model, and for one that never comes to an end.
_OTHER_GUEST = """
import ctypes, json, sys, time
call = ctypes.CDLL(None).syscall
for k, name in enumerate(open(sys.argv[2]).read().splitlines()):
    print(json.dumps({"begun": k}), flush=True)
    if name.endswith("/crash"):
        ctypes.string_at(0)
    if name.endswith("/hang"):
        time.sleep(10_000)
    for mark in range(3):
        call(9001, 3 * k + mark)
        sum(range(1000 * (mark + 1)))
    print(json.dumps({"counted": k, "repeats": 1}), flush=True)
"""


def _quietly(doing: str, share: float | None = None) -> None:
    del doing, share


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # A colon and a comma part lists of folders elsewhere.
    folder = tmp_path_factory.mktemp("cache: mine, and others'")
    mirror = debian_archive(folder).mirror
    try:
        fetch_small(f"{mirror}/dists/bookworm/InRelease")
    except EmulationError as error:
        pytest.skip(str(error))
    return folder


@pytest.fixture(scope="session")
def counts(cache: Path) -> tuple[Result, ...]:
    return count(_MODELS, _A72, cache=cache, progress=_quietly)


@pytest.fixture(scope="session")
def a72(cache: Path, counts: tuple[Result, ...]) -> Assembly:
    assert counts
    folder = cache / "emulation"
    return assemble(core_of(_A72), sources_of(_A72, folder), folder, _quietly)


def _instructions(found: Sequence[Result]) -> list[int]:
    return [each.instructions for each in found if isinstance(each, Count)]


def test_a_model_is_counted_once_and_then_remembered(
    cache: Path, counts: tuple[Result, ...]
) -> None:
    told: list[str] = []

    def progress(doing: str, share: float | None = None) -> None:
        del share
        told.append(doing)

    again = count(_MODELS, _A72, cache=cache, progress=progress)
    assert _instructions(again) == _instructions(counts)
    assert all(isinstance(each, Count) and each.cached for each in again)
    assert not any(isinstance(each, Count) and each.cached for each in counts)
    assert told == []


def test_counting_again_gives_the_same_within_a_thousandth(
    a72: Assembly, counts: tuple[Result, ...], tmp_path: Path
) -> None:
    files = [tmp_path / f"{k}.tflite" for k in range(len(_MODELS))]
    for file, content in zip(files, _MODELS, strict=True):
        file.write_bytes(content)
    again = list(machine.run(a72.machine, _A72.runtime, files, timeout_s=120))
    for before, now in zip(_instructions(counts), again, strict=True):
        assert isinstance(now, Ran)
        assert now.instructions == pytest.approx(before, rel=1e-3)


def test_more_work_is_more_instructions_and_a_dot_product_saves_some(
    cache: Path, counts: tuple[Result, ...]
) -> None:
    wide = [tiny_int8_dense(size, size) for size in (64, 256, 512)]
    slow = _instructions(count(wide, _A72, cache=cache, progress=_quietly))
    fast = _instructions(count(wide, _A76, cache=cache, progress=_quietly))
    assert all(small < large for small, large in pairwise(slow))
    # 262,144 multiplications: 8 an instruction without the dot product, 16 with it.
    assert fast[-1] < slow[-1] < 512 * 512
    assert slow[0] == _instructions(counts)[0]


def test_a_model_that_the_runtime_refuses_does_not_stop_the_others(cache: Path) -> None:
    good = tiny_float_dense(seed=9)
    bad, fine = count([b"no model", good], _A72, cache=cache, progress=_quietly)
    assert isinstance(bad, Refusal)
    assert "buffer" in bad.message or "Model" in bad.message
    assert isinstance(fine, Count)


def test_a_crash_and_an_endless_model_are_no_refusals_and_the_rest_is_counted(
    a72: Assembly, tmp_path: Path
) -> None:
    guest = tmp_path / "guest.py"
    guest.write_text(_OTHER_GUEST)
    other = replace(a72.machine, guest=guest)
    files = [tmp_path / name for name in ("one", "crash", "two", "hang", "three")]
    one, crash, two, hang, three = machine.run(other, "-", files, timeout_s=20)
    assert isinstance(crash, Failed)
    assert "Segmentation fault" in crash.message
    assert isinstance(hang, Failed)
    assert hang.message == "not done in 20 s"
    counted = [each.instructions for each in (one, two, three) if isinstance(each, Ran)]
    assert counted == pytest.approx([counted[0]] * 3, rel=0.01)


def test_a_guest_that_does_not_start_is_an_error_with_its_last_words(
    a72: Assembly, tmp_path: Path
) -> None:
    guest = tmp_path / "guest.py"
    guest.write_text("raise SystemExit('no such luck')")
    run = machine.run(replace(a72.machine, guest=guest), "-", [tmp_path], timeout_s=20)
    with pytest.raises(EmulationError, match=r"did not start.*no such luck.*remove .*emulation to"):
        list(run)


def test_the_guest_sees_the_board_and_none_of_the_users_variables(
    a72: Assembly, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GREEN_EDGE_SECRET", "mine")
    guest = tmp_path / "guest.py"
    guest.write_text(
        "import json, os, platform\n"
        "part = [line for line in open('/proc/cpuinfo') if 'part' in line]\n"
        "seen = [platform.machine(), part[0].split()[-1], len(part), sorted(os.environ)]\n"
        "print(json.dumps({'begun': 0}))\n"
        "print(json.dumps({'refused': 0, 'message': json.dumps(seen)}))\n"
    )
    (seen,) = machine.run(replace(a72.machine, guest=guest), "-", [tmp_path], timeout_s=60)
    assert isinstance(seen, Refused)
    assert '["aarch64", "0xd08", 4, [' in seen.message
    assert "SECRET" not in seen.message
    assert os.environ["GREEN_EDGE_SECRET"] == "mine"


def test_counting_leaves_the_parts_in_the_cache_as_they_are(
    cache: Path, counts: tuple[Result, ...]
) -> None:
    assert counts
    assert not list((cache / "emulation/parts").glob("aarch64-*/**/*.pyc"))


_KILLED = """
import sys
from pathlib import Path
from green_edge.emulate import Setting, machine
from green_edge.emulate.machine import Machine
from green_edge.emulate.board import core_of
core = core_of(Setting("-", "-", "cortex-a72", "aarch64"))
*folders, model = map(Path, sys.argv[1:])
print(list(machine.run(Machine(*folders, core), "tflite-runtime", [model], timeout_s=600)))
"""


def test_an_estimate_that_is_killed_leaves_no_emulator_behind(
    a72: Assembly, tmp_path: Path
) -> None:
    runtime = tmp_path / "tflite_runtime"
    runtime.mkdir()
    (runtime / "interpreter.py").write_text(
        "import pathlib, time\n"
        "def Interpreter(model_path, num_threads):\n"
        "    pathlib.Path(model_path).write_text('begun')\n"
        "    time.sleep(10_000)\n"
    )
    model = tmp_path / "model"
    os.mkfifo(model)
    made = a72.machine
    for name in ("numpy", "numpy.libs"):
        (tmp_path / name).symlink_to(made.site / name)
    folders = (made.qemu, made.userland, tmp_path, made.counter, made.guest, model)
    with subprocess.Popen([sys.executable, "-c", _KILLED, *map(str, folders)]) as process:
        assert model.read_text() == "begun"
        (emulator,) = _children(process.pid)
        ending = os.pidfd_open(emulator)
        process.kill()
        try:
            assert select.select([ending], [], [], 30)[0]
        finally:
            os.close(ending)


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.slow
def test_a_32_bit_system_is_counted_with_the_runtime_that_it_has(cache: Path) -> None:
    found = count(_MODELS, _OLD_32, cache=cache, progress=_quietly)
    assert all(instructions > 1000 for instructions in _instructions(found))
    assert len(_instructions(found)) == len(_MODELS)
