"""`compare --gate` on models that run here; what is estimated for boards is in `tests/e2e`."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from green_edge.build.compare.predicted import predict_pairs
from green_edge.cli import compare
from green_edge.evaluate.predict import predict
from green_edge.targets.registry import find
from green_edge.tflite.read import read
from green_edge_wire.errors import BudgetError, ConfigError, InconclusiveError, ModelError
from support.junit_rules import breaches
from support.quantized_pairs import float_file, int8_file, net, samples
from support.tiny_models import dense_weights, tiny_float_two_heads


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A float model, a sound int8 one, a broken one, and labelled sets that overlap in nothing."""
    made = tmp_path_factory.mktemp("models")
    (made / "float.tflite").write_bytes(float_file(net()))
    (made / "int8.tflite").write_bytes(int8_file(net()))
    (made / "broken.tflite").write_bytes(int8_file(net(), fault="weights", layer="conv2"))
    for name, n, seed in (("test", 400, 9), ("few", 100, 9), ("other", 400, 10)):
        dataset = samples(n, seed=seed)
        (scores,) = predict(float_file(net()), dataset)
        image = dataset.inputs["image"]
        np.savez(made / f"{name}.npz", x=image, y=np.argmax(scores, axis=1))
        np.savez(made / f"{name}-targets.npz", x=image, y=scores)
    np.savez(made / "bare.npz", x=image)
    return made


def _run(
    folder: Path, new: str, *options: str, baseline: str = "float.tflite", eval_set: str = "test"
) -> Result:
    arguments = [str(folder / baseline), str(folder / new)]
    where = ["--eval", str(folder / f"{eval_set}.npz"), "--runs", "0", "--samples", "4"]
    return CliRunner().invoke(compare.command, [*arguments, *where, *options])


def _gate(folder: Path, text: str) -> list[str]:
    file = folder / "gate.toml"
    file.write_text(text, encoding="utf-8")
    return ["--gate", str(file)]


def _document(result: Result) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def _verdicts(result: Result) -> Mapping[str, str]:
    return {check["name"]: check["verdict"] for check in _document(result)["gate"]["checks"]}


def _recorded(folder: Path, new: str = "int8.tflite", eval_set: str = "test") -> str:
    """Name of a file with what `compare --json` said of a model."""
    result = _run(folder, new, "--json", eval_set=eval_set)
    assert result.exit_code == 0, result.output
    name = f"{Path(new).stem}-{eval_set}.json"
    (folder / name).write_text(result.stdout, encoding="utf-8")
    return name


def test_a_good_model_passes(folder: Path) -> None:
    gate = _gate(folder, "[quality]\nmax_drop_pp = 10\nmin = 0.8\n[size]\nmax_ratio = 1.1\n")
    result = _run(folder, "int8.tflite", *gate, "--json")
    assert result.exit_code == 0, result.output
    assert _document(result)["gate"]["verdict"] == "pass"
    assert set(_verdicts(result).values()) == {"pass"}


def test_a_broken_model_fails_and_the_document_is_printed_all_the_same(folder: Path) -> None:
    gate = _gate(folder, "[quality]\nmax_drop_pp = 1\n[macs]\nmax_ratio = 1.0\n")
    result = _run(folder, "broken.tflite", *gate, "--json")
    assert isinstance(result.exception, BudgetError)
    assert _verdicts(result) == {"quality.max_drop_pp": "fail", "macs.max_ratio": "pass"}


def test_a_hundred_samples_cannot_tell_what_four_hundred_can(folder: Path) -> None:
    gate = _gate(folder, "[quality]\nmax_drop_pp = 8\n[size]\nmax_bytes = 1_000_000\n")
    assert _run(folder, "int8.tflite", *gate).exit_code == 0
    result = _run(folder, "int8.tflite", *gate, "--json", eval_set="few")
    assert isinstance(result.exception, InconclusiveError)
    (check,) = [c for c in _document(result)["gate"]["checks"] if c["name"].startswith("quality")]
    assert check["low"] < 8 < check["high"]
    assert check["samples"] > 100
    assert f"some {check['samples']:,} samples should tell" in str(result.exception)


