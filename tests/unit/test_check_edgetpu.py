from pathlib import Path

import pytest

from green_edge.build.check import check_file
from green_edge.targets.check import CheckReport, check
from green_edge.targets.edgetpu.compiled import read_compiled
from green_edge.targets.registry import find
from green_edge.tflite.read import read
from green_edge_wire.errors import ModelError
from support.edgetpu_faults import CRASHES, FATAL, UNREADABLE
from support.edgetpu_files import EXECUTION_ONLY, Executable, compiled_tflite, package
from support.edgetpu_partition import partition
from support.op_models import Step, T, alone, conv, op_model


def _check(data: bytes, target: str = "coral-usb") -> CheckReport:
    return check(read(data, static=False), find(target), compiled=read_compiled(data))


@pytest.mark.parametrize("name", sorted(FATAL))
def test_each_error_of_the_compiler_is_named_before_it_runs(name: str) -> None:
    fault = FATAL[name]
    report = _check(fault.model)
    assert report.verdict == "refused"
    assert fault.says in " ".join(problem.what for problem in report.problems)
    assert all(problem.where and problem.remedy for problem in report.problems)


@pytest.mark.parametrize("name", sorted(CRASHES))
def test_patterns_at_which_it_crashed_are_shown_as_risks(name: str) -> None:
    fault = CRASHES[name]
    report = _check(fault.model)
    assert any(fault.says in problem.what for problem in report.problems)
    assert report.verdict != "refused"


def test_a_file_that_is_cut_short_is_refused_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "half.tflite"
    path.write_bytes(UNREADABLE.model)
    with pytest.raises(ModelError, match=UNREADABLE.says) as caught:
        check_file(path, "coral-usb")
    assert str(path) in str(caught.value)


def test_a_model_that_maps_whole_runs_and_its_parameters_fit() -> None:
    report = _check(conv())
    assert (report.verdict, report.tpu_ops, report.cpu_ops) == ("runs", 1, 0)
    assert report.ops[0].status == "Mapped to Edge TPU"
    assert report.parameter_memory == "fits"
    assert report.problems == ()


def test_float_ends_leave_two_operations_to_the_host_and_say_how_to_win_them_back() -> None:
    shape = (1, 4, 4, 8)
    tensors = [T(shape, "float32"), T(shape), T(shape), T(shape, "float32")]
    steps = [Step("QUANTIZE", (0,), (1,)), Step("LOGISTIC", (1,), (2,), 2),
             Step("DEQUANTIZE", (2,), (3,), 2)]  # fmt: skip
    report = _check(op_model(tensors, steps))
    assert report.verdict == "partial"
    assert [row.placement for row in report.ops] == ["cpu", "tpu", "cpu"]
    assert {problem.remedy for problem in report.problems} == {
        "convert with int8 input and output, as green-edge build does"
    }


def test_what_stands_behind_an_operation_that_left_names_the_first_that_did() -> None:
    shape = (1, 4, 4, 8)
    steps = [Step("LOGISTIC", (0,), (1,), 2), Step("LEAKY_RELU", (1,), (2,), 2),
             Step("LOGISTIC", (2,), (3,), 2)]  # fmt: skip
    report = _check(op_model([T(shape)] * 4, steps))
    assert [row.placement for row in report.ops] == ["tpu", "cpu", "cpu"]
    assert report.problems[0].what.startswith("More than one subgraph is not supported")
    assert "#1 LEAKY_RELU" in report.problems[0].remedy
    assert any("use ReLU" in problem.remedy for problem in report.problems)


def test_an_operation_without_data_is_unknown_and_so_is_the_verdict() -> None:
    report = _check(alone("ELU"))
    assert report.ops[0].placement == "unknown"
    assert report.verdict == "unknown"
    assert report.tpu_ops == 0


def test_what_is_left_to_the_host_has_to_run_in_its_runtime() -> None:
    tensors = [T((1, 8)), T((1, 8)), T((1, 8))]
    steps = [Step("LOGISTIC", (0,), (1,), 2), Step("PosenetDecoderOp", (1,), (2,))]
    report = _check(op_model(tensors, steps))
    assert report.ops[1].placement == "cpu"
    assert report.verdict == "refused"
    assert report.problems[0].what == "Encountered unresolved custom op: PosenetDecoderOp"


def test_a_compiled_file_is_read_and_runs_on_the_accelerator_alone() -> None:
    data = compiled_tflite()
    report = _check(data)
    assert report.verdict == "runs"
    assert report.ops[0].placement == "tpu"
    refused = _check(data, "pi4")
    assert refused.verdict == "refused"
    assert refused.problems[0].what == "it is compiled for an Edge TPU"


