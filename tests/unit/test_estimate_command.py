"""`green-edge estimate` as a user runs it, without emulation."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from green_edge.cli import estimate as estimate_command
from green_edge_wire.errors import ConfigError, ModelError
from support.bundles import tiny_bundle
from support.estimates import hybrid, network

KEYS = ["target", "model_sha256", "runtimes", "latency_us", "energy_uj", "layers", "notes"]
RUNTIME_KEYS = [
    *("runtime", "version", "dtype", "core", "arch", "instructions", "how", "error_ratio"),
    *("latency_us", "energy_uj"),
]
TARGETS = ["pi3", "pi4", "pi5", "zero2", "pi4:bookworm-armhf", "coral-usb+pi5", "coral-m2+pi5",
           "coral-devboard"]  # fmt: skip
# A latency, an energy or a power: always two ends, or one for both.
FIGURE = re.compile(r"\b[\d.,]+ (?:us|ms|mJ|uJ|J|mW|W)\b(?!:)")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a-model-with-a-rather-long-name-as-people-give-them.int8.tflite"
    path.write_bytes(network(16, 28, 28))
    return path


def _run(file: Path, *arguments: str) -> Result:
    return CliRunner().invoke(estimate_command.command, [str(file), "--analytic", *arguments])


@pytest.mark.parametrize("target", TARGETS)
def test_the_document_has_the_promised_keys(target: str, file: Path) -> None:
    ran = _run(file, "--target", target, "--json")
    document = json.loads(ran.stdout)
    assert list(document)[: len(KEYS)] == KEYS
    assert [list(entry)[: len(RUNTIME_KEYS)] for entry in document["runtimes"]] == [
        RUNTIME_KEYS
    ] * len(document["runtimes"])
    assert all({"index", "op", "share"} <= set(layer) for layer in document["layers"])
    assert set(document["latency_us"]) == {"low", "high"}
    assert ("coral" in document) == target.startswith("coral")
    assert "null" not in ran.stdout


@pytest.mark.parametrize("target", TARGETS)
def test_the_text_fits_80_columns_and_calls_its_ranges_estimates(target: str, file: Path) -> None:
    text = _run(file, "--target", target, "--rate", "10").stdout
    assert max(map(len, text.splitlines())) <= 80
    assert "an estimate, nothing was" in " ".join(text.split())
    # Notes quote figures of their sources.
    figures, _, _ = text.partition("\nnote: ")
    flat = " ".join(figures.split())
    assert FIGURE.search(flat)
    for found in FIGURE.finditer(flat):
        assert flat[: found.start()].endswith(" to "), flat[: found.end()]


def test_several_targets_are_a_line_each(file: Path) -> None:
    arguments = [word for target in TARGETS for word in ("--target", target)]
    text = _run(file, *arguments).stdout
    assert max(map(len, text.splitlines())) <= 80
    for target in TARGETS:
        assert re.search(rf"^{re.escape(target)} .* to .* mJ$", text, re.MULTILINE)
    document = json.loads(_run(file, *arguments, "--json").stdout)
    assert [each["target"] for each in document["estimates"]] == TARGETS


@pytest.mark.parametrize("rate", ["0.01", "20", "1000000"])
def test_several_targets_answer_the_rate_too(rate: str, file: Path) -> None:
    arguments = [word for target in TARGETS for word in ("--target", target)]
    text = _run(file, *arguments, "--rate", rate).stdout
    assert max(map(len, text.splitlines())) <= 80
    assert re.search(rf"^target .* at {float(rate):,}/s$".replace(".0/s", "/s"), text, re.MULTILINE)
    for target in TARGETS:
        cell = (
            "(CPU|TPU|not sure|neither)"
            if target.startswith("coral")
            else "(to [0-9.,]+ %|too slow)"
        )
        assert re.search(rf"^{re.escape(target)} .*{cell}$", text, re.MULTILINE)


def test_a_target_that_refuses_is_named_beside_the_others_and_ends_with_code_3(
    tmp_path: Path,
) -> None:
    path = tmp_path / "hybrid.tflite"
    path.write_bytes(hybrid())
    targets = ("--target", "pi4", "--target", "pi4:bookworm-armhf")
    ran = _run(path, *targets, "--json")
    document = json.loads(ran.stdout)
    assert [each["target"] for each in document["estimates"]] == ["pi4"]
    assert [each["target"] for each in document["refused"]] == ["pi4:bookworm-armhf"]
    assert isinstance(ran.exception, ModelError)
    assert "pi4:bookworm-armhf" in str(ran.exception)
    text = " ".join(_run(path, *targets).stdout.split())
    assert "pi4:bookworm-armhf: no estimate: tflite-runtime 2.14.0" in text


def test_it_says_on_the_error_stream_why_nothing_was_counted(file: Path) -> None:
    assert "predicted, not counted: as asked" in _run(file, "--target", "pi4", "--json").stderr


def test_a_bundle_is_estimated_as_the_model_in_it(tmp_path: Path) -> None:
    path = tmp_path / "digits.gedge"
    path.write_bytes(tiny_bundle())
    assert _run(path, "--target", "pi5").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (("--target", "pi9"), ConfigError),
        (("--target", "host"), ConfigError),
        (("--target", "pi4", "--rate", "nan"), ConfigError),
    ],
)
def test_bad_input_is_refused(arguments: tuple[str, ...], kind: type, file: Path) -> None:
    assert isinstance(_run(file, *arguments).exception, kind)


def test_a_missing_or_broken_model_is_a_model_error(tmp_path: Path) -> None:
    assert isinstance(_run(tmp_path / "none.tflite", "--target", "pi4").exception, ModelError)
    path = tmp_path / "cut.tflite"
    path.write_bytes(network(16)[:200])
    assert isinstance(_run(path, "--target", "pi4").exception, ModelError)


@pytest.mark.parametrize("rate", ["0", "-1", "many", "1e300"])
def test_a_rate_is_above_zero_and_has_an_end(rate: str, file: Path) -> None:
    assert _run(file, "--target", "pi4", "--rate", rate).exit_code == 2
