"""The profiler's steps, given back to the operations of a model."""

from collections.abc import Sequence

import pytest

from green_edge.build.profile import profile_of
from green_edge.tflite.model import Op
from green_edge_wire.bench import ProfileRow, ProfileRows


def ops(*names: str) -> list[Op]:
    return [Op(i, name, 1, (), (), 0, 0, 0, f"layer-{i}") for i, name in enumerate(names)]


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


def test_shares_are_of_all_steps_and_the_slowest_come_first() -> None:
    model = ops("ADD", "MUL", "SUB")
    profile = profile_of(rows(("Add (NC)", 1.0), ("Multiply (NC)", 6.0), ("Sub", 3.0)), model)
    assert [layer.share for layer in profile.layers] == pytest.approx([0.1, 0.6, 0.3])
    assert profile.slowest == (1, 2, 0)
    assert profile.steps_us == 10.0
    assert "1 steps (30.0% of the time) belong to no operation alone" in profile.notes


def test_steps_too_short_to_time_have_no_share_and_a_warning() -> None:
    profile = profile_of(rows(("Add (NC)", 0.0)), ops("ADD"))
    assert [layer.share for layer in profile.layers] == [0.0]
    warning = "most steps are too short to be timed here: the shares say little"
    assert warning in profile.notes
    assert warning not in profile_of(rows(("Add (NC)", 80.0)), ops("ADD")).notes
