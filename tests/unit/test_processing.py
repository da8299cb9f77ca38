from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from green_edge_agent.runtime.processing import (
    apply_pre,
    dequantize,
    finish,
    prepare,
    prepare_all,
    quantize,
    softmax,
)
from green_edge_wire.errors import ModelError
from green_edge_wire.manifest import Normalise, Pipeline, Resize, Scale, Softmax, TensorSpec, TopK

INT8 = TensorSpec("x", (1, 4), "int8", 0.5, -3)
IDS = TensorSpec("ids", (1, 3), "int32")
IMAGE = TensorSpec("image", (1, 2, 2, 1), "float32")
SCORES = TensorSpec("scores", (1, 4), "int8", 0.25, 0)


def f32(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32)


# --- integer types -----------------------------------------------------------------------------


def test_quantizing_follows_the_worked_numbers() -> None:
    got = quantize(f32(0.0, 0.5, 0.74, -100.0, 1000.0), INT8)
    assert got.dtype == np.int8
    assert got.tolist() == [-3, -2, -2, -128, 127]
    assert quantize(f32(1.0), TensorSpec("x", (1,), "uint8", 1 / 255, 0)).tolist() == [255]


def test_dequantizing_follows_the_worked_numbers() -> None:
    got = dequantize(np.array([-3, 127, -128], np.int8), INT8)
    assert got.dtype == np.float32
    assert got.tolist() == [0.0, 65.0, -62.5]
    assert dequantize(np.array([7], np.int32), IDS).tolist() == [7.0]


def test_a_tensor_without_scale_takes_whole_numbers_as_they_are() -> None:
    assert quantize([1, 2, 3], IDS).tolist() == [1, 2, 3]
    assert quantize(f32(1.0, 2.0, 3.0), IDS).dtype == np.int32
    big = (1 << 62) + 1
    assert quantize([big], TensorSpec("x", (1,), "int64")).tolist() == [big]
    assert quantize([0, 1], TensorSpec("x", (2,), "bool")).tolist() == [False, True]
    for wrong in ([1.5], [1 << 31], [-(1 << 31) - 1], [1e30]):
        with pytest.raises(ModelError, match="'ids' takes whole numbers of type int32"):
            quantize(wrong, IDS)
    with pytest.raises(ModelError, match="type bool, got 0 to 2"):
        quantize([0, 2], TensorSpec("x", (2,), "bool"))


@pytest.mark.parametrize("spec", [INT8, IDS, IMAGE])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_refused(spec: TensorSpec, value: float) -> None:
    with pytest.raises(ModelError, match="NaN"):
        quantize([value], spec)


def test_a_number_beyond_float32_is_refused() -> None:
    with pytest.raises(ModelError, match="beyond float32"):
        quantize([1e300], INT8)
    with pytest.raises(ModelError, match="beyond float32"):
        prepare(Pipeline(pre=(Scale(1e38),)), f32(1e38, 0, 0, 0), INT8)


@pytest.mark.parametrize("raw", [["a"], [[1], [1, 2]], [], [None], np.zeros((0, 4))])
def test_a_sample_that_is_not_numbers_is_refused(raw: Any) -> None:
    with pytest.raises(ModelError, match="a sample"):
        prepare(Pipeline(), raw, INT8)


# --- before the model --------------------------------------------------------------------------


def test_steps_apply_in_their_order() -> None:
    steps = (Scale(1 / 255), Normalise((0.5,), (0.25,)))
    np.testing.assert_allclose(apply_pre(steps, [0, 255]), [-2.0, 2.0], rtol=1e-6)
    assert apply_pre(steps, np.array([0, 255], np.uint8)).dtype == np.float32


def test_normalising_goes_by_the_last_axis() -> None:
    image = np.ones((2, 2, 3))
    got = apply_pre((Normalise((1.0, 0.0, -1.0), (1.0, 2.0, 4.0)),), image)
    np.testing.assert_allclose(got[0, 0], [0.0, 0.5, 0.5])
    with pytest.raises(ModelError, match="2 means and 2 deviations for 3 channels"):
        apply_pre((Normalise((0.0, 0.0), (1.0, 1.0)),), image)


def test_resizing_is_bilinear_with_half_pixel_centres() -> None:
    # As tf.image.resize gives for these inputs.
    up = apply_pre((Resize(1, 4),), [[0.0, 4.0]])
    assert up.tolist() == [[0.0, 1.0, 3.0, 4.0]]
    down = apply_pre((Resize(1, 2),), [[0.0, 1.0, 2.0, 3.0]])
    assert down.tolist() == [[0.5, 2.5]]
    third = apply_pre((Resize(1, 2),), [[0.0, 1.0, 2.0]])
    np.testing.assert_allclose(third, [[0.25, 1.75]])


def test_resizing_to_the_nearest_pixel_makes_no_new_values() -> None:
    up = apply_pre((Resize(1, 4, "nearest"),), [[0.0, 4.0]])
    assert up.tolist() == [[0.0, 0.0, 4.0, 4.0]]
    down = apply_pre((Resize(1, 2, "nearest"),), [[0.0, 1.0, 2.0, 3.0]])
    assert down.tolist() == [[1.0, 3.0]]


