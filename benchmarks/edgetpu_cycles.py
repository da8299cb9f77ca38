"""Edge TPU: cycles that its compiler estimates, and the length of the chip's code.

Older compilers stored an estimate of pure compute in their files. The constants of
`targets/edgetpu/cycles.py` are those of a grid that explain it best on single convolutions and
classifiers; the verdict is on all other families of models. The length of the code stands in every
compiled file. Reads `edgetpu/pairs.json` in the folder named by GREEN_EDGE_TEST_DATA and writes
`targets/edgetpu/cycles.toml`.
"""

import datetime as dt
import json
import math
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import resources
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.edgetpu_op_lists import model_of
from green_edge.targets.edgetpu.cycles import Array, Code, code_bytes, cycles
from green_edge.targets.edgetpu.predict import Placement
from green_edge.tflite.model import TfliteModel

NEEDS: tuple[str, ...] = ("GREEN_EDGE_TEST_DATA",)

# How the names of the families that are fitted begin.
_FITTED = ("conv_#d", "mobilenet_v#_#")
# Below it stand models that do nothing: the least that the compiler stores is 16.
_LEAST_CYCLES = 1_000
# Models of one or two operations are not what users have.
_LEAST_OPS = 3
# A third of the 192 KiB that a tile has for activations.
_TILE_BYTES = 65_536
_COMMAND = "python -m benchmarks run edgetpu_cycles"
_TILES, _LANES, _PRODUCTS, _LEAST = (1, 2, 4, 8), (16, 32, 64, 128), (1, 2, 4), (1, 4, 8, 16, 32)
_GRID = tuple(Array(*each) for each in product(_TILES, _TILES, _LANES, _PRODUCTS, _LEAST, _LEAST))
_CODE_GRID = tuple(
    Code(op_bytes, part_bytes, _TILE_BYTES, 1.0, 1.0)
    for op_bytes, part_bytes in product(range(1_000, 4_001, 100), range(0, 40_001, 1_000))
)


@dataclass(frozen=True, slots=True)
class _Sample:
    name: str
    family: str
    fitted: bool
    model: TfliteModel
    placements: tuple[Placement, ...]
    cycles: int
    code_bytes: int

    def ratio(self, array: Array) -> float:
        found = sum(op.cycles for op in cycles(self.model, self.placements, array=array))
        return max(found, 1) / self.cycles


def measure() -> dict[str, Any]:
    """Fit, judge, and write the constants."""
    path = Path(os.environ["GREEN_EDGE_TEST_DATA"], "edgetpu", "pairs.json")
    samples = _samples(json.loads(path.read_text(encoding="utf-8"))["pairs"])
    timed = [sample for sample in samples if sample.cycles >= _LEAST_CYCLES]
    fitted = [sample for sample in timed if sample.fitted]
    array = min(_GRID, key=lambda each: _mean_error([s.ratio(each) for s in fitted]))
    rows = [(s.name, s.fitted, s.cycles, round(s.ratio(array), 4)) for s in timed]
    verdict = [abs(ratio - 1) for _, was_fitted, _, ratio in rows if not was_fitted]
    error = {
        "median_ratio": round(statistics.median(verdict), 4),
        "max_ratio": round(max(verdict), 4),
        "n": len(verdict),
    }
    coded = [s for s in samples if len(s.placements) >= _LEAST_OPS]
    code = _code(coded)
    _write(array, error, code)
    return {
        "array": asdict(array),
        "fit_median_ratio": round(statistics.median(abs(r[3] - 1) for r in rows if r[1]), 4),
        "error": error,
        "code": asdict(code) | {"files": len(coded)},
        "models": [
            {"model": name, "fitted": was, "stored_cycles": stored, "ratio": ratio}
            for name, was, stored, ratio in rows
        ],
    }


