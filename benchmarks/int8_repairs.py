"""What each calibration method and each repair does against planted faults: accuracy, by seed.

The models and their data are those of tests/support/outlier_models.py: small networks with random
convolutions and a fitted head, six classes, 600 judged samples.
"""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import mean
from typing import Any, get_args

from benchmarks.tables import table
from green_edge.convert.converters import Converters, Wide
from green_edge.core.recipe import CALIBRATIONS, Calibration
from support.outlier_models import (
    FIRST,
    SECOND,
    SUM,
    THIRD,
    Fault,
    Planted,
    accuracy,
    planted,
)

NEEDS: tuple[str, ...] = ()
SEEDS = 5
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


def lost_pp(fault: Fault, tools: Converters) -> dict[str, list[float]]:
    """Accuracy lost against float, by method, one figure a seed."""
    lost: dict[str, list[float]] = {name: [] for name in METHODS}
    for seed in range(SEEDS):
        made = planted(fault, seed=seed)
        before = accuracy(made.model, made)
        for name, make in METHODS.items():
            lost[name].append(round(PP * (before - accuracy(make(tools, made), made)), 2))
    return lost


def measure() -> dict[str, Any]:
    """Every method against every fault."""
    with tempfile.TemporaryDirectory() as folder, Converters(Path(folder), timeout_s=300) as tools:
        rows = {fault: lost_pp(fault, tools) for fault in get_args(Fault)}
    return {
        "unit": "accuracy lost against float, percentage points, one figure a seed",
        "seeds": SEEDS,
        "judged_samples": 600,
        "lost_pp": rows,
    }


def markdown(figures: Mapping[str, Any]) -> str:
    """One row a fault: mean over the seeds, the worst in brackets."""
    lost: Mapping[str, Mapping[str, list[float]]] = figures["lost_pp"]
    methods = [*next(iter(lost.values()))]
    rows = [
        (fault, *(f"{mean(values):.1f} ({max(values):.1f})" for values in by_method.values()))
        for fault, by_method in lost.items()
    ]
    return (
        f"Accuracy lost against float in percentage points, mean over {figures['seeds']} seeds and"
        f" the worst in brackets, {figures['judged_samples']} samples judged.\n\n"
        f"{table(('fault', *methods), rows)}"
    )
