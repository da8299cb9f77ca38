from collections.abc import Sequence

import pytest

from green_edge.tflite.model import Op, Options, Tensor
from green_edge.tflite.versions import lowest_version

INT8, SMALL = (1, 4, 4, 8), Options()


def lowest(
    op: str,
    inputs: Sequence[tuple[str, Sequence[int]] | None],
    output: tuple[str, Sequence[int]] = ("int8", INT8),
    options: Options = SMALL,
    *,
    scales: Sequence[float] = (),
    channels: int = 1,
) -> int | None:
    """Lowest version of an operation; None among `inputs` is an optional one left out."""
    ends = [end for end in (*inputs, output) if end is not None]
    tensors = [
        Tensor(
            index=i,
            name=f"t{i}",
            shape=tuple(shape),
            dtype=dtype,
            scale=scales[i] if scales else 0.1,
            channels=channels,
        )
        for i, (dtype, shape) in enumerate(ends)
    ]
    numbers = iter(range(len(ends)))
    indices = tuple(-1 if end is None else next(numbers) for end in inputs)
    made = Op(
        0, op, 9, indices, (next(numbers),), macs=0, params=0, weight_bytes=0, options=options
    )
    return lowest_version(made, tensors)


X, U, F, AXES = ("int8", INT8), ("uint8", INT8), ("float32", INT8), ("int32", (2,))
W, B = ("int8", (8, 3, 3, 8)), ("int32", (8,))


def test_the_type_alone_decides_for_most() -> None:
    for op in ("ADD", "CONCATENATION", "SOFTMAX", "LOGISTIC", "MAX_POOL_2D", "MEAN", "PAD"):
        assert lowest(op, [X, X]) == 2
        assert lowest(op, [U, U]) == 1
    assert lowest("RESHAPE", [X, AXES]) == 1
    assert lowest("SPLIT", [AXES, X]) == 2
    assert lowest("RELU", [U]) == 2


def test_what_is_not_of_8_bits_or_not_known_has_no_rule() -> None:
    assert lowest("ADD", [F, F]) is None
    assert lowest("ADD", [("int64", (2,)), ("int64", (2,))]) is None
    assert lowest("CONV_2D", [F, W, B]) is None
    assert lowest("CONV_2D", [X, ("int4", (8, 3, 3, 8)), B]) is None
    assert lowest("EMBEDDING_LOOKUP", [X, X]) is None


def test_a_convolution_goes_by_type_and_groups() -> None:
    assert lowest("CONV_2D", [X, W, B]) == 3
    assert lowest("CONV_2D", [U, ("uint8", (8, 3, 3, 8)), B]) == 1
    assert lowest("CONV_2D", [X, ("int8", (8, 3, 3, 4)), B]) == 6
    wide = Options(dilation=(2, 2))
    depthwise = ("uint8", (1, 3, 3, 8))
    assert lowest("DEPTHWISE_CONV_2D", [X, W, B], options=wide) == 3
    assert lowest("DEPTHWISE_CONV_2D", [U, depthwise, B], options=wide) == 2
    assert lowest("DEPTHWISE_CONV_2D", [U, depthwise, B]) == 1


@pytest.mark.parametrize(
    ("inputs", "options", "version"),
    [
        ([X, W, B], SMALL, 4),
        ([X, W, None], SMALL, 4),
        ([X, W, B], Options(keep_num_dims=True), 5),
        ([X, W], SMALL, 6),
        ([U, ("uint8", (8, 8)), B], SMALL, 1),
    ],
)
def test_a_dense_layer_goes_by_its_features(
    inputs: list[tuple[str, tuple[int, ...]] | None], options: Options, version: int
) -> None:
    assert lowest("FULLY_CONNECTED", inputs, options=options) == version


def test_a_transposed_convolution_goes_by_bias_and_activation() -> None:
    assert lowest("TRANSPOSE_CONV", [AXES, W, X]) == 2
    assert lowest("TRANSPOSE_CONV", [AXES, W, X, B]) == 3
    fused = Options(fused_activation="RELU")
    assert lowest("TRANSPOSE_CONV", [AXES, W, X, B], options=fused) == 4


def test_resizing_goes_by_where_pixels_are() -> None:
    half, corners = Options(half_pixel_centers=True), Options(align_corners=True)
    assert lowest("RESIZE_BILINEAR", [X, AXES]) == 2
    assert lowest("RESIZE_BILINEAR", [X, AXES], options=half) == 3
    assert lowest("RESIZE_BILINEAR", [X, AXES], options=corners) == 2
    assert lowest("RESIZE_NEAREST_NEIGHBOR", [X, AXES], options=corners) == 3


def test_many_axes_need_more() -> None:
    five, six, row = ("int8", (1,) * 5), ("int8", (1,) * 6), ("int8", (3, 1, 1, 1, 1))
    assert lowest("TRANSPOSE", [five, AXES]) == 4
    assert lowest("TRANSPOSE", [six, AXES]) == 6
    assert lowest("SLICE", [five, AXES, AXES]) == 5
    assert lowest("STRIDED_SLICE", [five, AXES, AXES, AXES]) == 4
    assert lowest("STRIDED_SLICE", [X, AXES, AXES, AXES], options=Options(new_axis_mask=1)) == 6
    assert lowest("SUB", [five, row]) == 3
    assert lowest("SUB", [five, five]) == 2
    assert lowest("SPACE_TO_BATCH_ND", [five, AXES, AXES]) == 3


def test_a_product_that_scales_up_needs_more() -> None:
    assert lowest("MUL", [X, X], scales=(0.5, 0.5, 0.2)) == 3
    assert lowest("MUL", [X, X], scales=(0.5, 0.5, 0.3)) == 2


def test_quantizing_goes_by_its_output() -> None:
    assert lowest("QUANTIZE", [F]) == 1
    assert lowest("QUANTIZE", [X], channels=8) == 3
    assert lowest("QUANTIZE", [X], ("int16", INT8)) is None
    assert lowest("DEQUANTIZE", [X], F) == 2
    assert lowest("DEQUANTIZE", [X], F, channels=8) == 5
