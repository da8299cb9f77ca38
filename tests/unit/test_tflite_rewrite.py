import pytest

from green_edge.tflite.read import read
from green_edge.tflite.rewrite import Rewritten, for_edgetpu
from green_edge_wire.errors import ModelError
from support.newer_ops import (
    ACTIVATIONS,
    dense_of_two_inputs,
    dense_rows,
    grouped_conv,
    lifted_add,
    transpose_conv,
    with_unknown_batch,
)
from support.same_outputs import differing
from support.tiny_models import tiny_float_dense, tiny_int8_dense


def ops(model: bytes) -> list[tuple[str, int]]:
    return [(op.op, op.version) for op in read(model, static=False).ops]


def rewritten(model: bytes) -> bytes:
    """The rewritten model, which gives the same outputs and is not rewritten again."""
    result = for_edgetpu(model)
    assert result.changes
    assert differing(model, result.content) == 0
    again = for_edgetpu(result.content)
    assert (again.content, again.changes) == (result.content, ())
    return result.content


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_dense_rows_become_a_convolution(per_channel: bool, bias: bool) -> None:
    model = dense_rows(per_channel=per_channel, bias=bias)
    assert ops(rewritten(model)) == [("RESHAPE", 1), ("CONV_2D", 3), ("RESHAPE", 1)]


def test_dense_rows_of_an_image_need_no_reshape() -> None:
    assert ops(rewritten(dense_rows((1, 4, 5, 8)))) == [("CONV_2D", 3)]


def test_dense_rows_stay_dense_where_a_convolution_would_round_otherwise() -> None:
    model = dense_rows(per_channel=False, in_scale=0.0371)
    assert ops(rewritten(model)) == [("FULLY_CONNECTED", 4), ("RESHAPE", 1)]
    model = dense_rows(per_channel=True, in_scale=0.0371)
    assert ("CONV_2D", 3) in ops(rewritten(model))


def test_a_single_dense_row_stays_dense() -> None:
    model = dense_rows((1, 1, 8))
    assert ops(rewritten(model)) == [("FULLY_CONNECTED", 4), ("RESHAPE", 1)]


def test_dense_rows_of_more_axes_are_one_matrix() -> None:
    assert ops(rewritten(dense_rows((1, 2, 3, 2, 8))))[1] == ("CONV_2D", 3)


def test_a_dense_layer_without_a_bias_is_given_an_absent_one() -> None:
    model = dense_of_two_inputs()
    lowered = for_edgetpu(model)
    assert ops(lowered.content) == [("FULLY_CONNECTED", 4)]
    assert differing(model, lowered.content) == 0


@pytest.mark.parametrize("shape", [(1, 2, 1), (1, 5, 33), (1, 3, 7, 8), (1, 64, 128)])
@pytest.mark.parametrize("outputs", [1, 2, 17])
def test_dense_rows_without_an_activation_round_alike_in_every_size(
    shape: tuple[int, ...], outputs: int
) -> None:
    for per_channel in (True, False):
        model = dense_rows(
            shape, outputs=outputs, per_channel=per_channel, activation=ACTIVATIONS.NONE
        )
        assert ("CONV_2D", 3) in ops(rewritten(model))


def test_an_unknown_batch_is_run_as_1_and_rewritten_so() -> None:
    for model in (dense_rows(), transpose_conv(ACTIVATIONS.RELU, zero=-40)):
        opened = with_unknown_batch(model)
        assert ops(rewritten(opened)) == ops(rewritten(model))


@pytest.mark.parametrize("activation", [ACTIVATIONS.NONE, ACTIVATIONS.RELU])
@pytest.mark.parametrize("window", [1, 3])
@pytest.mark.parametrize("groups", [2, 4, 8])
def test_a_grouped_convolution_stays_for_its_kernel_rounds_in_a_way_of_its_own(
    groups: int, window: int, activation: int
) -> None:
    model = grouped_conv(groups, window=window, activation=activation)
    assert for_edgetpu(model) == Rewritten(model)


def test_an_activation_that_cuts_nothing_off_is_left_out() -> None:
    model = transpose_conv(ACTIVATIONS.RELU, zero=-128)
    assert ops(rewritten(model)) == [("TRANSPOSE_CONV", 2)]
    model = transpose_conv(ACTIVATIONS.RELU6, zero=-128, out_scale=6 / 255)
    assert ops(rewritten(model)) == [("TRANSPOSE_CONV", 2)]


@pytest.mark.parametrize(
    ("activation", "op"), [(ACTIVATIONS.RELU, "RELU"), (ACTIVATIONS.RELU6, "RELU6")]
)
def test_an_activation_that_cuts_becomes_an_operation(activation: int, op: str) -> None:
    model = transpose_conv(activation, zero=-40)
    assert ops(rewritten(model)) == [("TRANSPOSE_CONV", 2), (op, 2)]


def test_one_operation_on_shapes_lifts_no_other() -> None:
    model = rewritten(lifted_add())
    assert ops(model) == [("ADD", 2), ("ADD", 4)]


def test_a_version_that_nothing_needs_is_lowered() -> None:
    model = tiny_int8_dense(version=9)
    lowered = for_edgetpu(model)
    assert ops(lowered.content) == [("FULLY_CONNECTED", 4)]
    assert lowered.changes == ("FULLY_CONNECTED: version 9 lowered to 4 in 1 operation",)
    assert differing(model, lowered.content) == 0


def test_what_needs_nothing_comes_back_byte_for_byte() -> None:
    for model in (tiny_int8_dense(), tiny_int8_dense(version=1), tiny_float_dense()):
        assert for_edgetpu(model).content is model


def test_the_same_model_gives_the_same_bytes() -> None:
    assert for_edgetpu(dense_rows()) == for_edgetpu(dense_rows())


def test_inputs_and_outputs_stay_as_they_were() -> None:
    before, after = read(dense_rows()), read(for_edgetpu(dense_rows()).content)
    assert (before.inputs, before.outputs) == (after.inputs, after.outputs)


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(ModelError):
        for_edgetpu(b"not a model")
