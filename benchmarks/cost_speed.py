"""What a question to the cost model costs a search: microseconds of `predict_shapes`.

The MLPerf Tiny int8 models, on `pi4`. Each round widens every output by a channel more, so that
nothing of it is remembered; then the same is asked again.
"""

import os
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.tables import table
from green_edge.targets.cost.shape import OpShape, shapes_of
from green_edge.targets.prediction import predict_shapes
from green_edge.targets.registry import find
from green_edge.tflite.read import read

NEEDS = ("GREEN_EDGE_TEST_DATA",)
_ROUNDS = 200


def measure() -> dict[str, Any]:
    """Time new and remembered questions, in turn."""
    target = find("pi4")
    found = {}
    for path in sorted((Path(os.environ[NEEDS[0]]) / "mlperf_tiny").glob("*_int8.tflite")):
        shapes = shapes_of(read(path.read_bytes(), static=False, zipped=False))
        predict_shapes(shapes, target)
        new: list[float] = []
        known: list[float] = []
        for number in range(1, _ROUNDS + 1):
            asked = _other(shapes, number)
            for times in (new, known):
                start_ns = time.perf_counter_ns()
                predict_shapes(asked, target)
                times.append((time.perf_counter_ns() - start_ns) / 1_000)
        found[path.stem] = {
            "operations": len(shapes),
            "new_p50_us": round(statistics.median(new), 1),
            "new_p95_us": round(statistics.quantiles(new, n=20)[-1], 1),
            "known_p50_us": round(statistics.median(known), 1),
        }
    return {"target": "pi4", "rounds": _ROUNDS, "models": found}


def markdown(figures: Mapping[str, Any]) -> str:
    """Times by model."""
    head = ["model", "operations", "asked anew, median us", "95th percentile", "remembered, median"]
    rows = [
        [name, str(m["operations"]), str(m["new_p50_us"]), str(m["new_p95_us"]),
         str(m["known_p50_us"])]
        for name, m in figures["models"].items()
    ]  # fmt: skip
    return f"{figures['rounds']} questions each, for {figures['target']}.\n\n{table(head, rows)}"


def _other(shapes: Sequence[OpShape], number: int) -> tuple[OpShape, ...]:
    """The same operations with outputs that were not asked for before."""
    return tuple(replace(s, output=(*s.output[:-1], s.output[-1] + number)) for s in shapes)
