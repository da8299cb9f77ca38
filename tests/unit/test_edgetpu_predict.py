import pytest

from green_edge.targets.edgetpu.predict import Placement, predict
from green_edge.tflite.model import Options
from support.op_graphs import OpGraph

_CHANNELS = 16


def _of(graph: OpGraph, *, multiple_subgraphs: bool = False) -> list[str]:
    placements = predict(graph.model(), multiple_subgraphs=multiple_subgraphs)
    return [place.placement for place in placements]


def _last(graph: OpGraph) -> Placement:
    return predict(graph.model())[-1]


def _one(name: str, before: tuple[int, ...], after: tuple[int, ...], **more: object) -> Placement:
    """Placement of a single operation; `values` are those of a small constant as second operand."""
    graph = OpGraph()
    inputs = [graph.feed(*before)]
    values = more.pop("values", None)
    if values is not None:
        inputs.append(graph.constant(values=values))  # type: ignore[arg-type]
    graph.op(name, inputs, *after, **more)  # type: ignore[arg-type]
    return _last(graph)


# --- the graph ---------------------------------------------------------------------------------


def test_a_plain_int8_network_maps_wholly_and_that_is_proven() -> None:
    graph = OpGraph()
    first = graph.conv(graph.feed(1, 32, 32, 3), _CHANNELS)
    second = graph.conv(first, _CHANNELS)
    graph.op("ADD", [first, second], 1, 32, 32, _CHANNELS, version=2)
    placements = predict(graph.model())
    assert {place.placement for place in placements} == {"tpu"}
    assert {place.status for place in placements} == {"Mapped to Edge TPU"}
    assert {place.confidence for place in placements} == {"proven"}
    assert [(place.index, place.op, place.version) for place in placements] == [
        (0, "CONV_2D", 3), (1, "CONV_2D", 3), (2, "ADD", 2),
    ]  # fmt: skip


def test_float_input_and_output_cost_two_operations_and_nothing_behind_them() -> None:
    graph = OpGraph()
    image = graph.feed(1, 8, 8, 3, dtype="float32")
    quantized = graph.op("QUANTIZE", [image], 1, 8, 8, 3)
    graph.op("DEQUANTIZE", [graph.conv(quantized, 4)], 1, 8, 8, 4, dtype="float32", version=2)
    quantize, conv, dequantize = predict(graph.model())
    assert quantize.status.startswith("Operation is otherwise supported")
    assert conv.placement == "tpu"
    assert dequantize.status == "Operation is working on an unsupported data type"


def test_what_lies_behind_an_operation_that_left_the_chip_is_left_too() -> None:
    graph = OpGraph()
    first = graph.conv(graph.feed(1, 8, 8, 4), 4)
    left = graph.op("LEAKY_RELU", [first], 1, 8, 8, 4, version=2)
    graph.conv(left, 4)
    placements = predict(graph.model())
    assert [place.placement for place in placements] == ["tpu", "cpu", "cpu"]
    assert placements[1].status == "Operation not supported"
    assert placements[2].status == "More than one subgraph is not supported"
    assert _of(graph, multiple_subgraphs=True) == ["tpu", "cpu", "tpu"]


def test_a_branch_beside_the_failure_stays_mapped() -> None:
    graph = OpGraph()
    first = graph.conv(graph.feed(1, 8, 8, 4), 4)
    graph.op("LEAKY_RELU", [first], 1, 8, 8, 4)
    beside = graph.conv(first, 4)
    graph.conv(beside, 4)
    assert _of(graph) == ["tpu", "cpu", "tpu", "tpu"]


def test_one_spoiled_operand_of_two_is_enough() -> None:
    graph = OpGraph()
    first = graph.conv(graph.feed(1, 8, 8, 4), 4)
    left = graph.op("LEAKY_RELU", [first], 1, 8, 8, 4)
    graph.op("ADD", [first, left], 1, 8, 8, 4, version=2)
    assert _of(graph) == ["tpu", "cpu", "cpu"]


def test_an_operation_without_data_is_unknown_and_so_is_what_depends_on_it() -> None:
    graph = OpGraph()
    first = graph.conv(graph.feed(1, 8, 8, 4), 4)
    strange = graph.op("ELU", [first], 1, 8, 8, 4)
    graph.conv(strange, 4)
    graph.op("LEAKY_RELU", [strange], 1, 8, 8, 4)
    placements = predict(graph.model())
    assert [place.placement for place in placements] == ["tpu", "unknown", "unknown", "cpu"]
    assert "ELU is in no log" in placements[1].reason
    assert "behind an operation not known" in placements[2].reason


