"""An environment of their own for peers that work with Keras 2 alone.

tensorflow-model-optimization needs tf_keras and an old absl-py, which green-edge's environment must
not get.
"""

import hashlib
import subprocess
import sys
from pathlib import Path

from benchmarks import cache
from green_edge_wire.errors import GreenEdgeError

# Resolved and run together on 2026-11-23.
PACKAGES = (
    "tensorflow==2.21.0",
    "tf-keras==2.21.0",
    "tensorflow-model-optimization==0.8.1",
    "numpy==2.4.6",
)


def tfmot_python() -> str:
    """The interpreter of that environment, which is made at first use.

    Raises:
        GreenEdgeError: pip cannot install the packages.
    """
    digest = hashlib.sha256("\n".join((sys.version, *PACKAGES)).encode()).hexdigest()[:12]
    folder = cache.folder("environments") / f"tfmot-{digest}"
    python, ready = folder / "bin" / "python", folder / "ready"
    if not ready.is_file():
        print(f"making {folder}: {', '.join(PACKAGES)}", file=sys.stderr, flush=True)
        _run([sys.executable, "-m", "venv", "--clear", str(folder)])
        _run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES])
        Path(ready).write_text("\n".join(PACKAGES) + "\n")
    return str(python)


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        # pip says the reason last.
        *_, reason = (done.stderr or done.stdout or "no reason given").strip().splitlines()
        raise GreenEdgeError(
            f"the peers' environment cannot be made: {reason}",
            hint="pip must reach PyPI, and the cache must have room for 2.5 GB",
        )