def test_resizing_keeps_the_channels_apart_and_works_in_both_directions() -> None:
    image = np.stack([np.full((4, 6), 1.0), np.full((4, 6), 2.0)], axis=-1)
    got = apply_pre((Resize(3, 9),), image)
    assert got.shape == (3, 9, 2)
    assert got[..., 0].tolist() == np.full((3, 9), 1.0).tolist()
    assert got[..., 1].tolist() == np.full((3, 9), 2.0).tolist()
    ramp = np.repeat(np.arange(4.0)[:, None], 4, axis=1)
    np.testing.assert_allclose(apply_pre((Resize(2, 4),), ramp)[:, 0], [0.5, 2.5])


def test_only_an_image_can_be_resized() -> None:
    with pytest.raises(ModelError, match="resize takes an image"):
        apply_pre((Resize(2, 2),), [1.0, 2.0])


def test_a_sample_may_come_with_or_without_batch_and_channel_axis_or_flat() -> None:
    wanted = prepare(Pipeline(), np.arange(4).reshape(1, 2, 2, 1), IMAGE)
    assert wanted.shape == (1, 2, 2, 1)
    for raw in (np.arange(4).reshape(2, 2), np.arange(4).reshape(2, 2, 1), [0, 1, 2, 3]):
        np.testing.assert_array_equal(prepare(Pipeline(), raw, IMAGE), wanted)


def test_an_image_of_any_size_is_prepared_where_the_pipeline_resizes() -> None:
    pipeline = Pipeline(pre=(Resize(2, 2), Scale(0.5)))
    for shape in ((4, 4), (4, 4, 1), (1, 4, 4, 1)):
        got = prepare(pipeline, np.full(shape, 8, np.uint8), IMAGE)
        assert got.tolist() == np.full((1, 2, 2, 1), 4.0).tolist()
    with pytest.raises(ModelError, match="resize takes an image"):
        prepare(pipeline, np.arange(16), IMAGE)


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 2, 3), (2, 4)])
def test_a_sample_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match=r"'image' takes shape \(2, 2, 1\), got"):
        prepare(Pipeline(), np.zeros(shape), IMAGE)


def test_a_resized_image_that_misses_the_input_is_refused() -> None:
    with pytest.raises(ModelError, match="takes shape"):
        prepare(Pipeline(pre=(Resize(3, 3),)), np.zeros((4, 4)), IMAGE)


def test_pre_processing_applies_to_the_first_input_alone() -> None:
    pipeline = Pipeline(pre=(Scale(2.0),))
    first, second = prepare_all(pipeline, [[1, 2, 3, 4], [1, 2, 3]], (INT8, IDS))
    assert first.tolist() == [[1, 5, 9, 13]]
    assert second.tolist() == [[1, 2, 3]]
    with pytest.raises(ModelError, match="takes 2 inputs, got 1"):
        prepare_all(pipeline, [[1, 2, 3, 4]], (INT8, IDS))


# --- after the model ---------------------------------------------------------------------------


def test_an_answer_has_labels_and_scores_best_first() -> None:
    q = np.array([[0, 8, 8, 4]], np.int8)
    answer = finish(Pipeline(post=(Softmax(), TopK(3))), (q,), (SCORES,), ("a", "b", "c", "d"))
    assert answer.labels == ("b", "c", "d")
    assert answer.outputs[0].shape == (4,)
    assert sum(answer.outputs[0].tolist()) == pytest.approx(1)
    assert answer.scores == tuple(answer.outputs[0][[1, 2, 3]].tolist())


def test_without_labels_classes_go_by_number_and_without_steps_there_are_none() -> None:
    q = np.array([[0, 8, 9, 4]], np.int8)
    assert finish(Pipeline(post=(TopK(9),)), (q,), (SCORES,)).labels == ("2", "1", "3", "0")
    plain = finish(Pipeline(), (q,), (SCORES,), ("a",))
    assert (plain.labels, plain.scores) == ((), ())
    assert plain.outputs[0].tolist() == [0.0, 2.0, 2.25, 1.0]


def test_labels_and_steps_that_do_not_fit_the_output_are_refused() -> None:
    q = np.zeros((1, 4), np.int8)
    with pytest.raises(ModelError, match="3 labels for an output of 4 classes"):
        finish(Pipeline(post=(TopK(1),)), (q,), (SCORES,), ("a", "b", "c"))
    grid = TensorSpec("y", (1, 2, 2), "int8", 1.0, 0)
    with pytest.raises(ModelError, match="one score a class"):
        finish(Pipeline(post=(TopK(1),)), (q.reshape(1, 2, 2),), (grid,))


def test_an_output_that_is_not_finite_is_an_error() -> None:
    spec = TensorSpec("y", (1, 2), "float32")
    with pytest.raises(ModelError, match="output 'y' holds NaN"):
        finish(Pipeline(), (np.array([[np.nan, 1]], np.float32),), (spec,))


def test_softmax_does_not_overflow() -> None:
    np.testing.assert_allclose(softmax([1000.0, 1000.0]), [0.5, 0.5])
    np.testing.assert_allclose(softmax([-1e30, 0.0]), [0.0, 1.0])
