"""An estimate from a file, with instructions counted by a table or predicted."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from green_edge.build.estimate.counting import Counter
from green_edge.build.estimate.estimate import EstimateOptions, estimate
from green_edge.build.estimate.processor import at_rate
from green_edge.build.estimate.report import Estimate, RuntimeEstimate
from green_edge.bundle.pack import pack
from green_edge.emulate import EmulationError
from green_edge.targets import physics
from green_edge.targets.physics import Bounds, Range
from green_edge.targets.registry import find
from green_edge_wire.errors import ConfigError, ModelError
from support.bundles import test_signer, tiny_contents
from support.edgetpu_files import CACHED, Executable, compiled_tflite, package
from support.estimates import Answer, Late, TableCounter, hybrid, network, with_inner_graph
from support.op_models import Step, T, op_model

COUNTED = 3_000_000
NO_NETWORK = EmulationError("cannot reach the mirror", hint="use the cost model")


def _counter(litert: Answer = COUNTED, tflite: Answer = 4_000_000) -> Counter:
    return TableCounter({"ai-edge-litert": litert, "tflite-runtime": tflite})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.tflite"
    path.write_bytes(network(16, 28))
    return path


def _one(file: Path, target: str, counter: Counter | None, rate: float | None = None) -> Estimate:
    (found,) = estimate(EstimateOptions(file, (target,), rate), counter).estimates
    return found


def test_what_was_counted_is_reported_with_the_targets_own_runtime_first(file: Path) -> None:
    found = _one(file, "pi4", _counter())
    assert [
        (e.runtime, e.version, e.core, e.arch, e.instructions, e.how, e.runs_there)
        for e in found.runtimes
    ] == [
        ("ai-edge-litert", "2.3.0", "cortex-a72", "aarch64", COUNTED, "emulated", True),
        ("tflite-runtime", "2.14.0", "cortex-a72", "aarch64", 4_000_000, "emulated", False),
    ]
    assert found.latency_us == found.runtimes[0].latency_us
    assert found.energy_uj == found.runtimes[0].energy_uj
    assert found.not_emulated is None


def test_the_latency_holds_what_the_boards_clock_makes_of_the_count(file: Path) -> None:
    found = _one(file, "pi4", _counter())
    board = physics.load("pi4")
    ipc = board.ipc.int8
    assert found.latency_us.low <= COUNTED / (ipc.high * board.clock_mhz.high)
    assert found.latency_us.high >= COUNTED / (ipc.low * board.clock_mhz.low)
    assert found.energy_uj.low < found.energy_uj.high


def test_the_own_runtimes_refusal_is_passed_on_in_its_words(file: Path) -> None:
    words = "Didn't find op for builtin opcode 'CONV_2D' version '9'"
    with pytest.raises(ModelError) as raised:
        _one(file, "pi4", _counter(litert=words))
    assert words in str(raised.value)
    assert "ai-edge-litert 2.3.0" in str(raised.value)
    assert str(file) in str(raised.value)
    assert raised.value.exit_code == 3


def test_another_runtimes_refusal_is_a_note(file: Path) -> None:
    found = _one(file, "pi4", _counter(tflite="it has no such operation"))
    assert [entry.runtime for entry in found.runtimes] == ["ai-edge-litert"]
    assert any("tflite-runtime 2.14.0" in n and "it has no such operation" in n
               for n in found.notes)  # fmt: skip


def test_a_model_with_loops_is_counted_but_neither_split_nor_advised(tmp_path: Path) -> None:
    path = tmp_path / "loop.tflite"
    path.write_bytes(with_inner_graph(network(16, 33)))
    found = _one(path, "pi4", _counter())
    assert (found.runtimes[0].instructions, found.runtimes[0].how) == (COUNTED, "emulated")
    assert found.layers == ()
    assert not any("channels" in each.what for each in found.advice)
    assert any("inner graphs" in note for note in found.notes)


@pytest.mark.parametrize("target", ["pi4", "coral-usb+pi4"])
def test_a_model_with_loops_is_not_priced_without_a_count(target: str, tmp_path: Path) -> None:
    path = tmp_path / "loop.tflite"
    path.write_bytes(with_inner_graph(network(16)))
    with pytest.raises(ModelError, match="loops or branches"):
        _one(path, target, None)


def test_what_is_not_counted_is_asked_of_the_rules_of_the_runtime(tmp_path: Path) -> None:
    path = tmp_path / "hybrid.tflite"
    path.write_bytes(hybrid())
    found = _one(path, "pi4", None)
    assert [entry.runtime for entry in found.runtimes] == ["ai-edge-litert"]
    words = "Didn't find op for builtin opcode 'FULLY_CONNECTED' version '12'"
    assert any("tflite-runtime 2.14.0" in note and words in note for note in found.notes)
    with pytest.raises(ModelError, match="Didn't find op for builtin opcode"):
        _one(path, "pi4:bookworm-armhf", None)


def test_what_was_counted_runs_there_whatever_the_rules_say(tmp_path: Path) -> None:
    path = tmp_path / "hybrid.tflite"
    path.write_bytes(hybrid())
    assert _one(path, "pi4:bookworm-armhf", _counter()).runtimes[0].how == "emulated"


def test_without_emulation_the_cost_model_answers_and_says_why(file: Path) -> None:
    found = _one(file, "pi4", _counter(litert=NO_NETWORK, tflite=NO_NETWORK))
    assert {entry.how for entry in found.runtimes} == {"analytic"}
    assert all(entry.error_ratio > 0.001 for entry in found.runtimes)
    assert found.not_emulated == "cannot reach the mirror; use the cost model"
    assert found.notes[0].startswith("instructions are predicted, not counted by emulation: cannot")


@pytest.mark.parametrize(
    "words", ["not done in 600 s", "the process ended: qemu: uncaught target\nsignal 11"]
)
def test_a_model_that_was_not_counted_is_predicted_and_not_refused(file: Path, words: str) -> None:
    found = _one(file, "pi4", _counter(litert=Late(words)))
    assert [entry.how for entry in found.runtimes] == ["analytic", "emulated"]
    assert found.not_emulated == " ".join(words.split())
    assert any("ai-edge-litert 2.3.0 are predicted" in note for note in found.notes)


def test_a_setting_that_cannot_be_had_does_not_stop_the_others(file: Path) -> None:
    counter = TableCounter({"ai-edge-litert": NO_NETWORK, "tflite-runtime": 4_000_000})
    found = estimate(EstimateOptions(file, ("pi4", "pi5", "pi4:bookworm-armhf")), counter)
    assert [[entry.how for entry in each.runtimes] for each in found.estimates] == [
        ["analytic", "emulated"], ["analytic", "emulated"], ["emulated"],
    ]  # fmt: skip
    assert [each.not_emulated is None for each in found.estimates] == [False, False, True]


def test_a_target_of_which_nothing_can_be_known_is_refused_before_anything_is_counted(
    file: Path,
) -> None:
    counter = TableCounter({"ai-edge-litert": COUNTED, "tflite-runtime": 4_000_000})
    with pytest.raises(ConfigError, match=r"ai-edge-litert 1\.4\.0.*its runtime is not emulated"):
        _one(file, "pi4:bullseye-arm64", counter)
    assert counter.asked == []
    found = estimate(EstimateOptions(file, ("pi4:bullseye-arm64", "pi4")), counter)
    assert [each.target for each in found.estimates] == ["pi4"]
    assert [setting.version for setting in counter.asked] == ["2.3.0", "2.14.0"]


def test_a_count_beside_one_that_failed_is_still_a_count(file: Path) -> None:
    counter = TableCounter({"ai-edge-litert": COUNTED, "tflite-runtime": NO_NETWORK})
    found = _one(file, "pi4", counter)
    assert [entry.how for entry in found.runtimes] == ["emulated", "analytic"]
    assert found.not_emulated is None
    said = "instructions of tflite-runtime 2.14.0 are predicted, not counted by emulation: "
    assert [note for note in found.notes if "not counted" in note] == [f"{said}{NO_NETWORK}"]


def test_a_prediction_has_a_wider_range_than_a_count_of_as_much(file: Path) -> None:
    predicted = _one(file, "pi5", None)
    count = predicted.runtimes[0].instructions
    counted = _one(file, "pi5", _counter(litert=count))
    assert predicted.latency_us.low < counted.latency_us.low
    assert predicted.latency_us.high > counted.latency_us.high


def test_the_shares_of_the_layers_add_up(file: Path) -> None:
    found = _one(file, "pi4", None)
    assert [layer.index for layer in found.layers] == [0, 1, 2, 3]
    assert [layer.op for layer in found.layers][:2] == ["CONV_2D", "CONV_2D"]
    assert math.isclose(sum(layer.share for layer in found.layers), 1.0)
    # The second convolution multiplies 28 x 16 channels, the first 16 x 8.
    assert found.layers[1].share > found.layers[0].share > found.layers[3].share


def test_a_32_bit_system_has_one_runtime_and_says_so(file: Path) -> None:
    found = _one(file, "pi4:bookworm-armhf", _counter())
    (entry,) = found.runtimes
    assert (entry.runtime, entry.arch, entry.runs_there) == ("tflite-runtime", "armv7l", True)
    assert "ai-edge-litert has no wheel for bookworm-armhf" in found.notes


def test_a_runtime_that_is_not_in_the_cost_model_is_refused_with_a_system_that_is(
    file: Path,
) -> None:
    with pytest.raises(ConfigError, match=r"ai-edge-litert 1\.4\.0.*pi4:bookworm-arm64"):
        _one(file, "pi4:bullseye-arm64", None)


def test_boards_with_the_same_core_are_counted_once(file: Path) -> None:
    counter = TableCounter({"ai-edge-litert": COUNTED, "tflite-runtime": 4_000_000})
    found = estimate(EstimateOptions(file, ("pi3", "zero2", "pi4")), counter).estimates
    assert [each.target for each in found] == ["pi3", "zero2", "pi4"]
    assert [setting.core for setting in counter.asked] == ["cortex-a53"] * 2 + ["cortex-a72"] * 2


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("host", "green-edge bench"),
        ("coral-usb+host", "green-edge bench"),
        ("pi9", "known: "),
        ("pi4:trixie-armhf", "no runtime has a wheel"),
        ("pi4+pi5", "is no accelerator"),
    ],
)
def test_a_target_without_a_known_processor_is_refused_before_the_model_is_read(
    target: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=words):
        _one(tmp_path / "missing.tflite", target, None)


@pytest.mark.parametrize("rate", [math.nan, math.inf, 0.0, 1e7])
def test_a_rate_that_no_board_has_is_refused(rate: float, file: Path) -> None:
    with pytest.raises(ConfigError, match="--rate"):
        _one(file, "pi4", None, rate)


def test_of_several_targets_one_that_refuses_leaves_the_others(tmp_path: Path) -> None:
    path = tmp_path / "hybrid.tflite"
    path.write_bytes(hybrid())
    targets = ("coral-usb", "pi4", "pi4:bookworm-armhf", "pi5")
    found = estimate(EstimateOptions(path, targets), None)
    assert [each.target for each in found.estimates] == ["pi4", "pi5"]
    assert {each.target for each in found.refused} == {"coral-usb", "pi4:bookworm-armhf"}
    assert any("Didn't find op" in each.reason for each in found.refused)


def test_at_a_rate_the_board_is_busy_for_the_latency_of_each_request(file: Path) -> None:
    found = _one(file, "pi4", _counter(), 10.0)
    assert found.at_rate is not None
    assert found.at_rate.busy_ratio.high == pytest.approx(10 * found.latency_us.high / 1e6)
    board = physics.load("pi4")
    assert found.at_rate.power_mw is not None
    assert board.idle_mw.low < found.at_rate.power_mw.low
    assert found.at_rate.power_mw.high < board.busy_mw.high
    beyond = _one(file, "pi4", _counter(), 1e6).at_rate
    assert beyond is not None
    assert beyond.power_mw is None
    assert beyond.busy_ratio.low > 1


def test_the_mean_power_at_a_rate_is_idle_and_what_each_request_adds() -> None:
    span, net = Range(2_000, 5_000), Range(3_000, 8_000)
    entry = RuntimeEstimate(
        "ai-edge-litert", "2.3.0", "int8", "cortex-a72", "aarch64", 1, "emulated", 0.0, span, net,
        net,
    )  # fmt: skip
    idle = physics.load("pi4").idle_mw
    assert idle.low < idle.high
    found = at_rate(100.0, entry, find("pi4"))
    # 100 requests of 3 to 8 mJ a second are 300 to 800 mW.
    assert found.power_mw == Bounds(idle.low + 300, idle.high + 800)
    assert found.busy_ratio == Bounds(0.2, 0.5)
    assert at_rate(201.0, entry, find("pi4")).power_mw is None


def test_with_an_edge_tpu_the_accelerator_comes_first_and_the_processor_beside_it(
    file: Path,
) -> None:
    found = _one(file, "coral-usb+pi5", _counter(), 2.0)
    first, *others = found.runtimes
    assert (first.accelerator, first.runtime, first.runs_there) == (
        "edgetpu",
        "tflite-runtime",
        True,
    )
    assert first.instructions == 0
    assert [(e.accelerator, e.how, e.runs_there) for e in others] == [(None, "emulated", False)] * 2
    assert found.coral is not None
    assert found.coral.latency_us == found.latency_us == first.latency_us
    assert (found.coral.tpu_ops, found.coral.cpu_ops) == (4, 0)
    assert found.coral.break_even is not None
    assert 2.0 in [row.rate_rps for row in found.coral.break_even.rows]


def test_an_edge_tpu_takes_what_the_newer_runtime_of_the_processor_refuses(file: Path) -> None:
    found = _one(file, "coral-usb+pi5", _counter(litert="scales\ndiffer"))
    assert [entry.accelerator for entry in found.runtimes] == ["edgetpu"]
    assert found.coral is not None
    assert found.coral.break_even is None
    assert any("processor alone" in note and "scales differ" in note for note in found.notes)


def test_what_an_edge_tpu_refuses_is_not_counted_first(tmp_path: Path) -> None:
    path = tmp_path / "float.tflite"
    path.write_bytes(network(16, dtype="float32"))
    counter = TableCounter({})
    with pytest.raises(ModelError):
        _one(path, "coral-usb", counter)
    assert counter.asked == []


def test_a_small_model_is_cheaper_on_the_processor_at_a_low_rate(file: Path) -> None:
    found = _one(file, "coral-usb+pi5", _counter(), 1.0)
    assert found.coral is not None
    assert found.coral.break_even is not None
    assert found.coral.break_even.verdict == "cpu"


def test_what_the_edge_tpu_refuses_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "float.tflite"
    path.write_bytes(network(16, dtype="float32"))
    with pytest.raises(ModelError, match="coral-usb refuses it"):
        _one(path, "coral-usb", _counter())


def test_a_compiled_file_is_estimated_on_its_accelerator_alone(tmp_path: Path) -> None:
    path = tmp_path / "model_edgetpu.tflite"
    with_cycles = (Executable(cycles=100_000, narrow_bytes=512), *CACHED)
    path.write_bytes(compiled_tflite(package(with_cycles)))
    counter = TableCounter({})
    found = _one(path, "coral-usb+pi5", counter, 10.0)
    assert [(entry.accelerator, entry.dtype) for entry in found.runtimes] == [("edgetpu", "int8")]
    assert any("nothing is said of the rate" in note for note in found.notes)
    assert found.coral is not None
    assert found.coral.cycles == 100_000
    assert found.coral.break_even is None
    assert counter.asked == []
    with pytest.raises(ModelError, match="compiled for an Edge TPU"):
        _one(path, "pi5", counter)


def test_a_bundles_compiled_twin_tells_what_is_only_predicted_without_it(tmp_path: Path) -> None:
    model = network(16, 28)
    twin = compiled_tflite(package((Executable(cycles=123_456, narrow_bytes=512), *CACHED)))
    found = []
    for name, compiled in (("plain", None), ("compiled", twin)):
        path = tmp_path / f"{name}.gedge"
        contents = replace(tiny_contents(), model=model, edgetpu_model=compiled)
        path.write_bytes(pack(contents, test_signer()))
        found.append(_one(path, "coral-usb+pi5", _counter()).coral)
    plain, told = found
    assert plain is not None
    assert told is not None
    assert (told.cycles, plain.cycles == 123_456) == (123_456, False)
    assert told.break_even is not None
    assert told.tpu_ops == plain.tpu_ops


def test_a_32_bit_system_is_told_what_a_64_bit_one_would_save(file: Path) -> None:
    (first, *_) = _one(file, "pi4:bookworm-armhf", None).advice
    assert "a 64-bit system takes" in first.what
    small = _one(file, "pi4", None).runtimes[0].instructions
    large = _one(file, "pi4:bookworm-armhf", None).runtimes[0].instructions
    assert first.saves_ratio == pytest.approx(1 - small / large)


def test_axes_without_a_fixed_size_are_said_to_be_taken_as_one(tmp_path: Path) -> None:
    path = tmp_path / "any-size.tflite"
    image = T((1, 1, 1, 8), signature=(1, -1, -1, 8))
    path.write_bytes(op_model([image, image], [Step("LOGISTIC", (0,), (1,), 2)]))
    assert any("taken as 1 long: inputs t0" in note for note in _one(path, "pi4", None).notes)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a model")
    with pytest.raises(ModelError):
        _one(path, "pi4", None)
