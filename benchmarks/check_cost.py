"""What `green-edge check` costs on a large model: seconds and memory, without TensorFlow.

A model of 30 MB of seeded int8 weights (60 fully connected layers) is checked in a process of its
own for a processor and for an Edge TPU, five times each in turn.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from benchmarks.tables import table
from green_edge_wire.errors import GreenEdgeError

LAYERS = 60
SIZE = 707
TARGETS = ("pi4", "coral-usb+pi5")
RUNS = 5
NEEDS: tuple[str, ...] = ()

# Runs the command as a user's shell would, then says what it imported and how much memory it took.
CHILD = """
import sys, time
from green_edge.cli import main
try:
    main.main(["check", sys.argv[1], "--target", sys.argv[2], "--json"], standalone_mode=False)
except SystemExit:
    pass
# Not getrusage: its peak starts from the parent's, which holds the model twice.
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(peak, time.process_time(), "tensorflow" in sys.modules, file=sys.stderr)
"""


def large_model() -> bytes:
    """A chain of int8 fully connected layers."""
    rng = np.random.default_rng(0)
    graph: Any = schema.SubGraphT()
    graph.tensors, graph.operators = [_tensor("x", [1, SIZE], 0)], []
    buffers = [schema.BufferT()]
    for layer in range(LAYERS):
        weights: Any = schema.BufferT()
        weights.data = rng.integers(-127, 128, SIZE * SIZE, np.int8).view(np.uint8)
        buffers.append(weights)
        graph.tensors.append(_tensor(f"w{layer}", [SIZE, SIZE], len(buffers) - 1))
        graph.tensors.append(_tensor(f"y{layer}", [1, SIZE], 0))
        operator: Any = schema.OperatorT()
        operator.opcodeIndex = 0
        operator.inputs = [2 * layer, 2 * layer + 1, -1]
        operator.outputs = [2 * layer + 2]
        operator.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
        operator.builtinOptions = schema.FullyConnectedOptionsT()
        graph.operators.append(operator)
    graph.inputs, graph.outputs = [0], [2 * LAYERS]
    code: Any = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
    code.version = 4
    model: Any = schema.ModelT()
    model.version, model.operatorCodes = 3, [code]
    model.subgraphs, model.buffers = [graph], buffers
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _tensor(name: str, shape: list[int], buffer: int) -> Any:
    tensor: Any = schema.TensorT()
    tensor.name, tensor.shape, tensor.buffer = name.encode(), shape, buffer
    tensor.type = schema.TensorType.INT8
    tensor.quantization = schema.QuantizationParametersT()
    tensor.quantization.scale, tensor.quantization.zeroPoint = [0.05], [0]
    return tensor


def run(model: Path, target: str) -> tuple[float, float, float]:
    """Seconds of a process from start to end, of its processor time, and its peak memory in MiB."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(model), target],
        capture_output=True,
        text=True,
        check=True,
    )
    seconds = time.perf_counter() - start
    peak_kib, cpu_s, tensorflow = done.stderr.split()[-3:]
    if json.loads(done.stdout)["verdict"] != "runs" or tensorflow != "False":
        raise GreenEdgeError(f"{target}: unexpected {done.stdout[:200]} {done.stderr}")
    return seconds, float(cpu_s), int(peak_kib) / 1024


def measure() -> dict[str, Any]:
    """Check the model for each target."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.tflite"
        path.write_bytes(large_model())
        runs = [(target, *run(path, target)) for _ in range(RUNS) for target in TARGETS]
        size = path.stat().st_size
    rows = []
    for target in TARGETS:
        seconds, cpu, mib = zip(
            *(figures for name, *figures in runs if name == target), strict=True
        )
        rows.append(
            {
                "target": target,
                "median_s": round(statistics.median(seconds), 2),
                "max_s": round(max(seconds), 2),
                "median_cpu_s": round(statistics.median(cpu), 2),
                "peak_rss_mib": round(max(mib), 1),
            }
        )
    return {"model_bytes": size, "runs": RUNS, "tensorflow_imported": False, "rows": rows}


def markdown(figures: Mapping[str, Any]) -> str:
    """One row a target."""
    rows = [
        (
            row["target"],
            f"{row['median_s']:.2f}",
            f"{row['max_s']:.2f}",
            f"{row['median_cpu_s']:.2f}",
            f"{row['peak_rss_mib']:.1f}",
        )
        for row in figures["rows"]
    ]
    head = ("target", "median s", "longest s", "median processor s", "peak MiB")
    return (
        f"A model of {figures['model_bytes']:,} bytes, {figures['runs']} runs a target, the start"
        f" of Python included.\n\n{table(head, rows)}"
    )
