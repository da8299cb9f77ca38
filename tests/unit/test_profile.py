"""The profiler's steps, given back to the operations of a model."""

from collections.abc import Sequence

import pytest

from green_edge.build.profile import profile_of
from green_edge.tflite.model import Op, Options
from green_edge.tflite.read import read
from green_edge_agent.runtime import interpreter, litert_profiler, trial
from green_edge_wire.bench import ProfileRow, ProfileRows, Trial
from support.op_models import Step, T, op_model


def ops(*names: str) -> list[Op]:
    """A chain of operations."""
    return [op(i, name, (i,)) for i, name in enumerate(names)]


def op(index: int, name: str, inputs: tuple[int, ...], fused: str = "NONE") -> Op:
    """An operation that makes the tensor after its own index."""
    options = Options(fused_activation=fused)
    return Op(index, name, 1, inputs, (index + 1,), 0, 0, 0, f"layer-{index}", options=options)


def rows(*steps: tuple[str, float] | tuple[str, float, int]) -> ProfileRows:
    made = tuple(ProfileRow(*step) for step in steps)
    return ProfileRows(runs=10, total_us=100.0, rows=made)


def indices(found: ProfileRows, model: Sequence[Op]) -> list[int | None]:
    return [layer.index for layer in profile_of(found, model).layers]


def test_products_of_matrices_are_matched_in_order_whatever_their_kernel() -> None:
    model = ops("CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D", "RESHAPE", "FULLY_CONNECTED")
    found = rows(
        ("Convolution (NHWC, QC8) IGEMM", 4.0),
        ("Convolution (NHWC, QC8) DWConv", 2.0),
        ("Fully Connected (NC, QS8, QC8W) GEMM", 3.0),
        ("Static Reshape (NC)", 0.0),
        ("Fully Connected (NC, QS8, QC8W) GEMM", 1.0),
    )
    assert indices(found, model) == [0, 1, 2, None, 4]


def test_a_family_with_another_number_of_steps_is_matched_with_nothing() -> None:
    model = ops("CONV_2D", "ADD", "CONV_2D")
    found = rows(("Convolution (NHWC, F32) IGEMM", 4.0), ("Add (NC)", 1.0))
    assert indices(found, model) == [None, 1]


def test_a_depthwise_kernel_is_never_given_to_another_operation() -> None:
    model = ops("CONV_2D", "DEPTHWISE_CONV_2D")
    swapped = rows(("Convolution (NHWC, F32) DWConv", 1.0), ("Convolution (NHWC, F32) IGEMM", 1.0))
    assert indices(swapped, model) == [None, None]
    dense = rows(("Convolution (NHWC, F32) IGEMM", 1.0), ("Fully Connected (NC, F32) GEMM", 1.0))
    assert indices(dense, model) == [None, None]


def test_what_the_runtime_ran_itself_names_its_operation() -> None:
    model = ops("CONV_2D", "AVERAGE_POOL_2D", "CONV_2D")
    found = rows(
        ("Convolution (NHWC, QC8) IGEMM", 2.0),
        ("AVERAGE_POOL_2D", 1.0, 1),
        ("Convolution (NHWC, QC8) IGEMM", 2.0),
    )
    profile = profile_of(found, model)
    assert [layer.index for layer in profile.layers] == [0, 1, 2]
    assert [layer.ran_by for layer in profile.layers] == ["xnnpack", "runtime", "xnnpack"]
    assert profile.layers[1].name == "layer-1"


def test_a_clamp_that_may_be_a_fused_activation_is_given_to_nothing() -> None:
    model = [
        op(0, "CONV_2D", (0,)), op(1, "RELU", (1,)), op(2, "ADD", (2, 0), fused="RELU"),
    ]  # fmt: skip
    found = rows(("Convolution (NHWC, F32) IGEMM", 9.0), ("Clamp (NC)", 1.0), ("Add (ND)", 1.0))
    assert indices(found, model) == [0, None, 2]
    plain = [*model[:2], op(2, "ADD", (2, 0))]
    assert indices(found, plain) == [0, 1, 2]


