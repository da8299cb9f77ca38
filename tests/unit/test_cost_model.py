import time
from dataclasses import replace
from itertools import pairwise

import pytest

from green_edge.targets.cost.kernels import kernels_of
from green_edge.targets.cost.model import CostModel, cost_model
from green_edge.targets.cost.shape import OpShape, shapes_of
from green_edge.targets.cost.steps import channel_multiple
from support.op_graphs import OpGraph

CORES = ("cortex-a53", "cortex-a72", "cortex-a76")
RUNTIMES = (("ai-edge-litert", "2.3.0"), ("tflite-runtime", "2.14.0"))


def model_of(core: str, runtime: int = 0) -> CostModel:
    found = cost_model(*RUNTIMES[runtime], core, "aarch64")
    assert found is not None
    return found


def conv(
    out: int, *, depth: int = 32, side: int = 8, window: int = 3, dtype: str = "int8"
) -> OpShape:
    return OpShape(
        op="CONV_2D",
        dtype=dtype,
        data=(1, side, side, depth),
        output=(1, side, side, out),
        weights=(out, window, window, depth),
        weights_dtype=dtype,
        window=(window, window),
    )


def cost(model: CostModel, *shapes: OpShape) -> float:
    return model.predict(shapes).instructions


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("runtime", [0, 1])
def test_every_64_bit_setting_has_a_model_whose_stated_error_meets_the_promise(
    core: str, runtime: int
) -> None:
    error = model_of(core, runtime).error

    assert error.n >= 100
    assert error.median_ratio < 0.05
    assert error.p95_ratio < 0.15
    assert error.pairs_right_ratio >= 0.95


def test_the_32_bit_runtime_has_one_model_for_all_cores() -> None:
    found = [cost_model("tflite-runtime", "2.14.0", core, "armv7l") for core in CORES]

    assert all(each is not None for each in found)
    models = [each for each in found if each is not None]
    assert [each.core for each in models] == list(CORES)
    assert len({cost(each, conv(24)) for each in models}) == 1
    assert models[0].error.p95_ratio < 0.15
    assert models[0].error.pairs_right_ratio >= 0.95


def test_an_error_is_that_of_the_kind_of_numbers() -> None:
    model = model_of("cortex-a72", runtime=1)
    hybrid = replace(conv(8, dtype="float32"), weights_dtype="int8")

    assert model.error_for([conv(8)]) == model.error
    assert model.error_for([conv(8), hybrid]) == model.hybrid_error


def test_an_operation_without_a_rule_widens_the_error_by_its_share() -> None:
    model = model_of("cortex-a72")
    strange = OpShape("RFFT2D", "float32", (1, 64), (1, 33))

    little = model.error_for([conv(64, side=32), strange]).p95_ratio
    much = model.error_for([strange] * 100).p95_ratio

    assert model.error.p95_ratio < little < 1.2 * model.error.p95_ratio
    assert much > 0.5 * model.unknown_error.p95_ratio
    assert model.unknown_error.p95_ratio > 1


def test_a_float_model_of_an_unknown_batch_costs_more_where_the_runtime_leaves_xnnpack() -> None:
    fixed = conv(32, side=16, dtype="float32")
    unknown = replace(fixed, static=False)
    old, new = model_of("cortex-a72", runtime=1), model_of("cortex-a72")

    assert cost(old, unknown) > 1.2 * cost(old, fixed)
    assert cost(new, unknown) == pytest.approx(cost(new, fixed), rel=0.1)
    assert old.error_for([unknown]).p95_ratio >= old.unknown_batch_error.p95_ratio


def test_a_function_of_one_tensor_is_one_table_in_int8() -> None:
    graph = OpGraph()
    data = graph.feed(1, 16, 16, 32)
    gate = graph.op("LOGISTIC", [data], 1, 16, 16, 32)
    graph.op("MUL", [data, gate], 1, 16, 16, 32)

    first, second = shapes_of(graph.model())

    assert (first.chain, second.chain) == ("part", "end")
    model = model_of("cortex-a76")
    apart = [replace(first, chain=""), replace(second, chain="")]
    assert cost(model, first, second) < 0.6 * cost(model, *apart)


def test_a_value_that_is_used_elsewhere_ends_a_chain() -> None:
    graph = OpGraph()
    data = graph.feed(1, 16, 16, 32)
    gate = graph.op("LOGISTIC", [data], 1, 16, 16, 32)
    graph.op("MUL", [graph.feed(1, 16, 16, 32), gate], 1, 16, 16, 32)

    assert [shape.chain for shape in shapes_of(graph.model())] == ["", ""]


def test_a_clamp_is_free_after_a_float_convolution() -> None:
    model = model_of("cortex-a72")
    image = (1, 16, 16, 32)
    clamp = OpShape("RELU6", "float32", image, image, after="CONV_2D")

    assert cost(model, clamp) < 1.1 * model.per_inference
    assert cost(model, clamp) < cost(model, replace(clamp, after="ADD"))


def test_a_setting_without_a_fit_has_no_model() -> None:
    assert cost_model("ai-edge-litert", "2.3.0", "cortex-m4", "armv7em") is None
    assert cost_model("ai-edge-litert", "1.0.0", "cortex-a72", "aarch64") is None


