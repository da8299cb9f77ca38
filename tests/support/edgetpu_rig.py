"""What tests of the Edge TPU's process share: a model for the delegate, and which processes run."""

from pathlib import Path

import numpy as np

from green_edge.bundle.keys import trusting
from green_edge_agent.runtime.edgetpu.process import Load
from green_edge_agent.runtime.interpreter import load
from green_edge_wire.archive import Bundle, open_bundle
from green_edge_wire.clock import SystemClock
from support.bundles import test_signer as signer
from support.edgetpu_device import (
    TestDelegate,
    tiny_edgetpu_dense,
)
from support.tiny_models import tiny_int8_dense

CLOCK = SystemClock()

X = np.array([[3, -50, 100, 7]], np.int8)
# What a hang may cost a test. A healthy step takes milliseconds, and seconds on a loaded machine.
SHORT_S = 0.5
LONG_S = 60.0


def wanted(
    delegate: TestDelegate,
    *,
    load_s: float = LONG_S,
    invoke_s: float = LONG_S,
    runtime: int = 14,
) -> Load:
    model = tiny_edgetpu_dense(seed=1, runtime=runtime)
    return Load(model, str(delegate.library), "usb", load_s=load_s, invoke_s=invoke_s)


def opened(data: bytes) -> Bundle:
    return open_bundle(data, trusting([signer().public]))


def on_cpu(x: np.ndarray = X) -> np.ndarray:
    (y,) = load(tiny_int8_dense(seed=1)).invoke([x])
    return y


def children() -> list[int]:
    """The accelerator's processes of this one."""
    tasks = Path("/proc/self/task").iterdir()
    mine = [pid for task in tasks for pid in (task / "children").read_text().split()]
    return [pid for pid in map(int, mine) if b"edgetpu" in command_of(pid)]


def command_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()