def markdown(figures: Mapping[str, Any]) -> str:
    """One row a model."""
    array, error, code = figures["array"], figures["error"], figures["code"]
    said = (
        f"{array['rows']} x {array['columns']} tiles of {array['lanes']} lanes, "
        f"{array['inputs_per_cycle']} product a lane and cycle. On the families that were not "
        f"fitted: median error {error['median_ratio']:.1%}, largest {error['max_ratio']:.1%} "
        f"({error['n']} models)."
    )
    coded = (
        f"Code of the chip: {code['op_bytes']:,} bytes an operation and {code['part_bytes']:,} for "
        f"each further part of a large output. {code['files']} compiled files, each family left "
        f"out of the fit in turn, hold {code['low_ratio']:.2f} to {code['high_ratio']:.2f} times "
        "that."
    )
    lines = [
        said,
        "",
        "| model | stored cycles | predicted / stored | |",
        "|---|---:|---:|---|",
    ]
    for row in figures["models"]:
        use = "fitted" if row["fitted"] else ""
        lines.append(f"| {row['model']} | {row['stored_cycles']:,} | {row['ratio']:.3f} | {use} |")
    lines += ["", coded]
    return "\n".join(lines)


def _samples(pairs: Sequence[Mapping[str, Any]]) -> list[_Sample]:
    """One sample of each model: the same file was compiled by several releases."""
    found: dict[tuple[str, int], _Sample] = {}
    for pair in pairs:
        stored = pair.get("estimated_cycles") or 0
        name = Path(pair["plain"]).name
        if pair["flags"] or not pair["mapped_ops"] or (name, stored) in found:
            continue
        placements = tuple(
            Placement(i, op["op"], op["v"], "tpu" if op["mapped"] else "cpu", "", "", "proven")
            for i, op in enumerate(pair["ops"])
        )
        was_fitted = pair["family"].partition("|")[2].startswith(_FITTED)
        model = model_of(pair["ops"])
        found[name, stored] = _Sample(
            name, pair["family"], was_fitted, model, placements, stored, pair["instruction_bytes"]
        )
    return sorted(found.values(), key=lambda sample: (not sample.fitted, sample.name))


def _code(samples: Sequence[_Sample]) -> Code:
    """The grid's constants with the least error, and how far a family is from those of others."""
    ratios = {
        code: [s.code_bytes / code_bytes(s.model, s.placements, code=code) for s in samples]
        for code in _CODE_GRID
    }

    def best(left_out: str) -> Code:
        kept = [i for i, s in enumerate(samples) if s.family != left_out]
        return min(ratios, key=lambda code: _mean_error([ratios[code][i] for i in kept]))

    fits = {family: best(family) for family in {s.family for s in samples}}
    unseen = [ratios[fits[s.family]][i] for i, s in enumerate(samples)]
    return replace(best(""), low_ratio=round(min(unseen), 2), high_ratio=round(max(unseen), 2))


def _mean_error(ratios: Sequence[float]) -> float:
    return statistics.fmean(abs(math.log(ratio)) for ratio in ratios)


def _write(array: Array, error: Mapping[str, float], code: Code) -> None:
    lines = [
        f"# Written by {_COMMAND}: cycles that older compilers stored in",
        "# their files, as an array of tiles and lanes explains them.",
        f'date = "{dt.datetime.now(dt.UTC).date().isoformat()}"',
        f'command = "{_COMMAND}"',
        "",
        "[array]",
        *(f"{key} = {value}" for key, value in asdict(array).items()),
        "",
        "# On families of models that were not fitted.",
        "[error]",
        *(f"{key} = {value}" for key, value in error.items()),
        "",
        "# Of the chip's code, which is sent with every inference.",
        "[code]",
        *(f"{key} = {value}" for key, value in asdict(code).items()),
    ]
    file = resources.files("green_edge.targets.edgetpu").joinpath("cycles.toml")
    Path(str(file)).write_text("\n".join(lines) + "\n", encoding="utf-8")