def test_the_text_shows_each_check_and_why_it_did_not_pass(folder: Path) -> None:
    gate = _gate(folder, "[quality]\nmax_drop_pp = 50\n[size]\nmax_bytes = 10\n")
    result = _run(folder, "int8.tflite", *gate)
    assert isinstance(result.exception, BudgetError)
    lines = result.stdout.splitlines()
    assert "Gate: fail" in lines
    assert any(line.startswith("quality.max_drop_pp") and line.endswith("pass") for line in lines)
    assert "  size.max_bytes: over the limit" in lines
    assert max(map(len, lines[lines.index("Gate: fail") :])) <= 80


def test_reports_are_written_whatever_the_verdict(folder: Path, tmp_path: Path) -> None:
    gate = _gate(folder, "[quality]\nmax_drop_pp = 1\n")
    junit, page, html = (tmp_path / name for name in ("junit.xml", "gate.md", "page.html"))
    written = ["--junit", str(junit), "--markdown", str(page), "--html", str(html)]
    result = _run(folder, "broken.tflite", *gate, *written)
    assert isinstance(result.exception, BudgetError)
    assert breaches(junit.read_text(encoding="utf-8")) == []
    assert page.read_text(encoding="utf-8").startswith("### green-edge gate: **FAIL**")
    assert "<h2>Gate: fail</h2>" in html.read_text(encoding="utf-8")


def test_a_report_that_cannot_be_written_is_told_before_the_work(folder: Path) -> None:
    gate = _gate(folder, "[quality]\nmax_drop_pp = 1\n")
    for option in ("--junit", "--markdown", "--html"):
        place = folder / "nowhere" / "report"
        result = _run(folder, "none.tflite", *gate, option, str(place))
        assert isinstance(result.exception, ConfigError)
        assert str(result.exception).startswith(f"{option}: cannot write {place}")
    # Nothing is left where the work then fails.
    result = _run(folder, "none.tflite", *gate, "--junit", str(folder / "early.xml"))
    assert isinstance(result.exception, ModelError)
    assert not (folder / "early.xml").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, as Linux has")
def test_a_disk_that_fills_up_takes_the_report_and_not_the_verdict(folder: Path) -> None:
    gate = _gate(folder, "[quality]\nmax_drop_pp = 1\n")
    result = _run(folder, "broken.tflite", *gate, "--json", "--junit", "/dev/full")
    assert isinstance(result.exception, BudgetError)
    assert _document(result)["gate"]["verdict"] == "fail"
    gate = _gate(folder, "[size]\nmax_ratio = 2.0\n")
    result = _run(folder, "int8.tflite", *gate, "--junit", "/dev/full")
    assert isinstance(result.exception, ConfigError)


def test_a_mistake_in_the_gate_is_told_before_any_model_is_read(folder: Path) -> None:
    gate = _gate(folder, '[latency]\ntarget = "pi9"\nmax_us = 1\n')
    result = _run(folder, "none.tflite", *gate)
    assert isinstance(result.exception, ConfigError)
    assert str(result.exception).startswith("--gate: ")
    assert "pi9" in str(result.exception)
    gate = _gate(folder, '[energy]\ntarget = "coral-usb"\nmax_uj = 1\n')
    assert "coral-usb is an accelerator" in str(_run(folder, "none.tflite", *gate).exception)
    gate = _gate(folder, '[energy]\ntarget = "host"\nmax_uj = 1\n')
    assert str(_run(folder, "none.tflite", *gate).exception).startswith("--gate: ")
    without = _run(folder, "int8.tflite", "--junit", str(folder / "junit.xml"))
    assert str(without.exception) == "--junit: needs --gate"


# --- an earlier comparison as the baseline -------------------------------------------------------


