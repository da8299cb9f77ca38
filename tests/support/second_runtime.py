"""A second virtual environment with tflite-runtime, the runtime of 32-bit boards and of Coral.

It cannot live in the first one: tflite-runtime 2.14 works with NumPy 1 alone. The agent runs in it
from this tree, as from a copy of `device_agent/` on a board.
"""

import os
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

RUNTIME = "tflite-runtime 2.14.0"

_AGENT = Path(__file__).parents[2] / "device_agent"
_PACKAGES = (
    "tflite-runtime==2.14.0",
    "numpy<2",
    "paho-mqtt>=2.1,<3",
    "click>=8.1,<9",
    "cryptography>=42",
    "pillow>=10",
)
# The only Python that tflite-runtime 2.14 has wheels for and that green-edge runs on.
_PYTHON = (3, 11)
_INSTALL_S = 240


@dataclass(frozen=True, slots=True)
class SecondRuntime:
    """The environment.

    Attributes:
        python: its interpreter.
    """

    python: Path

    def environ(self, *before: Path) -> dict[str, str]:
        """Environment of a program in it, with folders `before` its own packages."""
        path = os.pathsep.join(str(folder) for folder in (*before, _AGENT))
        return {**os.environ, "PYTHONPATH": path, "PYTHONNOUSERSITE": "1"}

    def run(
        self, *arguments: str, before: tuple[Path, ...] = ()
    ) -> "subprocess.CompletedProcess[str]":
        """Run its Python to the end."""
        return subprocess.run(
            [self.python, *arguments],
            env=self.environ(*before),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


def second_runtime(folder: Path) -> SecondRuntime:
    """Make the environment below `folder`; skips the test where it cannot be."""
    if sys.version_info[:2] != _PYTHON:
        pytest.skip("tflite-runtime 2.14 needs Python 3.11: make PYTHON=python3.11 test")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    try:
        done = subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--retries", "1", *_PACKAGES],
            capture_output=True,
            text=True,
            timeout=_INSTALL_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"pip did not end within {_INSTALL_S} s: see that it reaches a package index")
    if done.returncode:
        _skip(done.stderr)
    return SecondRuntime(python)


def _skip(said: str) -> None:
    """Skip for what pip said; no wheel and no index read the same to it."""
    words = [line for line in said.splitlines() if line.startswith("ERROR")] or [said.strip()]
    pytest.skip(
        f"pip cannot install {RUNTIME} on {sysconfig.get_platform()}: {words[-1]}; "
        "see that pip reaches a package index, and that it has a wheel for this platform"
    )
