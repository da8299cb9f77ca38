import pytest
from ai_edge_litert.interpreter import Interpreter

from green_edge.core.checks import Problem
from green_edge.targets import cpu_rules
from green_edge.targets.check import CheckReport, check
from green_edge.targets.registry import find
from green_edge.targets.runtimes import Runtime
from green_edge.tflite.read import read
from support.op_models import Step, T, alone, conv, dense, op_model

ARMHF = "pi4:bookworm-armhf"


def _check(data: bytes, target: str) -> CheckReport:
    return check(read(data, static=False), find(target))


def _said(report: CheckReport) -> str:
    return " ".join(problem.what for problem in report.problems)


def test_a_model_of_known_operations_runs() -> None:
    report = _check(conv(), "pi4")
    assert (report.verdict, report.cpu_ops, report.tpu_ops) == ("runs", 1, 0)
    assert report.problems == ()
    assert report.ops[0].confidence == "proven"
    assert report.parameter_bytes == 8 * 3 * 3 * 8


def test_dynamic_range_dense_layers_run_on_64_bit_systems_and_not_on_32_bit_ones() -> None:
    model = dense(12, "float32", "int8")
    assert _check(model, "pi4").verdict == "runs"
    report = _check(model, ARMHF)
    assert report.verdict == "refused"
    assert report.ops[0].placement == "none"
    assert report.ops[0].reason == "tflite-runtime 2.14.0 has versions 1 to 10"
    assert report.problems[0] == Problem(
        what="Didn't find op for builtin opcode 'FULLY_CONNECTED' version '12'",
        where="#0 FULLY_CONNECTED t3",
        remedy="its weights are int8 and its activations float: quantize the activations too "
        "(green-edge build with --calibration)",
    )


def test_a_version_that_only_the_newer_runtime_has_says_so() -> None:
    report = _check(alone("QUANTIZE", 4), ARMHF)
    assert "ai-edge-litert 2.3.0 has it" in report.problems[0].remedy
    nowhere = _check(alone("QUANTIZE", 30), ARMHF)
    assert "older converter" in nowhere.problems[0].remedy


def test_an_operation_below_the_lowest_version_is_refused() -> None:
    assert _check(alone("BROADCAST_TO", 1), "pi4").verdict == "refused"
    assert _check(alone("BROADCAST_TO", 2), "pi4").verdict == "runs"


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("FlexErf", "Select TensorFlow op(s), included in the given model, is(are) not supported"),
        ("MyPooling", "Encountered unresolved custom op: MyPooling"),
        ("edgetpu-custom-op", "it is compiled for an Edge TPU"),
    ],
)
def test_custom_operations_that_the_runtime_lacks_are_named(name: str, what: str) -> None:
    report = _check(alone(name), "pi4")
    assert report.verdict == "refused"
    assert report.problems[0].what.startswith(what)
    assert name in report.problems[0].where


def test_custom_operations_that_it_registers_run() -> None:
    assert _check(alone("TFLite_Detection_PostProcess"), "pi4").verdict == "runs"


def test_operations_of_inner_graphs_are_looked_up_too() -> None:
    shape = (1, 4)
    model = op_model([T(shape), T(shape)], [Step("RELU", (0,), (1,))], inner=[("CAST", 9)])
    assert _check(model, "pi4").verdict == "runs"
    report = _check(model, ARMHF)
    assert report.verdict == "refused"
    assert report.problems[0].where == "an inner graph"


def test_a_dynamic_axis_other_than_the_batch_is_refused() -> None:
    def relu(signature: tuple[int, ...]) -> bytes:
        shape = (1, 8, 8, 4)
        return op_model([T(shape, signature=signature), T(shape)], [Step("RELU", (0,), (1,))])

    assert _check(relu((-1, 8, 8, 4)), "pi4").verdict == "runs"
    report = _check(relu((1, -1, 8, 4)), "pi4")
    assert report.verdict == "refused"
    assert "dynamic shape" in report.problems[0].what
    assert report.problems[0].where == "input 't0'"