def test_a_compiled_file_for_a_newer_runtime_than_the_driver_is_refused() -> None:
    report = _check(compiled_tflite(package(min_runtime_version=15)))
    assert report.verdict == "refused"
    assert report.problems[0].what == (
        "it is compiled for runtime 15, libedgetpu 16.0tf2.16.1 is runtime 14"
    )


def test_above_python_3_11_the_runtime_that_is_missing_is_named() -> None:
    report = _check(conv(), "coral-usb:trixie-arm64+pi5")
    assert report.verdict == "refused"
    assert report.runtime is None
    assert "Python 3.13" in report.problems[0].what
    assert "tflite-runtime 2.14.0 has Python 3.9, 3.10, 3.11" in report.problems[0].what
    assert "libedgetpu" in report.problems[0].remedy
    assert report.tpu_ops == 1


def _inner(op: str, version: int) -> bytes:
    return op_model([T((1, 8)), T((1, 8))], [Step("LOGISTIC", (0,), (1,), 2)],
                    inner=[(op, version)])  # fmt: skip


def test_an_inner_graph_is_looked_at_by_the_compiler_and_by_the_hosts_runtime() -> None:
    report = _check(_inner("FULLY_CONNECTED", 13))
    assert report.verdict == "refused"
    assert report.problems[0].where == "an inner graph"
    # The compiler may know it; tflite-runtime 2.14 has no version of it.
    host = _check(_inner("BROADCAST_TO", 1))
    assert host.verdict == "refused"
    assert "'BROADCAST_TO' version '1'" in host.problems[0].what


def test_float_computed_inside_is_named_where_the_ends_are_int8() -> None:
    shape = (1, 8)
    tensors = [T(shape), T(shape), T(shape, "float32"), T(shape, "float32"), T(shape), T(shape)]
    steps = [Step("LOGISTIC", (0,), (1,), 2), Step("DEQUANTIZE", (1,), (2,), 2),
             Step("NEG", (2,), (3,)), Step("QUANTIZE", (3,), (4,)),
             Step("TANH", (4,), (5,), 2)]  # fmt: skip
    casts = [p for p in _check(op_model(tensors, steps)).problems if "QUANTIZE" in p.what]
    assert len(casts) == 2
    assert all("the float NEG beside it" in problem.remedy for problem in casts)


def test_what_is_said_to_map_in_a_size_never_seen_is_told() -> None:
    shape = (1, 2048, 1024, 10)
    report = _check(op_model([T(shape), T(shape)], [Step("LOGISTIC", (0,), (1,), 2)]))
    assert report.verdict == "runs"
    assert [p.what for p in report.problems if "LOGISTIC" in p.what] == [
        "larger than any that was seen mapped, or in another form: LOGISTIC"
    ]


def test_the_window_of_a_pooling_is_read_from_the_file() -> None:
    pool = {"filterHeight": 513, "filterWidth": 513, "strideH": 1, "strideW": 1}
    step = Step("AVERAGE_POOL_2D", (0,), (1,), 2, ("Pool2DOptions", pool))
    report = _check(op_model([T((1, 513, 513, 1)), T((1, 1, 1, 1))], [step]))
    assert report.verdict == "unknown"
    assert "a window of 263,169 positions" in report.ops[0].reason


def test_a_version_that_cannot_be_lowered_is_not_advised_to_be() -> None:
    report = _check(conv(6, channels=8, depth=4))
    remedies = " ".join(problem.remedy for problem in report.problems)
    assert "convolutions of one group" in remedies
    assert "for a Coral target does" not in remedies


def test_a_compiled_file_with_operations_on_the_cpu_gets_advice(tmp_path: Path) -> None:
    shape = (1, 4, 4, 8)
    tensors = [T(shape, "float32"), T(shape), T(shape), T(shape), T(shape, "float32")]
    steps = [Step("QUANTIZE", (0,), (1,)), Step("LOGISTIC", (1,), (2,), 2),
             Step("LEAKY_RELU", (2,), (3,), 2), Step("DEQUANTIZE", (3,), (4,), 2)]  # fmt: skip
    path = tmp_path / "compiled.tflite"
    path.write_bytes(partition(op_model(tensors, steps), {1}, several=False))
    report = check_file(path, "coral-usb")
    said = " ".join(problem.what for problem in report.problems)
    assert report.verdict == "partial"
    assert "float32 input or output" in said
    assert "runs int8 without XNNPACK" in said


def test_parameters_that_a_compiled_file_sends_each_time_are_told() -> None:
    sent = package((Executable(kind=EXECUTION_ONLY, parameters=bytes(300)),))
    report = _check(compiled_tflite(sent))
    assert report.problems[0].what.startswith("300 of 300 bytes of parameters are sent")
    assert report.parameter_memory == "streams"
