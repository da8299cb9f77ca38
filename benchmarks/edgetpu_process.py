"""Measure what it costs that the Edge TPU's library lives in a process of its own.

Compiles the test suite's delegate, so it needs a C compiler and no Edge TPU: what is measured is
the way of the arrays to the other process and back, not an inference. Prints JSON, and writes it to
benchmarks/results/edgetpu_process.json.

    PYTHONPATH=tests python benchmarks/edgetpu_process.py [--runs 300]
"""

import argparse
import json
import platform
import statistics
import tempfile
from contextlib import closing
from pathlib import Path

import numpy as np

from green_edge_agent.runtime.edgetpu.process import EdgeTpuProcess, Load
from green_edge_agent.runtime.interpreter import runtime_name
from green_edge_wire.clock import SystemClock
from green_edge_wire.units import s_from_ns, us_from_ns
from support.edgetpu_device import compiled_delegate, tiny_edgetpu_dense

RESULTS = Path(__file__).parent / "results" / "edgetpu_process.json"
# A feature vector, an image of 224 x 224 pixels, one of 512 x 512.
INPUT_BYTES = (4, 224 * 224 * 3, 512 * 512 * 3)


def measure(library: Path, input_bytes: int, runs: int) -> dict[str, float]:
    """Start a process with a model of one input and time what its own latency leaves out."""
    clock = SystemClock()
    start_ns = clock.monotonic_ns()
    model = tiny_edgetpu_dense(input_bytes, 3, seed=1)
    with closing(EdgeTpuProcess(Load(model, str(library), "usb")).start(clock)) as process:
        started_ns = clock.monotonic_ns() - start_ns
        x = np.zeros((1, input_bytes), np.int8)
        extra_us = []
        for _ in range(runs):
            before_ns = clock.monotonic_ns()
            timed = process.timed([x], clock)
            extra_us.append(us_from_ns(clock.monotonic_ns() - before_ns - timed.latency_ns))
    return {
        "input_bytes": input_bytes,
        "start_s": round(s_from_ns(started_ns), 2),
        "extra_us_median": round(statistics.median(extra_us)),
        "extra_us_p95": round(float(np.quantile(extra_us, 0.95))),
    }


def main() -> None:
    """Measure each input size and keep the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=300)
    runs: int = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        library = compiled_delegate(Path(folder))
        rows = [measure(library, size, runs) for size in INPUT_BYTES]
    figures = {
        "runs": runs,
        "machine": f"{platform.machine()}, {platform.system()}",
        "runtime": runtime_name(),
        "rows": rows,
    }
    text = json.dumps(figures, indent=2)
    RESULTS.write_text(f"{text}\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
