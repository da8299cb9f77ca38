"""Edge TPU: predicted ranges of latency against published ones.

MobileNets are read from `edgetpu/pairs.json` in the folder named by GREEN_EDGE_TEST_DATA, the other
networks are built from their papers (`coral_networks.py`). Nothing here was measured on a chip: the
published figures are others'. Some of them set the bounds of `targets/edgetpu/accelerators.toml`,
which the table says; only the others tell how the ranges do on what they have not seen.
"""

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from benchmarks import coral_networks
from benchmarks.edgetpu_op_lists import model_of
from green_edge.targets.edgetpu.accelerators import LinkName
from green_edge.targets.edgetpu.predict import predict
from green_edge.targets.edgetpu.timing import timing
from green_edge.targets.physics import Range
from green_edge.tflite.model import TfliteModel

NEEDS: tuple[str, ...] = ("GREEN_EDGE_TEST_DATA",)

_TABLE = "https://coral.ai/docs/edgetpu/benchmarks/"
_PYTHON = "https://github.com/freedomtan/edge_tpu_python_scripts"
_ISSUES = "https://github.com/google-coral/edgetpu/issues/"
_PAIRS = {"MobileNet v1": "4fd7bd5d9d", "MobileNet v2": "b8c71fe63e"}
_BUILT: Mapping[str, Callable[[], TfliteModel]] = {
    "Inception v1": coral_networks.inception_v1,
    "Inception v4": coral_networks.inception_v4,
    "ResNet-50 299": coral_networks.resnet_50,
}


@dataclass(frozen=True, slots=True)
class _Published:
    """A published latency; `bound` where it set a bound of the constants."""

    model: str
    link: LinkName
    latency_us: int
    where: str
    source: str
    bound: bool = False


_PUBLISHED = (
    _Published("MobileNet v1", "usb3", 2_400, "desktop, C++", _TABLE),
    _Published("MobileNet v2", "usb3", 2_600, "desktop, C++", _TABLE, bound=True),
    _Published("Inception v1", "usb3", 3_400, "desktop, C++", _TABLE),
    _Published("Inception v4", "usb3", 85_000, "desktop, C++", _TABLE),
    _Published("ResNet-50 299", "usb3", 49_000, "desktop, C++", _TABLE, bound=True),
    _Published("MobileNet v1", "usb3", 2_910, "iMac 2015, Python", _PYTHON, bound=True),
    _Published("MobileNet v2", "usb3", 3_010, "iMac 2015, Python", _PYTHON),
    _Published("Inception v1", "usb3", 3_740, "iMac 2015, Python", _PYTHON),
    _Published("Inception v4", "usb3", 84_930, "iMac 2015, Python", _PYTHON),
    _Published("MobileNet v1", "usb3", 3_900, "i9 host, 2026", "https://x2q.net"),
    _Published("MobileNet v1", "pcie", 2_400, "Dev Board, C++", _TABLE),
    _Published("MobileNet v2", "pcie", 2_600, "Dev Board, C++", _TABLE, bound=True),
    _Published("Inception v1", "pcie", 4_100, "Dev Board, C++", _TABLE),
    _Published("Inception v4", "pcie", 102_000, "Dev Board, C++", _TABLE),
    _Published("ResNet-50 299", "pcie", 56_000, "Dev Board, C++", _TABLE, bound=True),
    _Published("MobileNet v2", "usb2", 18_600, "Dev Board Mini, Python", f"{_ISSUES}497"),
    _Published("MobileNet v2", "usb2", 19_300, "Dev Board Mini", f"{_ISSUES}793", bound=True),
    _Published("MobileNet v1", "usb2", 9_500, "armv7l, C++", f"{_ISSUES}151", bound=True),
)


def measure() -> dict[str, Any]:
    """Predict each and compare."""
    path = Path(os.environ["GREEN_EDGE_TEST_DATA"], "edgetpu", "pairs.json")
    pairs = {p["id"]: p for p in json.loads(path.read_text(encoding="utf-8"))["pairs"]}
    models = {name: model_of(pairs[key]["ops"]) for name, key in _PAIRS.items()}
    models |= {name: build() for name, build in _BUILT.items()}
    rows = [_row(each, models[each.model]) for each in _PUBLISHED]
    free = [row for row in rows if not row["bound"]]
    ordered, misses = _ordered(rows)
    return {
        "rows": rows,
        "inside": sum(row["inside"] for row in rows),
        "unseen": len(free),
        "unseen_inside": sum(row["inside"] for row in free),
        "pairs": ordered + len(misses),
        "pairs_ordered": ordered,
        "misordered": misses,
    }


def markdown(figures: Mapping[str, Any]) -> str:
    """One row a published figure."""
    lines = [
        "| model | link | published | estimate | inside | where |",
        "|---|---|---:|---:|---|---|",
    ]
    for row in figures["rows"]:
        span = row["estimate_us"]
        inside = ("yes" if row["inside"] else "no") + (", set a bound" if row["bound"] else "")
        shown = f"{span['low'] / 1e3:.1f} to {span['high'] / 1e3:.1f} ms"
        lines.append(
            f"| {row['model']} | {row['link']} | {row['latency_us'] / 1e3:.1f} ms | {shown} "
            f"| {inside} | [{row['where']}]({row['source']}) |"
        )
    misses = "; ".join(figures["misordered"]) or "none"
    said = (
        f"Inside: {figures['inside']} of {len(figures['rows'])}; of those that set no bound "
        f"{figures['unseen_inside']} of {figures['unseen']}. Two models from one source ordered as "
        f"published: {figures['pairs_ordered']} of {figures['pairs']}; wrong: {misses}."
    )
    lines += ["", said]
    return "\n".join(lines)


def _row(each: _Published, model: TfliteModel) -> dict[str, Any]:
    found = timing(model, predict(model), each.link, host_us=[None] * len(model.ops)).latency_us
    inside = found.low <= each.latency_us <= found.high
    return asdict(each) | {"estimate_us": asdict(found), "inside": inside}


def _ordered(rows: list[dict[str, Any]]) -> tuple[int, list[str]]:
    """Pairs of models, same host and source, that the middle of the ranges orders alike."""
    right, wrong = 0, []
    for a, b in combinations(rows, 2):
        if (a["where"], a["source"], a["link"]) != (b["where"], b["source"], b["link"]):
            continue
        if (_middle(a) < _middle(b)) == (a["latency_us"] < b["latency_us"]):
            right += 1
        else:
            wrong.append(f"{a['model']} and {b['model']} ({a['where']})")
    return right, wrong


def _middle(row: Mapping[str, Any]) -> float:
    span = Range(**row["estimate_us"])
    return math.sqrt(max(span.low, 1) * span.high)
