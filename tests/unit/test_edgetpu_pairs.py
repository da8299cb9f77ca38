"""The prediction on public models of which the compiled file is public too."""

import json
import os
import statistics
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from green_edge.targets.edgetpu.compiled import read_compiled
from green_edge.targets.edgetpu.memory import parameter_bytes
from green_edge.targets.edgetpu.predict import predict
from green_edge.targets.edgetpu.risks import fatal
from green_edge.tflite.read import read

Pairs = list[tuple[Mapping[str, Any], bytes, bytes]]


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    folder = Path(os.environ.get("GREEN_EDGE_TEST_DATA", "")) / "edgetpu"
    if "GREEN_EDGE_TEST_DATA" not in os.environ or not folder.is_dir():
        pytest.skip("GREEN_EDGE_TEST_DATA is not set: name the folder with edgetpu")
    found = json.loads((folder / "pairs.json").read_text(encoding="utf-8"))["pairs"]
    return [(pair, *_files(folder / "models" / pair["id"])) for pair in found if pair["model_dir"]]


def _files(folder: Path) -> tuple[bytes, bytes]:
    plain, compiled = sorted(folder.glob("*.tflite"), key=lambda p: p.stem.endswith("_edgetpu"))
    return plain.read_bytes(), compiled.read_bytes()


def test_every_operation_of_the_public_models_is_placed_as_the_compiler_did(pairs: Pairs) -> None:
    for pair, plain, _ in pairs:
        model = read(plain, static=False, zipped=False)
        mapped = [op["mapped"] for op in pair["ops"]]
        assert [place.placement == "tpu" for place in predict(model)] == mapped, pair["id"]
        assert fatal(model) == (), pair["id"]


def test_no_operation_is_left_open_or_taken_off_the_chip(pairs: Pairs) -> None:
    for pair, plain, _ in pairs:
        placed = predict(read(plain, static=False, zipped=False))
        assert not [place for place in placed if place.placement == "unknown"], pair["id"]
        wrong = [
            place
            for place, op in zip(placed, pair["ops"], strict=True)
            if place.placement == "cpu" and op["mapped"]
        ]
        assert wrong == [], pair["id"]


def test_the_rows_of_the_compilers_logs_are_told_in_its_words(pairs: Pairs) -> None:
    rows = []
    for pair, plain, _ in pairs:
        if not pair["log"]:
            continue
        placed = predict(read(plain, static=False, zipped=False))
        said = Counter((place.op, place.status) for place in placed)
        table = pair["log"].split("Status", 1)[1].splitlines()
        for op, count, status in (line.split(None, 2) for line in table if line.strip()):
            rows.append(said[op, status.strip()] == int(count))
    assert rows
    assert sum(rows) / len(rows) >= 0.99


def test_their_parameters_are_predicted_to_half_a_percent(pairs: Pairs) -> None:
    errors = []
    for pair, plain, _ in pairs:
        model = read(plain, static=False, zipped=False)
        stored = pair["param_bytes_cached"] + pair["param_bytes_streamed"]
        if stored > 100_000:
            errors.append(abs(parameter_bytes(model, predict(model)) / stored - 1))
    assert statistics.median(errors) < 0.005


def test_their_compiled_files_are_read_as_they_are(pairs: Pairs) -> None:
    for pair, _, compiled in pairs:
        found = read_compiled(compiled)
        assert found is not None
        assert found.subgraphs == pair["edgetpu_custom_ops"]
        assert found.cpu_ops == pair["cpu_ops"]
        assert found.cached_bytes == pair["param_bytes_cached"]
        assert found.streamed_bytes == pair["param_bytes_streamed"]
        assert found.min_runtime_version == max(pair["min_runtime_version"])
        assert found.instruction_bytes == pair["instruction_bytes"]
        assert found.estimated_cycles == pair["estimated_cycles"]