def test_shapes_that_are_computed_cost_the_fast_kernels() -> None:
    tensors = [T((1, 4)), T((2,), "int32"), T((1, 4))]
    steps = [Step("SHAPE", (0,), (1,)), Step("RESHAPE", (0, 1), (2,))]
    report = _check(op_model(tensors, steps), "pi4")
    assert report.verdict == "runs"
    assert "computes shapes while it runs" in _said(report)


def test_float_operations_between_int8_ones_are_an_island() -> None:
    shape = (1, 4)
    tensors = [T(shape), T(shape), T(shape, "float32"), T(shape, "float32"), T(shape)]
    steps = [Step("RELU", (0,), (1,)), Step("DEQUANTIZE", (1,), (2,), 2),
             Step("EXP", (2,), (3,)), Step("QUANTIZE", (3,), (4,))]  # fmt: skip
    report = _check(op_model(tensors, steps), "pi4")
    assert report.verdict == "runs"
    (island,) = report.problems
    assert island.what == "1 of 2 operations compute in float32 in an int8 model: EXP"
    assert island.where == "#2 EXP t3"


def test_a_float_model_and_a_dynamic_range_one_have_no_islands() -> None:
    assert _check(dense(1, "float32", "float32"), "pi4").problems == ()
    assert _check(dense(12, "float32", "int8"), "pi4").problems == ()


def test_float_ends_of_an_int8_model_are_named() -> None:
    shape = (1, 4)
    tensors = [T(shape, "float32"), T(shape), T(shape)]
    steps = [Step("QUANTIZE", (0,), (1,)), Step("RELU", (1,), (2,))]
    (problem,) = _check(op_model(tensors, steps), "pi4").problems
    assert problem.what.startswith("float32 input or output of an int8 model")
    assert problem.where == "t0"


def test_int8_without_fast_kernels_is_called_slow_and_32_bit_a_trap() -> None:
    report = _check(conv(), ARMHF)
    assert report.verdict == "runs"
    assert "tflite-runtime 2.14.0 runs int8 without XNNPACK" in report.problems[0].what
    assert "with one thread a 32-bit system ran int8 slower than float" in report.problems[1].what
    assert _check(dense(1, "float32", "float32"), ARMHF).problems == ()


def test_int16_activations_are_called_slow() -> None:
    model = op_model([T((1, 4), "int16"), T((1, 4), "int16")], [Step("RELU", (0,), (1,))])
    assert "int16 activations run without XNNPACK" in _said(_check(model, "pi5"))


@pytest.mark.parametrize("board", ["pi3", "pi4", "pi5", "zero2"])
def test_on_32_bit_trixie_no_runtime_has_a_wheel(board: str) -> None:
    report = _check(conv(), f"{board}:trixie-armhf")
    assert report.verdict == "refused"
    assert report.runtime is None
    assert "no runtime has a wheel for Python 3.13 and glibc 2.41 on armv7l" in _said(report)
    assert "Bookworm" in report.problems[0].remedy
    assert {row.placement for row in report.ops} == {"none"}


def test_on_bullseye_the_model_runs_and_the_agent_does_not() -> None:
    report = _check(conv(), "pi4:bullseye-arm64")
    assert report.verdict == "runs"
    assert report.problems[0].what == "the agent needs Python 3.11, the system has 3.9"
    assert report.runtime is not None
    assert (report.runtime.package, report.runtime.version) == ("ai-edge-litert", "1.4.0")


def test_a_model_that_takes_most_of_the_memory_is_named() -> None:
    activation = (1, 4096, 4096, 16)
    model = op_model([T(activation), T(activation)], [Step("RELU", (0,), (1,))])
    report = _check(model, "zero2")
    assert "it takes 512 MiB of memory or more" in _said(report)
    assert report.parameter_memory == "borderline"
    assert _check(model, "host").problems == ()


def test_a_runtime_that_nobody_asked_leaves_it_unknown() -> None:
    (op,) = read(conv()).ops
    row = cpu_rules.place(op, Runtime("other", "1", "numpy", wheels=()))
    assert (row.placement, row.confidence) == ("unknown", "guess")