def test_an_earlier_comparison_gives_the_same_verdict_as_its_model(folder: Path) -> None:
    gate = _gate(folder, "[quality]\nmax_drop_pp = 1\n[size]\nmax_ratio = 1.0\n")
    with_file = _run(folder, "broken.tflite", *gate, "--json", baseline="int8.tflite")
    recorded = _recorded(folder)
    with_record = _run(folder, "broken.tflite", *gate, "--json", baseline=recorded)
    one, other = _document(with_file), _document(with_record)
    for key in ("quality", "size_bytes", "zip_bytes", "macs", "sha256", "a", "b", "record", "gate"):
        assert one[key] == other[key]
    assert other["layers"] == []
    assert "latency_ratio" not in other
    assert other["notes"] == [
        "layers and latency need the baseline's file; here it is an earlier comparison"
    ]


def test_a_model_does_not_differ_from_its_own_record(folder: Path) -> None:
    for eval_set in ("test", "test-targets"):
        recorded = _recorded(folder, eval_set=eval_set)
        result = _run(folder, "int8.tflite", "--json", baseline=recorded, eval_set=eval_set)
        quality = _document(result)["quality"]
        assert quality["difference"] == 0
        assert quality["paired"]
        assert quality["low"] < 0 < quality["high"] < 0.02


def test_on_other_samples_the_interval_is_not_paired_and_wider(folder: Path) -> None:
    recorded = _recorded(folder)
    paired = _document(_run(folder, "broken.tflite", "--json", baseline=recorded))
    result = _run(folder, "broken.tflite", "--json", baseline=recorded, eval_set="other")
    other = _document(result)
    assert paired["quality"]["paired"]
    assert not other["quality"]["paired"]
    widths = [d["quality"]["high"] - d["quality"]["low"] for d in (paired, other)]
    assert widths[0] < widths[1]
    assert "judged on other samples (400)" in other["notes"][1]
    text = _run(folder, "broken.tflite", baseline=recorded, eval_set="other").stdout
    assert "400 samples; 95 % intervals in brackets" in text


def test_a_record_of_a_record_goes_on(folder: Path) -> None:
    result = _run(folder, "int8.tflite", "--json", baseline=_recorded(folder))
    (folder / "second.json").write_text(result.stdout, encoding="utf-8")
    again = _document(_run(folder, "int8.tflite", "--json", baseline="second.json"))
    assert again["quality"]["difference"] == 0


def _spoilt_scores(document: dict[str, Any]) -> None:
    """All hits, in a document that says otherwise."""
    document["record"]["scores"] = "ff" * (document["quality"]["n"] // 8)
    document["quality"]["b"] = 0.5


def _too_many_scores(document: dict[str, Any]) -> None:
    document["quality"]["n"] -= 1
    document["record"]["scores"] = "ff" * (len(document["record"]["scores"]) // 2)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda d: d.pop("schema"), "schema: none, this version reads 1"),
        (lambda d: d.update(schema=2), "schema: 2, this version reads 1"),
        (lambda d: d["sha256"].update(b="0"), "sha256.b: no comparison writes that"),
        (lambda d: d["size_bytes"].update(b=0), "size_bytes.b: no comparison"),
        (lambda d: d["zip_bytes"].update(b=-1), "zip_bytes.b: no comparison"),
        (lambda d: d["macs"].update(b=-5), "macs.b: no comparison"),
        (lambda d: d["quality"].update(b=1.5), "quality.b: no comparison"),
        (_spoilt_scores, "quality.b: 0.5, but record.scores gives 1"),
        (_too_many_scores, "record.scores: more than 399 samples"),
        (lambda d: d.pop("record"), "record: missing"),
        (lambda d: d["record"].update(scores="zz"), "not hexadecimal"),
        (lambda d: d["quality"].update(n=4000), "not the scores of 4000 samples"),
        (lambda d: d["quality"].update(metric="fidelity"), "judged without labels"),
        (lambda d: d["quality"].update(metric="closeness"), "has closeness, this set gives acc"),
    ],
)
def test_a_document_that_is_no_baseline_says_why(folder: Path, spoil: Any, said: str) -> None:
    document = json.loads((folder / _recorded(folder)).read_text(encoding="utf-8"))
    spoil(document)
    (folder / "spoilt.json").write_text(json.dumps(document), encoding="utf-8")
    result = _run(folder, "int8.tflite", baseline="spoilt.json")
    assert isinstance(result.exception, ConfigError)
    assert said in str(result.exception)