def test_28_channels_cost_what_32_do_on_the_a72() -> None:
    model = model_of("cortex-a72")

    assert cost(model, conv(28)) == pytest.approx(cost(model, conv(32)), rel=0.03)
    assert cost(model, conv(24)) < 0.85 * cost(model, conv(32))


def test_the_a76_steps_by_16_channels_in_int8() -> None:
    model = model_of("cortex-a76")

    assert cost(model, conv(24)) == pytest.approx(cost(model, conv(32)), rel=0.03)
    assert cost(model, conv(16)) < 0.65 * cost(model, conv(24))


def test_rounding_up_is_free_to_the_multiple_of_the_kernels() -> None:
    assert channel_multiple(model_of("cortex-a72"), "int8") == 8
    assert channel_multiple(model_of("cortex-a76"), "int8") == 16
    assert channel_multiple(model_of("cortex-a72"), "float32") == 8
    assert channel_multiple(model_of("cortex-a72", runtime=1), "int8") == 4


def test_int8_pays_on_the_a76_and_hardly_on_the_a72() -> None:
    layers = [conv(32, side=16), conv(32, side=16)]
    floats = [conv(32, side=16, dtype="float32"), conv(32, side=16, dtype="float32")]

    assert cost(model_of("cortex-a76"), *floats) > 2 * cost(model_of("cortex-a76"), *layers)
    assert cost(model_of("cortex-a72"), *floats) < 1.4 * cost(model_of("cortex-a72"), *layers)


@pytest.mark.parametrize("core", CORES)
def test_more_work_never_costs_less(core: str) -> None:
    model = model_of(core)

    for smaller, larger in pairwise(conv(out) for out in (16, 32, 48, 64, 96, 128)):
        assert cost(model, smaller) < cost(model, larger)
    for smaller, larger in pairwise(conv(16, side=side) for side in (1, 2, 4, 8, 16, 32)):
        assert cost(model, smaller) < cost(model, larger)


def test_a_cost_is_the_sum_of_its_operations_and_of_the_call() -> None:
    model = model_of("cortex-a72")

    found = model.predict([conv(8), conv(16), conv(8)])

    total = sum(each.instructions for each in found.per_op) + model.per_inference
    assert found.instructions == pytest.approx(total)
    assert [each.index for each in found.per_op] == [0, 1, 2]
    assert found.per_op[0] == replace(found.per_op[2], index=0)
    assert found.per_op[1].bytes == 8 * 8 * 32 + 16 * 3 * 3 * 32 + 8 * 8 * 16
    assert found.bytes == sum(each.bytes for each in found.per_op)


def test_an_operation_without_a_rule_is_named_and_costs_by_what_it_moves() -> None:
    model = model_of("cortex-a72")
    small = OpShape("RFFT2D", "float32", (1, 64), (1, 33))
    large = replace(small, data=(1, 6400), output=(1, 3201))

    found = model.predict([small, large, conv(8)])

    assert found.unknown == ("RFFT2D",)
    assert 0 < found.per_op[0].instructions < found.per_op[1].instructions


def test_shapes_come_from_a_model_in_its_order() -> None:
    graph = OpGraph()
    data = graph.feed(1, 8, 8, 16)
    padded = graph.op(
        "PAD", [data, graph.constant(4, 2, values=(0, 0, 1, 1, 1, 1, 0, 0))], 1, 10, 10, 16
    )
    made = graph.conv(padded, 24)
    graph.op("ADD", [made, made], 1, 10, 10, 24)

    pad, product, add = shapes_of(graph.model())

    assert (pad.op, product.op, add.op) == ("PAD", "CONV_2D", "ADD")
    assert pad.into == "CONV_2D"
    assert product == replace(conv(24, depth=16), data=(1, 10, 10, 16), output=(1, 10, 10, 24))
    assert add.operands == 2
    assert add.weights == add.data


def test_a_padding_that_two_operations_read_is_not_given_to_a_convolution() -> None:
    graph = OpGraph()
    data = graph.feed(1, 8, 8, 16)
    padded = graph.op(
        "PAD", [data, graph.constant(4, 2, values=(0, 0, 1, 1, 1, 1, 0, 0))], 1, 10, 10, 16
    )
    graph.conv(padded, 24)
    graph.conv(padded, 8)

    assert shapes_of(graph.model())[0].into == ""


@pytest.mark.parametrize(
    ("channels", "thin"),
    [(7, True), (8, False), (20, True), (15, False), (500, False), (24, False)],
)
def test_float_products_of_few_or_odd_channels_take_another_kernel(
    channels: int, thin: bool
) -> None:
    kernel = kernels_of(conv(channels, window=1, dtype="float32"))[0]

    assert kernel == ("conv 1x1 thin.float32" if thin else "conv 1x1.float32")


def test_a_special_kernel_falls_back_to_the_general_one() -> None:
    names = kernels_of(conv(4, side=1, window=1, dtype="float32"))

    assert names[0] == "conv 1x1 thin row.float32"
    assert names[-1] == "conv 1x1.float32"


def test_a_model_of_60_operations_is_predicted_within_a_millisecond() -> None:
    model = model_of("cortex-a72")
    shapes = [conv(out) for out in range(1, 61)]
    model.predict(shapes)

    took_s = min(_seconds(model, shapes) for _ in range(20))

    assert took_s < 0.001


def _seconds(model: CostModel, shapes: list[OpShape]) -> float:
    start_s = time.perf_counter()
    model.predict(shapes)
    return time.perf_counter() - start_s