def test_what_would_run_before_its_input_is_there_is_not_matched() -> None:
    model = ops("MUL", "LOGISTIC", "ADD")
    found = rows(("Multiply (ND)", 1.0), ("Add (ND)", 1.0), ("Sigmoid (NC)", 1.0))
    assert indices(found, model) == [0, None, None]


def test_a_branch_that_waits_for_the_runtime_is_matched_when_it_runs() -> None:
    # The delegate runs all that is ready first: the second branch before the end of the first.
    model = [
        op(0, "CONV_2D", (0,)), op(1, "MAXIMUM", (1,)), op(2, "CONV_2D", (2,)),
        op(3, "DEPTHWISE_CONV_2D", (0,)), op(4, "ADD", (3, 4)),
    ]  # fmt: skip
    found = rows(
        ("Convolution (NHWC, QC8) IGEMM", 4.0), ("Convolution (NHWC, QC8) DWConv", 3.0),
        ("MAXIMUM", 1.0, 1), ("Convolution (NHWC, QC8) IGEMM", 2.0), ("Add (ND, QS8)", 1.0),
    )  # fmt: skip
    assert indices(found, model) == [0, 3, 1, 2, 4]


def test_a_runtime_with_an_order_of_its_own_leaves_the_delegates_steps_open() -> None:
    model = ops("MAXIMUM", "MAXIMUM", "CONV_2D")
    found = rows(("MAXIMUM", 1.0, 1), ("MAXIMUM", 1.0, 0), ("Convolution (NHWC, QC8) IGEMM", 4.0))
    assert indices(found, model) == [1, 0, None]


def test_the_runtimes_own_steps_never_stand_before_what_they_need() -> None:
    reason = litert_profiler.why_not(interpreter.runtime_name())
    if reason is not None:
        pytest.skip(reason)
    image = T((1, 48, 48, 16), "float32", None)
    tensors = [
        image, T((16, 3, 3, 16), "float32", None, constant=True),
        T((16,), "float32", None, constant=True), image, image, image,
    ]  # fmt: skip
    around = {"strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
    steps = [
        Step("CONV_2D", (0, 1, 2), (3,), 1, ("Conv2DOptions", around)),
        Step("RELU", (3,), (4,)),
        Step("ADD", (4, 0), (5,), 1, ("AddOptions", {"fusedActivationFunction": 1})),
    ]
    model = op_model(tensors, steps)
    taken = trial.run(model, Trial(runs=3, warm_up=1, profile=True)).profile
    assert taken is not None
    named = {layer.op for layer in profile_of(taken, read(model, static=False).ops).layers}
    # RELU runs inside of the convolution; the Clamp is the sum's.
    assert {"CONV_2D", "ADD"} <= named
    assert "RELU" not in named


def test_shares_are_of_all_steps_and_the_slowest_come_first() -> None:
    model = ops("ADD", "MUL", "SUB")
    profile = profile_of(rows(("Add (NC)", 1.0), ("Multiply (NC)", 6.0), ("Sub", 3.0)), model)
    assert [layer.share for layer in profile.layers] == pytest.approx([0.1, 0.6, 0.3])
    assert profile.slowest == (1, 2, 0)
    assert profile.steps_us == 10.0
    assert "of 1 step (30.0% of the time) the kernel is known, not the operation" in profile.notes


def test_steps_too_short_to_time_have_no_share_and_a_warning() -> None:
    profile = profile_of(rows(("Add (NC)", 0.0)), ops("ADD"))
    assert [layer.share for layer in profile.layers] == [0.0]
    warning = "most steps are too short to be timed here: the shares say little"
    assert warning in profile.notes
    assert warning not in profile_of(rows(("Add (NC)", 80.0)), ops("ADD")).notes
