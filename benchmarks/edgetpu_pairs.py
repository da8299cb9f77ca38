"""The prediction for the Edge TPU, scored on models of which the compiled file is public.

Reads `edgetpu/pairs.json` and `edgetpu/models` in the folder named by GREEN_EDGE_TEST_DATA. Pairs
without files are rebuilt from their lists of operations: types and shapes are theirs, the wiring
and small constants are inferred from the shapes (`edgetpu_op_lists.py`).
"""

import json
import os
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.edgetpu_op_lists import model_of
from benchmarks.tables import table
from green_edge.targets.edgetpu.compiled import read_compiled
from green_edge.targets.edgetpu.memory import parameter_bytes
from green_edge.targets.edgetpu.predict import Placement, predict
from green_edge.targets.edgetpu.risks import fatal
from green_edge.tflite.model import TfliteModel
from green_edge.tflite.read import read
from green_edge_wire.errors import GreenEdgeError

NEEDS = ("GREEN_EDGE_TEST_DATA",)
# Below this a fixed table or two decides, and nothing depends on it.
_LARGE_BYTES = 100_000


@dataclass(frozen=True, slots=True)
class Score:
    """How well a set of pairs was predicted.

    Attributes:
        exact: models with every operation right.
        right: operations right.
        false_cpu: operations said to stay on the CPU that were mapped.
        false_tpu: the other way round.
        unknown: operations without a verdict.
        false_fatal: models said to stop the compiler, though it compiled them.
        status_rows: rows of the compiler's logs, one an operation and status.
        parameter_errors: relative, of models with more than 100 kB of parameters.
        compiled_exact: compiled files read as they are known to be.
    """

    models: int
    exact: int
    operations: int
    right: int
    false_cpu: int
    false_tpu: int
    unknown: int
    false_fatal: int
    status_rows: int
    status_rows_right: int
    parameter_models: int
    parameter_error_median: float | None
    parameter_error_max: float | None
    compiled: int
    compiled_exact: int


@dataclass(frozen=True, slots=True)
class Result:
    """One pair."""

    pair: Mapping[str, Any]
    model: TfliteModel
    placements: tuple[Placement, ...]
    compiled: bytes | None = None

    @property
    def wrong(self) -> list[tuple[Placement, bool]]:
        """Placements that are not right, each with whether it was mapped."""
        mapped = [op["mapped"] for op in self.pair["ops"]]
        each = zip(self.placements, mapped, strict=True)
        return [(place, was) for place, was in each if place.placement != ("tpu" if was else "cpu")]


def results(folder: Path) -> tuple[list[Result], list[Result]]:
    """Predictions for all usable pairs: those with files, and those by their lists."""
    pairs = json.loads((folder / "pairs.json").read_text(encoding="utf-8"))["pairs"]
    with_files, by_lists = [], []
    for pair in pairs:
        if pair["flags"]:
            continue
        if pair["model_dir"]:
            with_files.append(_with_files(pair, folder / "models" / pair["id"]))
        else:
            model = model_of(pair["ops"])
            by_lists.append(Result(pair, model, predict(model)))
    return with_files, by_lists


def _with_files(pair: Mapping[str, Any], folder: Path) -> Result:
    plain, compiled = sorted(folder.glob("*.tflite"), key=lambda p: p.stem.endswith("_edgetpu"))
    model = read(plain.read_bytes(), static=False)
    return Result(pair, model, predict(model), compiled.read_bytes())


def score(found: Sequence[Result], *, parameters: bool = True) -> Score:
    """Compare predictions with what the compiler made."""
    wrong = [(result, *each) for result in found for each in result.wrong]
    unknown = [each for each in wrong if each[1].placement == "unknown"]
    rows = [row for result in found for row in _rows(result)]
    errors = [error for result in found for error in _parameter_error(result)] if parameters else []
    compiled = [_compiled_is_exact(result) for result in found if result.compiled is not None]
    return Score(
        models=len(found),
        exact=sum(not result.wrong for result in found),
        operations=sum(len(result.placements) for result in found),
        right=sum(len(result.placements) - len(result.wrong) for result in found),
        false_cpu=sum(place.placement == "cpu" and was for _, place, was in wrong),
        false_tpu=sum(place.placement == "tpu" and not was for _, place, was in wrong),
        unknown=len(unknown),
        false_fatal=sum(bool(fatal(result.model)) for result in found),
        status_rows=len(rows),
        status_rows_right=sum(rows),
        parameter_models=len(errors),
        parameter_error_median=round(statistics.median(errors), 6) if errors else None,
        parameter_error_max=round(max(errors), 6) if errors else None,
        compiled=len(compiled),
        compiled_exact=sum(compiled),
    )


def _rows(result: Result) -> list[bool]:
    """For each row of the compiler's log whether it was predicted with its count."""
    log = result.pair["log"]
    if not log:
        return []
    said = Counter((place.op, place.status) for place in result.placements)
    table = [line.split(None, 2) for line in log.split("Status", 1)[1].splitlines() if line.strip()]
    return [said[op, status.strip()] == int(count) for op, count, status in table]


def _parameter_error(result: Result) -> list[float]:
    stored = result.pair["param_bytes_cached"] + result.pair["param_bytes_streamed"]
    if stored <= _LARGE_BYTES:
        return []
    return [abs(parameter_bytes(result.model, result.placements) / stored - 1)]


def _compiled_is_exact(result: Result) -> bool:
    found = read_compiled(result.compiled or b"")
    pair = result.pair
    return found is not None and (
        found.subgraphs,
        found.cpu_ops,
        found.cached_bytes,
        found.streamed_bytes,
        found.min_runtime_version,
    ) == (
        pair["edgetpu_custom_ops"],
        pair["cpu_ops"],
        pair["param_bytes_cached"],
        pair["param_bytes_streamed"],
        max(pair["min_runtime_version"]),
    )


def _misses(found: Iterable[Result]) -> list[str]:
    return [
        f"{result.pair['id']} #{place.index} {place.op} v{place.version}: "
        f"{place.placement} ({place.status}; {place.reason}), was {'tpu' if was else 'cpu'}"
        for result in found
        for place, was in result.wrong
    ]


def measure() -> dict[str, Any]:
    """Score both kinds of pairs."""
    folder = Path(os.environ["GREEN_EDGE_TEST_DATA"]) / "edgetpu"
    if not (folder / "pairs.json").is_file():
        raise GreenEdgeError(
            f"no pairs.json in {folder}", hint="GREEN_EDGE_TEST_DATA names the folder above it"
        )
    with_files, by_lists = results(folder)
    return {
        "pairs_with_files": asdict(score(with_files)),
        # Whether a bias is zero is not in the lists, so neither are parameters.
        "pairs_by_lists_of_operations": asdict(score(by_lists, parameters=False)),
        "misses": _misses([*with_files, *by_lists]),
    }


def markdown(figures: Mapping[str, Any]) -> str:
    """One column a kind of pairs, then the misses."""
    files, lists = figures["pairs_with_files"], figures["pairs_by_lists_of_operations"]
    rows = [(key.replace("_", " "), _cell(files[key]), _cell(lists[key])) for key in files]
    found = table(("", "pairs with files", "pairs by lists of operations"), rows)
    return "\n".join([found, "", "Misses:", "", *(f"- {miss}" for miss in figures["misses"])])


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:,}"
