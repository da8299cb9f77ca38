"""Where a student's fake quantizations stand follows what the converter makes of a graph."""

import pytest

from green_edge.convert.aware.plan import Call, Step, make_plan
from green_edge_wire.errors import ModelError


def call(
    layer: int, layer_class: str, *sources: int, activation: str = "linear", last_axis: bool = True
) -> Call:
    name = f"{layer_class.lower()}_{layer}"
    return Call(layer, name, layer_class, activation, sources, last_axis)


def plan(*calls: Call) -> tuple[Step, ...]:
    return make_plan(calls, [len(calls) - 1])


def quantized(steps: tuple[Step, ...]) -> list[int]:
    return [i for i, step in enumerate(steps) if step.quantize]


def test_a_normalisation_is_folded_and_the_activation_after_it_carries_the_range() -> None:
    steps = plan(call(0, "Conv2D", -1), call(1, "BatchNormalization", 0), call(2, "ReLU", 1))
    assert steps[0].norm == 1
    assert steps[1].skip
    assert quantized(steps) == [2]


def test_a_folded_layer_without_activation_is_quantized_behind_the_normalisation() -> None:
    assert quantized(plan(call(0, "Conv2D", -1), call(1, "BatchNormalization", 0))) == [1]


def test_a_normalisation_of_two_users_stays_and_both_outputs_are_quantized() -> None:
    steps = plan(call(0, "Conv2D", -1), call(1, "BatchNormalization", 0), call(2, "Add", 0, 1))
    assert steps[0].norm is None
    assert not steps[1].skip
    assert quantized(steps) == [0, 1, 2]


def test_layers_that_are_called_twice_are_not_folded() -> None:
    steps = plan(call(0, "Dense", -1), call(1, "BatchNormalization", 0), call(0, "Dense", 1))
    assert [step.norm for step in steps] == [None, None, None]


def test_an_addition_is_fused_with_its_relu_but_a_mean_is_not() -> None:
    assert quantized(plan(call(0, "Add", -1, -1), call(1, "ReLU", 0))) == [1]
    assert quantized(plan(call(0, "GlobalAveragePooling2D", -1), call(1, "ReLU", 0))) == [0, 1]


def test_an_activation_of_fixed_scale_is_called_apart_and_not_quantized() -> None:
    (step,) = plan(call(0, "Dense", -1, activation="softmax"))
    assert step.split
    assert step.quantize  # the logits before it


def test_pooling_and_reshaping_keep_the_range_they_are_given() -> None:
    assert quantized(plan(call(0, "MaxPooling2D", -1), call(1, "Flatten", 0))) == []


def test_a_layer_whose_output_leaves_the_model_too_keeps_its_own_range() -> None:
    calls = [call(0, "Conv2D", -1), call(1, "ReLU", 0)]
    assert quantized(make_plan(calls, [0, 1])) == [0, 1]


@pytest.mark.parametrize(
    ("unknown", "said"),
    [
        (call(0, "LSTM", -1), "LSTM"),
        (call(0, "Dense", -1, activation="gelu"), "Dense with activation gelu"),
        (call(0, "BatchNormalization", -1, last_axis=False), "another axis"),
    ],
)
def test_a_layer_without_a_rule_is_refused_by_name(unknown: Call, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        plan(unknown)
