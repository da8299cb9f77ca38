"""The guest program, run here with a runtime of a few lines in place of the real one."""

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from green_edge.emulate import machine

_GUEST = Path(machine.__file__).with_name("guest.py")
_RUNTIME = """
import os, time
import numpy as np

class Interpreter:
    invoked = []

    def __init__(self, model_path, num_threads):
        self.name = os.path.basename(model_path)
        if self.name == "unknown-op":
            raise ValueError("Didn't find op")

    def allocate_tensors(self):
        if self.name == "unprepared":
            raise RuntimeError("failed to prepare")
        if self.name == "hang":
            time.sleep(1000)

    def get_input_details(self):
        kind = {"dtype": np.float32, "quantization_parameters": {"scales": np.array([])}}
        return [{"index": 0, "shape": [1, 8], **kind}]

    def get_tensor_details(self):
        weights = 10**7 if self.name == "large" else 1
        return [{"shape": np.array([1, 8])}, {"shape": np.array([weights])}]

    def set_tensor(self, index, values):
        self.values = values

    def invoke(self):
        with open("invoked", "a") as log:
            log.write(self.name + "\\n")
        wanted = {"zeros": 0, "ones": 1}.get(self.name)
        if wanted is not None and not (self.values == wanted).all() or self.name == "never":
            raise RuntimeError("gather index out of bounds")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    package = tmp_path / "site" / "tflite_runtime"
    package.mkdir(parents=True)
    (package / "interpreter.py").write_text(_RUNTIME)
    return tmp_path


def _command(folder: Path, *models: str) -> list[str]:
    (folder / "models").write_text("\n".join(models))
    return [sys.executable, str(_GUEST), "tflite-runtime", "models"]


def _environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(folder / "site")}


def _answers(folder: Path, *models: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        _command(folder, *models),
        cwd=folder,
        env=_environment(folder),
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("model", "words"), [("unknown-op", "Didn't find op"), ("unprepared", "failed to prepare")]
)
def test_what_does_not_load_is_refused_in_the_runtimes_words(
    folder: Path, model: str, words: str
) -> None:
    assert _answers(folder, model) == [{"begun": 0}, {"refused": 0, "message": words}]


@pytest.mark.parametrize("model", ["zeros", "ones"])
def test_inputs_that_a_model_does_not_take_are_made_up_anew(folder: Path, model: str) -> None:
    assert _answers(folder, model) == [{"begun": 0}, {"counted": 0, "repeats": 4}]


def test_a_model_that_takes_no_inputs_of_ours_is_not_refused_for_it(folder: Path) -> None:
    assert _answers(folder, "never", "fine")[1:] == [
        {
            "failed": 0,
            "message": "does not run with made-up inputs: gather index out of bounds",
        },
        {"begun": 1},
        {"counted": 1, "repeats": 4},
    ]


@pytest.mark.parametrize(("model", "repeats"), [("small", 4), ("large", 1)])
def test_how_often_a_model_runs_is_decided_by_its_size_alone(
    folder: Path, model: str, repeats: int
) -> None:
    assert _answers(folder, model)[1] == {"counted": 0, "repeats": repeats}
    # Three to warm up, then once and twice as many as that.
    invoked = (folder / "invoked").read_text().splitlines()
    assert len(invoked) == 3 + 3 * repeats


def test_a_guest_ends_with_who_started_it_however_that_ends(folder: Path) -> None:
    parent = (
        "import subprocess, sys\n"
        "guest = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE)\n"
        "guest.stdout.readline()\n"
        "print(guest.pid, flush=True)\n"
        "guest.wait()\n"
    )
    command = [sys.executable, "-c", parent, *_command(folder, "hang")]
    with subprocess.Popen(
        command, cwd=folder, env=_environment(folder), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        guest = os.pidfd_open(int(process.stdout.readline()))
        process.send_signal(signal.SIGKILL)
        try:
            assert _ended(guest, timeout_s=20)
        finally:
            os.close(guest)


def _ended(process: int, *, timeout_s: float) -> bool:
    # The file of a process can be read as soon as it has ended.
    return bool(select.select([process], [], [], timeout_s)[0])
