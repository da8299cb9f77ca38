"""What would help: every proposal is what the cost model says of the changed model."""

import math

import pytest

from green_edge.build.estimate.advice import advise, other_runtimes, with_edgetpu
from green_edge.build.estimate.report import Coral, RuntimeEstimate
from green_edge.targets.cost.model import CostModel, cost_model
from green_edge.targets.cost.shape import shapes_of
from green_edge.targets.physics import Dtype, Range, latency_us, load
from green_edge.tflite.read import read
from support.estimates import LITERT, TFLITE, network
from support.op_models import Step, T, op_model


def _cost(core: str = "cortex-a72", runtime: tuple[str, str] = LITERT) -> CostModel:
    found = cost_model(*runtime, core, "aarch64")
    assert found is not None
    return found


def test_channels_just_above_a_step_of_the_kernel_are_advised_away() -> None:
    cost = _cost()
    model = read(network(32, 33, 32), static=False)
    first = advise(model, cost, load("pi4"))[0]
    assert first.where.startswith("#1 CONV_2D")
    assert "32 channels in place of 33" in first.what
    before = cost.predict(shapes_of(model)).instructions
    after = cost.predict(shapes_of(read(network(32, 32, 32), static=False))).instructions
    assert first.saves_ratio == pytest.approx(1 - after / before, abs=0.006)


def test_channels_that_cost_nothing_are_named() -> None:
    found = advise(read(network(32, 28, 32), static=False), _cost(), load("pi4"))
    assert any("28 cost what 32 do" in each.what for each in found)


def test_float_is_advised_to_become_int8_where_that_pays() -> None:
    model = read(network(32, 32, dtype="float32"), static=False)
    board = load("pi5")
    found = [each for each in advise(model, _cost("cortex-a76"), board) if "int8" in each.what]
    assert len(found) == 1
    # The dot product halves the work, and int8 instructions do not end slower than float32 ones.
    assert found[0].saves_ratio > 0.5
    assert found[0].saves_bytes_ratio == pytest.approx(0.75)
    assert "and 0.25 times the bytes" in found[0].what


@pytest.mark.parametrize("dtype", ["int8", "float32"])
@pytest.mark.parametrize("runtime", [LITERT, TFLITE])
def test_a_type_is_advised_only_where_the_board_is_faster_with_it(
    dtype: Dtype, runtime: tuple[str, str]
) -> None:
    other: Dtype = "float32" if dtype == "int8" else "int8"
    cost, board = _cost("cortex-a72", runtime), load("pi4")

    def middle_us(of: Dtype) -> float:
        found = cost.predict(shapes_of(read(network(16, 16, size=48, dtype=of), static=False)))
        span = latency_us(found.instructions, found.bytes, dtype=of, board=board)
        return math.sqrt(span.low * span.high)

    model = read(network(16, 16, size=48, dtype=dtype), static=False)
    said = any(f"{other} in place of {dtype}" in each.what for each in advise(model, cost, board))
    assert said == (middle_us(other) <= 0.97 * middle_us(dtype))


def test_a_type_whose_range_overlaps_is_said_to() -> None:
    def said(width: int, core: str, board: str) -> str:
        model = read(network(width, width, dtype="float32"), static=False)
        found = advise(model, _cost(core), load(board))
        return next(each.what for each in found if "int8 in place of float32" in each.what)

    assert "the ranges overlap" in said(32, "cortex-a72", "pi4")
    assert "the ranges overlap" not in said(128, "cortex-a76", "pi5")


def test_float16_weights_are_advised_on_as_float32_ones_of_half_the_bytes() -> None:
    plain = read(network(16, 33, 33, dtype="float32"), static=False)
    stored = read(network(16, 33, 33, dtype="float32", weights="float16"), static=False)
    cost, board = _cost("cortex-a76"), load("pi5")
    assert cost.predict(shapes_of(stored)).unknown == ()
    assert cost.predict(shapes_of(stored)).instructions == pytest.approx(
        cost.predict(shapes_of(plain)).instructions
    )
    assert sum(s.moved_bytes for s in shapes_of(stored)) == sum(
        s.moved_bytes for s in shapes_of(plain)
    )
    wanted, found = advise(plain, cost, board), advise(stored, cost, board)
    assert [each.saves_ratio for each in found] == [each.saves_ratio for each in wanted]
    (int8,) = [each for each in found if "int8 in place of float32" in each.what]
    assert int8.saves_bytes_ratio == pytest.approx(0.5)
    assert any("channels in place of 33" in each.what for each in found)


def test_a_dense_layer_that_holds_the_file_is_advised_to_be_factored() -> None:
    (found,) = [
        each for each in advise(read(network(256, dense=1000), static=False), _cost(), load("pi4"))
        if "dense layer" in each.what
    ]  # fmt: skip
    # 1000 x 256 becomes 64 x (1000 + 256); 18,432 weights are in the convolution, 1,256 in biases.
    weights = 256_000 + 4 * 1_000
    total = weights + 18_432 + 4 * 256
    assert found.saves_bytes_ratio == pytest.approx(
        (1 - 64 * 1_256 / 256_000) * weights / total, abs=3e-3
    )


def test_operations_without_weights_that_take_much_are_named() -> None:
    data = T((1, 32, 32, 64), "float32")
    steps = [Step("LOGISTIC", (k,), (k + 1,)) for k in range(3)]
    (found,) = advise(read(op_model([data] * 4, steps), static=False), _cost(), load("pi4"))
    assert found.what.startswith("LOGISTIC takes ")
    assert found.where.endswith("and 2 more")
    assert found.saves_ratio > 0.9


def test_a_model_of_whole_tiles_gets_no_advice_on_less_than_a_few_percent() -> None:
    found = advise(read(network(64, 64, 64), static=False), _cost(), load("pi4"))
    assert all(max(each.saves_ratio, each.saves_bytes_ratio or 0) >= 0.03 for each in found)


def _entry(runtime: str, instructions: int) -> RuntimeEstimate:
    span = Range(1, 2)
    return RuntimeEstimate(
        runtime, "1.0", "int8", "cortex-a72", "aarch64", instructions, "emulated", 0.001, span,
        span, span,
    )  # fmt: skip


def test_another_runtime_is_advised_when_it_takes_fewer_instructions() -> None:
    (found,) = other_runtimes([_entry("slow", 3_000), _entry("fast", 1_000), _entry("even", 2_990)])
    assert found.what == "fast 1.0 takes 3.0 times fewer instructions than slow 1.0"
    assert found.saves_ratio == pytest.approx(2 / 3)


def test_an_edge_tpu_is_told_what_takes_its_time() -> None:
    none, some, much = Range(0, 0), Range(80, 120), Range(700, 900)
    coral = Coral(
        "usb3", 10, 3, 1, none, some, none, none, some, much, Range(900, 1_100), some, some
    )
    (first, *_) = with_edgetpu(coral)
    assert first.what.startswith("3 operations stay on the processor and take 80 % of the time")
    assert first.saves_ratio == pytest.approx(0.8)