def test_many_operations_of_a_kind_make_one_problem() -> None:
    shape = (1, 4)
    steps = [Step("GELU", (i,), (i + 1,), 3) for i in range(6)]
    report = _check(op_model([T(shape)] * 7, steps), ARMHF)
    assert report.problems[0].where == "#0, #1, #2, #3 and 2 more"
    assert len([p for p in report.problems if "GELU" in p.what]) == 1


def _i32(*values: int) -> T:
    return T((len(values),), "int32", constant=values)


# One operation each, with what follows its data: small constants, the output's shape, options.
IMAGE = (1, 4, 4, 8)
MOVERS: dict[str, tuple[tuple[T, ...], tuple[int, ...], str]] = {
    "DEPTH_TO_SPACE": ((), (1, 8, 8, 2), "DepthToSpaceOptions"),
    "MAX_POOL_2D": ((), (1, 2, 2, 8), "Pool2DOptions"),
    "PAD": ((T((4, 2), "int32", constant=(0, 0, 1, 1, 1, 1, 0, 0)),), (1, 6, 6, 8), "PadOptions"),
    "RESIZE_BILINEAR": ((_i32(8, 8),), (1, 8, 8, 8), "ResizeBilinearOptions"),
    "SLICE": ((_i32(0, 0, 0, 0), _i32(1, 2, 2, 8)), (1, 2, 2, 8), "SliceOptions"),
    "SPACE_TO_DEPTH": ((), (1, 2, 2, 32), "SpaceToDepthOptions"),
    "STRIDED_SLICE": (
        (_i32(0, 0, 0, 0), _i32(1, 2, 2, 8), _i32(1, 1, 1, 1)), (1, 2, 2, 8), "StridedSliceOptions",
    ),
    "TRANSPOSE": ((_i32(0, 3, 1, 2),), (1, 8, 4, 4), "TransposeOptions"),
    "RESHAPE": ((_i32(1, 128),), (1, 128), "ReshapeOptions"),
    "RESIZE_NEAREST_NEIGHBOR": ((_i32(8, 8),), (1, 8, 8, 8), "ResizeNearestNeighborOptions"),
}  # fmt: skip
_POOL = {"filterHeight": 2, "filterWidth": 2, "strideH": 2, "strideW": 2, "padding": 1}


def _mover(name: str, dtype: str, scale: float) -> bytes:
    small, shape, table = MOVERS[name]
    fields = {"Pool2DOptions": _POOL}.get(table, {"blockSize": 2} if "Depth" in table else {})
    tensors = [T(IMAGE, dtype), *small, T(shape, dtype, scale=scale)]
    last = len(tensors) - 1
    version = 1 if name == "RESHAPE" else 2
    return op_model(tensors, [Step(name, tuple(range(last)), (last,), version, (table, fields))])


def _loads(model: bytes) -> bool:
    try:
        Interpreter(model_content=model).allocate_tensors()
    except RuntimeError:
        return False
    return True


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("name", sorted(MOVERS))
def test_a_changed_scale_is_refused_exactly_where_the_installed_runtime_refuses(
    name: str, dtype: str
) -> None:
    for scale in (0.05, 0.1):
        model = _mover(name, dtype, scale)
        report = _check(model, "host")
        assert (report.verdict == "runs") == _loads(model)
    refused = report.verdict == "refused"
    assert refused == (name not in {"RESHAPE", "RESIZE_NEAREST_NEIGHBOR"})
    assert not refused or "QUANTIZE behind it" in report.problems[0].remedy
    # tflite-runtime has no XNNPACK for int8.
    assert _check(model, ARMHF).verdict == "runs"


def test_a_slice_with_strides_is_not_xnnpacks_and_runs() -> None:
    tensors = [T(IMAGE), _i32(0, 0, 0, 0), _i32(1, 4, 4, 8), _i32(1, 2, 2, 1),
               T((1, 2, 2, 8), scale=0.1)]  # fmt: skip
    options: tuple[str, dict[str, int]] = ("StridedSliceOptions", {})
    model = op_model(tensors, [Step("STRIDED_SLICE", (0, 1, 2, 3), (4,), 2, options)])
    assert _loads(model)
    assert _check(model, "host").verdict == "runs"