def test_before_anything_mapped_an_unknown_operation_spoils_nothing_for_certain() -> None:
    graph = OpGraph()
    graph.conv(graph.op("ELU", [graph.feed(1, 8, 8, 4)], 1, 8, 8, 4), 4)
    # If ELU stays on the CPU nothing of the chip lies before it, and if not nothing leaves it.
    assert _of(graph) == ["unknown", "tpu"]


def test_behind_a_certain_failure_even_the_unknown_is_certain() -> None:
    graph = OpGraph()
    first = graph.conv(graph.feed(1, 8, 8, 4), 4)
    left = graph.op("LEAKY_RELU", [first], 1, 8, 8, 4)
    graph.op("ELU", [left], 1, 8, 8, 4)
    assert _of(graph) == ["tpu", "cpu", "cpu"]


# --- one operation -----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "int16", "int32", "int64"])
def test_whatever_is_not_of_8_bits_stays_on_the_cpu_known_or_not(dtype: str) -> None:
    for name in ("ADD", "ELU", "CAST"):
        graph = OpGraph()
        data = graph.feed(1, 4, dtype=dtype)
        graph.op(name, [data], 1, 4, dtype=dtype)
        assert _last(graph).placement == "cpu"
        assert _last(graph).status == "Operation is working on an unsupported data type"


def test_only_the_last_three_axes_may_be_longer_than_1() -> None:
    assert _one("TANH", (1, 2, 3, 4, 5), (1, 2, 3, 4, 5)).status.startswith("Tensor has unsupp")
    assert _one("TANH", (2, 8, 8, 4), (2, 8, 8, 4)).placement == "cpu"
    assert _one("TANH", (1, 1, 3, 4, 5), (1, 1, 3, 4, 5)).placement == "tpu"


def test_versions_seen_refused_are_proven_and_those_never_seen_a_guess() -> None:
    for version, confidence in ((2, "proven"), (3, "guess"), (4, "proven")):
        graph = OpGraph()
        data = graph.feed(1, 8, 8, 4)
        graph.op("ADD", [data, data], 1, 8, 8, 4, version=version)
        place = _last(graph)
        assert place.confidence == confidence
        assert place.status == (
            "Mapped to Edge TPU" if version == 2 else "Operation version not supported"
        )


def test_a_custom_operation_is_named_and_left_to_the_cpu() -> None:
    graph = OpGraph()
    graph.op("CUSTOM", [graph.feed(1, 4)], 1, 4, custom="TFLite_Detection_PostProcess")
    place = _last(graph)
    assert (place.placement, place.custom_code) == ("cpu", "TFLite_Detection_PostProcess")


@pytest.mark.parametrize(
    ("size", "expected"), [(24, "tpu"), (26, "unknown"), (28, "cpu"), (80, "cpu")]
)
def test_a_transpose_of_the_channels_is_judged_by_its_size(size: int, expected: str) -> None:
    place = _one(
        "TRANSPOSE", (1, size, size, 144), (1, 144, size, size), values=(0, 3, 1, 2), version=2
    )
    assert place.placement == expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ((1, 144, 24, 24), (1, 144, 576), "tpu"),
        ((1, 144, 30, 30), (1, 144, 900), "unknown"),
        ((1, 144, 40, 40), (1, 144, 1600), "cpu"),
        ((1, 59, 40, 40), (1, 94_400), "tpu"),
        ((1, 200, 40, 40), (1, 320_000), "unknown"),
        # The heads of detectors split their channels, at any size.
        ((1, 40, 40, 810), (1, 14_400, 90), "tpu"),
    ],
)
def test_a_reshape_that_joins_axes_into_the_innermost_is_judged_by_its_size(
    before: tuple[int, ...], after: tuple[int, ...], expected: str
) -> None:
    assert _one("RESHAPE", before, after).placement == expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [(33, 33, "tpu"), (33, 66, "tpu"), (33, 129, "unknown"), (33, 513, "cpu"), (1, 33, "cpu"),
     (66, 33, "unknown")],
)  # fmt: skip
def test_bilinear_resizing_is_judged_by_how_far_it_enlarges(
    before: int, after: int, expected: str
) -> None:
    place = _one("RESIZE_BILINEAR", (1, before, before, 8), (1, after, after, 8), version=3)
    assert place.placement == expected


@pytest.mark.parametrize(("columns", "expected"), [(756, "tpu"), (1029, "unknown"), (2100, "cpu")])
def test_joining_columns_is_judged_by_its_size(columns: int, expected: str) -> None:
    graph = OpGraph()
    parts = [graph.feed(1, 144, columns - 49), graph.feed(1, 144, 49)]
    graph.op("CONCATENATION", parts, 1, 144, columns, version=2, options=Options(axis=2))
    assert _last(graph).placement == expected


