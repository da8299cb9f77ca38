"""`compare --gate` as a CI job runs it: a process with an exit code, limits for boards included."""

import json
from typing import Any

import numpy as np
import pytest

from green_edge.evaluate.predict import predict
from support.commands import Home
from support.junit_rules import breaches
from support.quantized_pairs import float_file, int8_file, net, samples

_GATE = """
[quality]
max_drop_pp = {max_drop_pp}

[instructions]
target = "pi4"
max = {instructions}
max_ratio = {ratio}

[latency]
target = "pi4"
max_us = {latency_us}

[[energy]]
target = "pi4"
max_uj = 1_000_000

[[energy]]
target = "pi5"
max_ratio = 10.0
"""
_ENOUGH: dict[str, Any] = {
    "max_drop_pp": 10, "instructions": 10_000_000, "ratio": 10.0, "latency_us": 1_000_000,
}  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A float model, an int8 one and 400 labelled samples."""
    folder = tmp_path_factory.mktemp("ci")
    (folder / "float.tflite").write_bytes(float_file(net()))
    (folder / "int8.tflite").write_bytes(int8_file(net()))
    dataset = samples(400, seed=9)
    (scores,) = predict(float_file(net()), dataset)
    np.savez(folder / "test.npz", x=dataset.inputs["image"], y=np.argmax(scores, axis=1))
    return Home(folder)


def _run(
    home: Home, baseline: str = "float.tflite", **limits: float
) -> tuple[int, dict[str, Any], str]:
    """Exit code, document and talk."""
    (home.folder / "gate.toml").write_text(_GATE.format(**{**_ENOUGH, **limits}))
    ran = home.run(
        "compare", baseline, "int8.tflite", "--eval", "test.npz", "--runs", "0", "--samples", "4",
        "--gate", "gate.toml", "--junit", "junit.xml", "--markdown", "gate.md", "--json",
    )  # fmt: skip
    assert ran.stdout, ran.stderr
    assert breaches((home.folder / "junit.xml").read_text()) == []
    return ran.returncode, json.loads(ran.stdout), ran.stderr


def test_the_exit_code_tells_the_verdict(home: Home) -> None:
    code, document, _ = _run(home)
    assert (code, document["gate"]["verdict"]) == (0, "pass")
    code, document, talk = _run(home, instructions=1, max_drop_pp=5)
    assert (code, document["gate"]["verdict"]) == (4, "fail")
    assert "error: gate failed: instructions.max pi4: the whole estimated range is beyond" in talk
    code, document, talk = _run(home, max_drop_pp=5)
    assert (code, document["gate"]["verdict"]) == (8, "inconclusive")
    assert "samples should tell" in talk


def test_each_board_of_the_gate_is_estimated_with_a_range(home: Home) -> None:
    _, document, _ = _run(home)
    pi4, pi5 = document["predicted"]
    assert (pi4["target"], pi5["target"]) == ("pi4", "pi5")
    for cost in (pi4["a"], pi4["b"], pi5["a"], pi5["b"]):
        assert cost["instructions"] > 0
        assert cost["latency_us"]["low"] < cost["latency_us"]["high"]
        assert cost["energy_uj"]["low"] < cost["energy_uj"]["high"]
    # The later core does more in an instruction.
    assert pi5["b"]["instructions"] < pi4["b"]["instructions"]
    assert "what is said of a target is an estimate: nothing was run there" in document["notes"]


def test_a_limit_inside_an_estimate_is_inconclusive(home: Home) -> None:
    _, document, _ = _run(home)
    span = document["predicted"][0]["b"]["latency_us"]
    code, document, talk = _run(home, latency_us=(span["low"] + span["high"]) / 2)
    assert code == 8
    assert "latency.max_us pi4: the estimated range reaches across the limit" in talk


def test_a_record_keeps_the_estimates_for_a_later_run(home: Home) -> None:
    _, recorded, _ = _run(home)
    (home.folder / "baseline.json").write_text(json.dumps(recorded))
    code, document, _ = _run(home, baseline="baseline.json", ratio=1.0)
    assert code == 0
    ratio = next(c for c in document["gate"]["checks"] if c["name"] == "instructions.max_ratio")
    assert (ratio["value"], ratio["verdict"]) == (1.0, "pass")


def test_a_recorded_target_is_found_however_it_is_spelt(home: Home) -> None:
    _, recorded, _ = _run(home)
    for pair in recorded["predicted"]:
        pair["target"] += ":bookworm-arm64"
    # Another model than the one that is compared, so that its own estimate counts.
    recorded["sha256"]["b"] = "0" * 64
    (home.folder / "spelt.json").write_text(json.dumps(recorded))
    code, document, _ = _run(home, baseline="spelt.json")
    assert code == 0
    assert all(pair["a"] == pair["b"] for pair in document["predicted"])


def test_an_unchanged_model_passes_whatever_its_record_foretold(home: Home) -> None:
    _, recorded, _ = _run(home)
    # As before the cost model was fitted again.
    for pair in recorded["predicted"]:
        pair["b"]["instructions"] //= 2
        pair["b"]["basis"] = "0" * 64
    (home.folder / "old.json").write_text(json.dumps(recorded))
    assert _run(home, baseline="old.json", ratio=1.0)[0] == 0
    recorded["sha256"]["b"] = "0" * 64
    (home.folder / "old.json").write_text(json.dumps(recorded))
    code, _, talk = _run(home, baseline="old.json", ratio=1.0)
    assert code == 8
    assert "rests on another cost model" in talk


def test_a_target_of_which_nothing_is_known_is_a_mistake_of_usage(home: Home) -> None:
    (home.folder / "host.toml").write_text('[latency]\ntarget = "host"\nmax_us = 1\n')
    ran = home.run(
        "compare", "float.tflite", "int8.tflite", "--eval", "test.npz", "--gate", "host.toml"
    )
    assert ran.returncode == 2
    assert "host" in ran.stderr
