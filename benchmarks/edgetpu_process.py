"""What it costs that the Edge TPU's library lives in a process of its own.

Compiles the test suite's delegate, so it needs a C compiler and no Edge TPU: what is measured is
the way of the arrays to the other process and back, not an inference.
"""

import statistics
import tempfile
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.tables import table
from green_edge_agent.runtime.edgetpu.process import EdgeTpuProcess, Load
from green_edge_agent.runtime.interpreter import runtime_name
from green_edge_wire.clock import SystemClock
from green_edge_wire.units import s_from_ns, us_from_ns
from support.edgetpu_device import compiled_delegate, tiny_edgetpu_dense

NEEDS: tuple[str, ...] = ()
RUNS = 300
# A feature vector, an image of 224 x 224 pixels, one of 512 x 512.
INPUT_BYTES = (4, 224 * 224 * 3, 512 * 512 * 3)


def _timed(library: Path, input_bytes: int) -> dict[str, float]:
    """Start a process with a model of one input and time what its own latency leaves out."""
    clock = SystemClock()
    start_ns = clock.monotonic_ns()
    model = tiny_edgetpu_dense(input_bytes, 3, seed=1)
    with closing(EdgeTpuProcess(Load(model, str(library), "usb")).start(clock)) as process:
        started_ns = clock.monotonic_ns() - start_ns
        x = np.zeros((1, input_bytes), np.int8)
        extra_us = []
        for _ in range(RUNS):
            before_ns = clock.monotonic_ns()
            timed = process.timed([x], clock)
            extra_us.append(us_from_ns(clock.monotonic_ns() - before_ns - timed.latency_ns))
    return {
        "input_bytes": input_bytes,
        "start_s": round(s_from_ns(started_ns), 2),
        "extra_us_median": round(statistics.median(extra_us)),
        "extra_us_p95": round(float(np.quantile(extra_us, 0.95))),
    }


def measure() -> dict[str, Any]:
    """Each input size in turn."""
    with tempfile.TemporaryDirectory() as folder:
        library = compiled_delegate(Path(folder))
        rows = [_timed(library, size) for size in INPUT_BYTES]
    return {"runs": RUNS, "runtime": runtime_name(), "rows": rows}


def markdown(figures: Mapping[str, Any]) -> str:
    """One row an input size."""
    rows = [
        (
            f"{row['input_bytes']:,}",
            str(row["start_s"]),
            str(row["extra_us_median"]),
            str(row["extra_us_p95"]),
        )
        for row in figures["rows"]
    ]
    head = ("input bytes", "start, s", "added µs, median", "added µs, 95th percentile")
    return f"{figures['runs']} inferences a size with {figures['runtime']}.\n\n{table(head, rows)}"
