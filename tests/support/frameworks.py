"""A virtual environment with the packages of other frameworks, on top of this one's.

They cannot live in the first one: litert-torch pins packages that others want newer. What is
installed here is seen from there, so only the difference is downloaded.
"""

import os
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# The extras `onnx` and `torch`; PyTorch exports ONNX by packages of its own.
_PACKAGES = (
    "onnx2tf==1.28.8",
    "onnx>=1.19,<2",
    "onnx-graphsurgeon>=0.6,<0.7",
    "onnxruntime>=1.23,<2",
    "onnxsim>=0.6,<1",
    "psutil>=5.9",
    "sng4onnx>=2,<3",
    "tf-keras>=2.21,<2.22",
    "litert-torch>=0.10,<0.11",
    "torch==2.13.0",
)
_INSTALL_S = 280


@dataclass(frozen=True, slots=True)
class Frameworks:
    """The environment.

    Attributes:
        python: its interpreter.
    """

    python: Path

    def run(self, *arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
        """Run its Python to the end."""
        paths = (ROOT / "toolchain", ROOT / "device_agent", ROOT / "tests")
        ours = {
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            "GREEN_EDGE_KEYS": str(cwd / "keys"),
            "GREEN_EDGE_STATE": str(cwd / "state"),
        }
        return subprocess.run(
            [self.python, *arguments],
            env={**os.environ, **ours},
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )


def frameworks(folder: Path) -> Frameworks:
    """Make the environment below `folder`; skips the test where it cannot be."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    packages = next((folder / "lib").glob("python*")) / "site-packages"
    (packages / "first.pth").write_text(sysconfig.get_path("purelib") + "\n")
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
        words = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        pytest.skip(
            f"pip cannot install onnx2tf and litert-torch on {sysconfig.get_platform()} for Python "
            f"{sys.version_info[0]}.{sys.version_info[1]}: {(words or [done.stderr.strip()])[-1]}; "
            "see that pip reaches a package index, and that it has wheels for this platform"
        )
    return Frameworks(python)