def test_a_broken_estimate_in_a_document_is_refused(folder: Path) -> None:
    document = json.loads((folder / _recorded(folder)).read_text(encoding="utf-8"))
    cost = {
        "instructions": 0, "error_ratio": 0.1, "basis": "d" * 64,
        "latency_us": {"low": 1, "high": 2}, "energy_uj": {"low": 1, "high": 2},
    }  # fmt: skip
    for spoilt in (cost, cost | {"instructions": 5, "latency_us": {"low": 3, "high": 2}}):
        document["predicted"] = [{"target": "pi4", "b": spoilt}]
        (folder / "spoilt.json").write_text(json.dumps(document), encoding="utf-8")
        result = _run(folder, "int8.tflite", baseline="spoilt.json")
        assert isinstance(result.exception, ConfigError)
        assert "predicted: no comparison writes that" in str(result.exception)


def test_a_record_needs_labels_to_be_compared_with(folder: Path) -> None:
    result = _run(folder, "int8.tflite", baseline=_recorded(folder), eval_set="bare")
    assert isinstance(result.exception, ConfigError)
    assert "has no labels to judge by" in str(result.exception)


def test_json_that_is_no_comparison_is_refused(folder: Path) -> None:
    (folder / "list.json").write_text('{"a": 1', encoding="utf-8")
    result = _run(folder, "int8.tflite", baseline="list.json")
    assert isinstance(result.exception, ConfigError)
    assert "not JSON" in str(result.exception)
    assert "a baseline is a model, or what" in str(result.exception)


# --- outputs that no label speaks of -------------------------------------------------------------


def test_a_model_whose_second_output_is_destroyed_does_not_pass(tmp_path: Path) -> None:
    sound = tiny_float_two_heads()
    head = dense_weights(4, 5, 1)
    (tmp_path / "float.tflite").write_bytes(sound)
    (tmp_path / "spoilt.tflite").write_bytes(sound.replace(head.tobytes(), bytes(head.nbytes)))
    x = np.random.default_rng(0).uniform(-1, 1, (200, 4)).astype(np.float32)
    np.savez(tmp_path / "test.npz", x=x, y=np.argmax(x @ dense_weights(seed=0).T, axis=1))
    quality = "[quality]\nmax_drop_pp = 5\n"
    result = _run(tmp_path, "spoilt.tflite", *_gate(tmp_path, quality), "--json")
    assert isinstance(result.exception, InconclusiveError)
    assert _verdicts(result)["quality.max_drop_pp"] == "pass"
    assert "set [quality] min_other_outputs" in str(result.exception)
    gate = _gate(tmp_path, quality + "min_other_outputs = 0.9\n")
    assert isinstance(_run(tmp_path, "spoilt.tflite", *gate).exception, BudgetError)
    assert _run(tmp_path, "float.tflite", *gate).exit_code == 0
    recorded = _recorded(tmp_path, "float.tflite")
    assert _run(tmp_path, "float.tflite", *gate, baseline=recorded).exit_code == 0
    result = _run(tmp_path, "spoilt.tflite", *gate, baseline=recorded)
    assert isinstance(result.exception, InconclusiveError)
    assert "give the baseline's file" in str(result.exception)


def test_a_model_that_the_targets_runtime_does_not_load_is_not_priced() -> None:
    model = read(int8_file(net()))
    newer = replace(model, ops=tuple(replace(op, version=99) for op in model.ops))
    with pytest.raises(ModelError, match=r"pi4 does not run the new model: .*version"):
        predict_pairs(newer, [find("pi4")], lambda _target, _cost: None)
    assert predict_pairs(model, [find("pi4")], lambda _target, _cost: None)[0]