def test_a_constant_may_be_joined_only_as_zeros_and_one_of_two() -> None:
    for count, all_zero, expected in ((1, True, "tpu"), (1, False, "cpu"), (2, True, "cpu")):
        graph = OpGraph()
        data = [graph.feed(1, 8, 8, 4) for _ in range(count)]
        maps = graph.constant(1, 8, 8, 2, all_zero=all_zero)
        options = Options(axis=3, fused_activation="NONE")
        graph.op("CONCATENATION", [*data, maps], 1, 8, 8, 4 * count + 2, options=options)
        assert _last(graph).placement == expected


@pytest.mark.parametrize(
    ("shape", "axes", "expected"),
    [
        ((1, 7, 7, 1280), (1, 2), "tpu"),
        ((1, 64, 128, 3), (1, 2), "tpu"),
        ((1, 128, 128, 3), (1, 2), "unknown"),
        ((1, 256, 128, 3), (1, 2), "cpu"),
        ((1, 8, 8, 6), (3,), "cpu"),
        ((1, 8, 8, 8), (-1,), "tpu"),
        ((1, 8, 8, 8), (0, 1), "cpu"),
    ],
)
def test_a_mean_is_judged_by_axes_depth_and_positions(
    shape: tuple[int, ...], axes: tuple[int, ...], expected: str
) -> None:
    assert _one("MEAN", shape, (1, 1), values=axes, version=2).placement == expected


def test_unequal_dilation_matters_only_where_the_window_has_both_sizes() -> None:
    for window, expected in ((3, "cpu"), (1, "tpu")):
        graph = OpGraph()
        graph.conv(graph.feed(1, 8, 8, 4), 4, window=window, dilation=(2, 1))
        assert _of(graph) == [expected]


def test_weights_that_are_computed_grouped_filters_and_rows_are_unknown() -> None:
    computed = OpGraph()
    data, weights = computed.feed(1, 8, 8, 4), computed.feed(1, 3, 3, 4)
    computed.op("CONV_2D", [data, weights], 1, 8, 8, 1, version=3)
    grouped = OpGraph()
    grouped.op("CONV_2D", [grouped.feed(1, 8, 8, 8), grouped.constant(8, 3, 3, 4)], 1, 8, 8, 8)
    rows = OpGraph()
    rows.op("FULLY_CONNECTED", [rows.feed(49, 96), rows.constant(4, 96)], 49, 4, version=4)
    for graph in (computed, grouped, rows):
        assert _of(graph) == ["unknown"]


@pytest.mark.parametrize(
    ("op", "shape", "after", "constant", "expected"),
    [
        ("PAD", (1, 8, 8, 4), (1, 9, 9, 8), (0, 0, 0, 1, 0, 1, 0, 4), "tpu"),
        ("PAD", (1, 8, 8, 4), (2, 8, 8, 4), (0, 1, 0, 0, 0, 0, 0, 0), "cpu"),
        ("SUM", (1, 8, 8, 4), (1, 4), (1, 2), "tpu"),
        ("REDUCE_MAX", (1, 8, 8, 6), (1, 8, 8), (3,), "cpu"),
    ],
)
def test_batches_are_not_touched(
    op: str,
    shape: tuple[int, ...],
    after: tuple[int, ...],
    constant: tuple[int, ...],
    expected: str,
) -> None:
    assert _one(op, shape, after, values=constant, version=2).placement == expected


def test_slices_take_every_value_without_new_axes() -> None:
    for strides, options, expected in (
        ((1, 1, 1, 1), None, "tpu"),
        ((1, 2, 2, 1), None, "cpu"),
        ((1, 1, 1, 1), Options(ellipsis_mask=1), "cpu"),
        ((1, 1, 1, 1), Options(shrink_axis_mask=2), "tpu"),
    ):
        graph = OpGraph()
        inputs = [graph.feed(1, 8, 8, 4), graph.constant(values=(0, 0, 0, 0))]
        inputs += [graph.constant(values=(1, 8, 8, 2)), graph.constant(values=strides)]
        graph.op("STRIDED_SLICE", inputs, 1, 8, 8, 2, version=2, options=options)
        assert _of(graph) == [expected]


def test_a_split_of_channels_maps_and_one_of_the_outer_axis_of_three_does_not() -> None:
    for shape, axis, expected in (((1, 6, 6, 8), 3, "tpu"), ((1, 4, 756), 1, "cpu")):
        graph = OpGraph()
        inputs = [graph.constant(values=(axis,)), graph.feed(*shape)]
        graph.op("SPLIT", inputs, *shape, version=2, outputs=2)
        assert _of(graph) == [expected]


