"""A machine that cannot be started is told with the remedy that helps."""

import resource
from pathlib import Path

import pytest

from green_edge.emulate import machine
from green_edge.emulate.board import core_of
from green_edge.emulate.machine import Machine
from green_edge.emulate.setting import EmulationError, Setting


@pytest.fixture
def empty(tmp_path: Path) -> Machine:
    """A machine of which no file is there."""
    parts = tmp_path / "emulation" / "parts"
    for name in ("qemu", "userland", "site"):
        (parts / name).mkdir(parents=True)
    core = core_of(Setting("ai-edge-litert", "2.3.0", "cortex-a72", "aarch64"))
    qemu, userland, site = (parts / name for name in ("qemu", "userland", "site"))
    return Machine(qemu, userland, site, parts / "counter.so", parts / "guest.py", core)


def test_an_emulator_that_is_gone_is_an_error_that_names_the_whole_folder(
    empty: Machine, tmp_path: Path
) -> None:
    hint = f"remove {tmp_path / 'emulation'} to have it made anew"
    with pytest.raises(EmulationError, match="emulated cortex-a72 did not start") as raised:
        list(machine.run(empty, "ai-edge-litert", [tmp_path / "model"], timeout_s=10))
    assert str(raised.value).endswith(hint)


def test_a_disk_without_room_for_temporary_files_is_not_blamed_on_the_cache(
    empty: Machine, tmp_path: Path
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with pytest.raises(EmulationError, match=r"not usable: File too large.*TMPDIR"):
            list(machine.run(empty, "ai-edge-litert", [tmp_path / "model"], timeout_s=10))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
