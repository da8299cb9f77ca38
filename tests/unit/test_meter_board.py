from pathlib import Path

import pytest

from green_edge_agent.meters.board import board_ids, identify, os_release, read_board
from green_edge_agent.meters.sysroot import sysroot
from support.sysfs import board_tree, write


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("Raspberry Pi 5 Model B Rev 1.0", ("pi5", "1.0")),
        ("Raspberry Pi 4 Model B Rev 1.5", ("pi4", "1.5")),
        ("Raspberry Pi 400 Rev 1.0", ("pi400", "1.0")),
        ("Raspberry Pi 3 Model B Plus Rev 1.3", ("pi3bplus", "1.3")),
        ("Raspberry Pi 3 Model B Rev 1.2", ("pi3", "1.2")),
        ("Raspberry Pi Zero 2 W Rev 1.0", ("zero2", "1.0")),
        ("Raspberry Pi Compute Module 4 Rev 1.0", ("", "1.0")),
        ("Raspberry Pi 4 Model B", ("pi4", "")),
        ("NVIDIA Jetson Nano", ("", "")),
        ("", ("", "")),
    ],
)
def test_the_firmwares_model_line_names_the_board(model: str, expected: tuple[str, str]) -> None:
    assert identify(model) == expected


def test_a_raspberry_pi_is_read_from_the_device_tree(tmp_path: Path) -> None:
    board = read_board(board_tree(tmp_path), bits=64)
    assert board.model == "Raspberry Pi 4 Model B Rev 1.2"
    assert (board.board_id, board.revision, board.bits) == ("pi4", "1.2", 64)
    assert (board.cpus, board.ram_bytes) == (4, 3_884_344 * 1024)
    assert board.is_raspberry_pi


def test_without_a_device_tree_the_model_comes_from_cpuinfo(tmp_path: Path) -> None:
    write(tmp_path / "proc" / "cpuinfo", "processor : 0\nModel\t\t: Raspberry Pi 2 Model B Rev 1.1")
    assert read_board(tmp_path).board_id == "pi2"
    write(tmp_path / "proc" / "cpuinfo", "model name\t: AMD EPYC\nmodel name\t: AMD EPYC")
    board = read_board(tmp_path)
    assert (board.model, board.board_id, board.is_raspberry_pi) == ("AMD EPYC", "", False)


def test_an_empty_tree_is_an_unknown_machine(tmp_path: Path) -> None:
    board = read_board(tmp_path)
    assert (board.model, board.cpus, board.ram_bytes) == ("unknown", 0, 0)


def test_every_board_id_is_given_once() -> None:
    assert len(set(board_ids())) == len(board_ids())


def test_the_distribution_is_named_by_os_release(tmp_path: Path) -> None:
    path = write(tmp_path / "os-release", 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12"')
    assert os_release(path) == "Debian GNU/Linux 12"
    assert os_release(tmp_path / "absent") == "unknown"


def test_the_environment_moves_the_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GREEN_EDGE_SYSROOT", str(tmp_path))
    assert sysroot() == tmp_path
    monkeypatch.setenv("GREEN_EDGE_SYSROOT", "")
    assert sysroot() == Path("/")