def test_slopes_of_a_prelu_are_shared_over_height_and_width() -> None:
    for alpha, expected in (((1, 1, 16), "tpu"), ((8, 8, 16), "cpu")):
        graph = OpGraph()
        graph.op("PRELU", [graph.feed(1, 8, 8, 16), graph.constant(*alpha)], 1, 8, 8, 16)
        assert _of(graph) == [expected]


def test_pooling_with_a_fused_activation_stays_on_the_cpu() -> None:
    for fused, expected in (("NONE", "tpu"), ("RELU6", "cpu")):
        options = Options(fused_activation=fused)
        place = _one("MAX_POOL_2D", (1, 8, 8, 4), (1, 4, 4, 4), version=2, options=options)
        assert place.placement == expected


@pytest.mark.parametrize(
    ("op", "before", "after", "version"),
    [
        ("LOGISTIC", (1, 8400, 80), (1, 8400, 80), 2),
        ("LOGISTIC", (1, 2048, 2048, 10), (1, 2048, 2048, 10), 2),
        ("RESHAPE", (1, 640, 640, 32), (1, 409_600, 32), 1),
        ("SOFTMAX", (1, 8400, 16_384), (1, 8400, 16_384), 2),
        ("ADD", (1, 1024, 1024, 64), (1, 1024, 1024, 64), 2),
    ],
)
def test_a_size_beyond_all_that_was_seen_mapped_is_proven_by_nothing(
    op: str, before: tuple[int, ...], after: tuple[int, ...], version: int
) -> None:
    place = _one(op, before, after, version=version)
    assert place.confidence == "guess"
    assert "seen mapped" in place.reason


def test_joining_large_tensors_is_proven_along_no_axis() -> None:
    for part, whole, axis in (
        ((1, 1024, 1024, 32), (1, 1024, 1024, 64), 3),
        ((1, 8400, 144), (1, 16_800, 144), 1),
    ):
        graph = OpGraph()
        options = Options(axis=axis, fused_activation="NONE")
        parts = [graph.feed(*part), graph.feed(*part)]
        graph.op("CONCATENATION", parts, *whole, version=2, options=options)
        assert _last(graph).confidence == "guess"


@pytest.mark.parametrize(
    ("window", "placement", "confidence"),
    [(33, "tpu", "proven"), (64, "tpu", "guess"), (513, "unknown", "guess")],
)
def test_a_pooling_is_judged_by_its_window(window: int, placement: str, confidence: str) -> None:
    options = Options(fused_activation="NONE", window=(window, window))
    before, after = (1, window, window, 1), (1, 1, 1, 1)
    place = _one("AVERAGE_POOL_2D", before, after, version=2, options=options)
    assert (place.placement, place.confidence) == (placement, confidence)


def test_a_window_of_weights_beyond_all_seen_is_a_guess() -> None:
    graph = OpGraph()
    graph.conv(graph.feed(1, 64, 64, 3), 4, window=64)
    assert _last(graph).confidence == "guess"


def test_two_types_of_8_bits_are_unknown_but_where_one_is_turned_into_the_other() -> None:
    mixed = OpGraph()
    mixed.op("ADD", [mixed.feed(1, 8), mixed.feed(1, 8, dtype="uint8")], 1, 8, version=2)
    weights = OpGraph()
    data, bias = weights.feed(1, 8), weights.constant(8, dtype="int32")
    of_uint8 = weights.constant(8, 8, dtype="uint8")
    weights.op("FULLY_CONNECTED", [data, of_uint8, bias], 1, 8, version=4)
    unscaled = OpGraph()
    data, bare = unscaled.feed(1, 8), unscaled.constant(8, 8, channels=0)
    unscaled.op("FULLY_CONNECTED", [data, bare, -1], 1, 8, version=4)
    for graph in (mixed, weights, unscaled):
        assert _of(graph) == ["unknown"]
    whole = OpGraph()
    data, of_uint8 = whole.feed(1, 8, dtype="uint8"), whole.constant(8, 8, dtype="uint8")
    whole.op("FULLY_CONNECTED", [data, of_uint8, -1], 1, 8, dtype="uint8")
    requantized = OpGraph()
    requantized.op("QUANTIZE", [requantized.feed(1, 8, dtype="uint8")], 1, 8)
    for graph in (whole, requantized):
        assert _of(graph) == ["tpu"]


def test_weights_that_come_out_of_an_operation_are_no_activation() -> None:
    graph = OpGraph()
    half = graph.constant(4, 3, 3, 4, dtype="float16", channels=0)
    weights = graph.op("DEQUANTIZE", [half], 4, 3, 3, 4, dtype="float32")
    image = graph.feed(1, 8, 8, 4, dtype="float32")
    graph.op("CONV_2D", [image, weights], 1, 8, 8, 4, dtype="float32")
    assert _last(graph).status == "Operation is working on an unsupported data type"
