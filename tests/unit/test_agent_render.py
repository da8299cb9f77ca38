"""What the device prints where nobody reads it."""

import subprocess
import sys

import pytest

_ANSWER_TWICE = """
import sys
from green_edge_agent import render
from green_edge_wire.device import InferResult
sys.stdin.readline()
try:
    render.answer(InferResult(id="a"))
except OSError as error:
    render.say(f"told: {error.strerror}")
render.answer(InferResult(id="b"))
"""


def _run(stdout: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", _ANSWER_TWICE],
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_an_answer_to_a_pipe_without_a_reader_is_told_and_the_end_stays_clean() -> None:
    with _run(subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        _, said = process.communicate("go\n", timeout=60)
    assert (said, process.returncode) == ("told: Broken pipe\n", 0)


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is of Linux: run it there")
def test_an_answer_to_a_full_disk_is_told_and_the_end_stays_clean() -> None:
    with open("/dev/full", "wb") as full, _run(full.fileno()) as process:  # noqa: PTH123
        _, said = process.communicate("go\n", timeout=60)
    assert (said, process.returncode) == ("told: No space left on device\n", 0)
