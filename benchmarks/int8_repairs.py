"""What each calibration method and each repair does against planted faults: accuracy, by seed.

The models and their data are those of tests/support/outlier_models.py: small networks with random
convolutions and a fitted head, six classes, 600 judged samples. Prints a Markdown table of accuracy
lost against the float model in percentage points, mean over the seeds (worst in brackets), and
writes benchmarks/results/int8_repairs.json.

    python benchmarks/int8_repairs.py [--seeds 5]
"""

import argparse
import datetime as dt
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import get_args

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from green_edge.convert.converters import Converters, Wide  # noqa: E402
from green_edge.core.recipe import CALIBRATIONS, Calibration  # noqa: E402
from support.outlier_models import (  # noqa: E402 - the tests' folder has to be on the path first
    FIRST,
    SECOND,
    SUM,
    THIRD,
    Fault,
    Planted,
    accuracy,
    planted,
)

RESULTS = ROOT / "benchmarks" / "results" / "int8_repairs.json"
INPUTS = ["image"]
PP = 100.0

Make = Callable[[Converters, Planted], bytes]


def by_ranges(method: Calibration) -> Make:
    """Quantize with ranges of that method."""

    def make(tools: Converters, made: Planted) -> bytes:
        return tools.quantize(made.model, INPUTS, [made.calibration], ranges=method)

    return make


def by_bias(tools: Converters, made: Planted) -> bytes:
    """Min-max, then bias correction."""
    plain = tools.quantize(made.model, INPUTS, [made.calibration])
    return tools.correct_bias(made.model, plain, INPUTS, [made.calibration]).content


def by_rounding(tools: Converters, made: Planted) -> bytes:
    """Min-max, then adaptive rounding."""
    plain = tools.quantize(made.model, INPUTS, [made.calibration])
    return tools.round_adaptively(made.model, plain, INPUTS, [made.calibration]).content


def by_equalisation(tools: Converters, made: Planted) -> bytes:
    """Cross-layer equalisation, then min-max."""
    even = tools.equalise(made.model).content
    return tools.quantize(even, INPUTS, [made.calibration])


def by_mixing(tools: Converters, made: Planted) -> bytes:
    """Min-max with all but the head in float."""
    residual = SUM.encode() in made.model
    wide = Wide((FIRST, SECOND, SUM, THIRD) if residual else (FIRST, SECOND, THIRD))
    return tools.quantize(made.model, INPUTS, [made.calibration], wide=wide)


METHODS: dict[str, Make] = {
    **{method: by_ranges(method) for method in CALIBRATIONS},
    "bias-correction": by_bias,
    "equalisation": by_equalisation,
    "adaptive-rounding": by_rounding,
    "mixed (float32)": by_mixing,
}


def lost_pp(fault: Fault, seeds: int, tools: Converters) -> dict[str, list[float]]:
    """Accuracy lost against float, by method, one figure a seed."""
    lost: dict[str, list[float]] = {name: [] for name in METHODS}
    for seed in range(seeds):
        made = planted(fault, seed=seed)
        before = accuracy(made.model, made)
        for name, make in METHODS.items():
            lost[name].append(round(PP * (before - accuracy(make(tools, made), made)), 2))
    return lost


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    seeds = parser.parse_args().seeds
    with tempfile.TemporaryDirectory() as folder, Converters(Path(folder), timeout_s=300) as tools:
        rows = {fault: lost_pp(fault, seeds, tools) for fault in get_args(Fault)}
    print("| fault | " + " | ".join(METHODS) + " |")
    print("|---|" + "---:|" * len(METHODS))
    for fault, lost in rows.items():
        cells = (f"{mean(values):.1f} ({max(values):.1f})" for values in lost.values())
        print(f"| {fault} | " + " | ".join(cells) + " |")
    document = {
        "command": f"python benchmarks/int8_repairs.py --seeds {seeds}",
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "unit": "accuracy lost against float, percentage points, one figure a seed",
        "judged_samples": 600,
        "lost_pp": rows,
    }
    RESULTS.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
