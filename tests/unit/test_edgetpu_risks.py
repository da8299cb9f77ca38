from dataclasses import replace

import pytest

from green_edge.targets.edgetpu.predict import predict
from green_edge.targets.edgetpu.risks import fatal, risks
from green_edge.tflite.model import OpCode, Options, TfliteModel
from support.op_graphs import OpGraph


def _risks(graph: OpGraph) -> list[str]:
    model = graph.model()
    return [problem.what for problem in risks(model, predict(model))]


def _with_scale(model: TfliteModel, tensor: int, scale: float) -> TfliteModel:
    tensors = [replace(t, scale=scale) if t.index == tensor else t for t in model.tensors]
    return replace(model, tensors=tuple(tensors))


def test_a_plain_int8_network_stops_nothing() -> None:
    graph = OpGraph()
    # An open batch is what every Keras model has, and no hindrance.
    graph.conv(graph.feed(1, 8, 8, 3, signature=(-1, 8, 8, 3)), 4)
    model = graph.model()
    assert fatal(model) == ()
    assert risks(model, predict(model)) == ()


def test_a_float_model_is_not_quantized() -> None:
    graph = OpGraph()
    graph.op("TANH", [graph.feed(1, 4, dtype="float32")], 1, 4, dtype="float32")
    assert [problem.what for problem in fatal(graph.model())] == [
        "Invalid model: Model not quantized"
    ]


def test_an_open_axis_of_the_input_is_a_dynamic_shape() -> None:
    graph = OpGraph()
    graph.conv(graph.feed(1, 1, 1, 3, signature=(-1, -1, -1, 3)), 4)
    (problem,) = fatal(graph.model())
    assert "only supports static-sized tensors" in problem.what
    assert problem.where == "input t0"


def test_a_shape_that_is_computed_is_dynamic_and_a_constant_one_is_not() -> None:
    for computed in (True, False):
        graph = OpGraph()
        data = graph.feed(1, 8, 8, 4)
        size = (
            graph.op("SHAPE", [data], 4, dtype="int32")
            if computed
            else graph.constant(values=(1, 256))
        )
        graph.op("RESHAPE", [data, size], 1, 256)
        found = [problem.what for problem in fatal(graph.model())]
        assert any("dynamic-sized" in what for what in found) == computed


@pytest.mark.parametrize(
    ("name", "version"),
    [("QUANTIZE", 3), ("EXP", 2), ("FULLY_CONNECTED", 12), ("STABLEHLO_ADD", 1)],
)
def test_what_the_compilers_interpreter_does_not_know_stops_it(name: str, version: int) -> None:
    graph = OpGraph()
    graph.op(name, [graph.feed(1, 4)], 1, 4, version=version)
    (problem,) = fatal(graph.model())
    assert f"Didn't find op for builtin opcode '{name}' version '{version}'" in problem.what
    assert "Registration failed" in problem.what
    assert problem.where.startswith(f"#0 {name}")


def test_an_inner_graph_stops_it_as_the_main_one_does() -> None:
    graph = OpGraph()
    graph.op("LOGISTIC", [graph.feed(1, 8)], 1, 8, version=2)
    codes = (OpCode("LOGISTIC", 2), OpCode("FULLY_CONNECTED", 13), OpCode("CUSTOM", 1, "FlexErf"))
    new, custom = fatal(replace(graph.model(), codes=codes))
    assert "'FULLY_CONNECTED' version '13'" in new.what
    assert "FlexErf" in custom.what
    assert (new.where, custom.where) == ("an inner graph", "an inner graph")
    assert "green-edge build" not in new.remedy


def test_lowering_is_advised_only_where_the_rewrite_can() -> None:
    for name, version, possible in (("FULLY_CONNECTED", 12, True), ("QUANTIZE", 3, True),
                                    ("EXP", 2, False), ("LOG", 2, False)):  # fmt: skip
        graph = OpGraph()
        inputs = [graph.feed(1, 4)]
        if name == "FULLY_CONNECTED":
            inputs += [graph.constant(4, 4), graph.constant(4, dtype="int32")]
        graph.op(name, inputs, 1, 4, version=version)
        (problem,) = fatal(graph.model())
        assert ("green-edge build" in problem.remedy) == possible
        assert possible or problem.remedy == "replace the layer, or end the model before it"


def test_a_transposed_convolution_with_an_activation_is_one_that_the_rewrite_takes() -> None:
    for fused, possible in (("RELU", True), ("TANH", False)):
        graph = OpGraph()
        sizes, weights = graph.constant(values=(1, 8, 8, 4)), graph.constant(4, 2, 2, 4)
        data, options = graph.feed(1, 4, 4, 4), Options(fused_activation=fused)
        graph.op("TRANSPOSE_CONV", [sizes, weights, data], 1, 8, 8, 4, version=4, options=options)
        (problem,) = fatal(graph.model())
        assert ("green-edge build" in problem.remedy) == possible


def test_one_cause_is_named_once_with_its_operations() -> None:
    graph = OpGraph()
    data = graph.feed(1, 4)
    for _ in range(300):
        data = graph.op("EXP", [data], 1, 4, version=2)
        data = graph.op("CUSTOM", [data], 1, 4, custom="FlexErf")
        size = graph.op("SHAPE", [data], 2, dtype="int32")
        data = graph.op("RESHAPE", [data, size], 1, 4)
    found = fatal(graph.model())
    assert len(found) == 3
    assert all(problem.where.endswith("and 296 more") for problem in found)


def test_a_version_that_is_only_not_mapped_stops_nothing() -> None:
    graph = OpGraph()
    data = graph.feed(1, 4)
    graph.op("ADD", [data, data], 1, 4, version=4)
    assert fatal(graph.model()) == ()


@pytest.mark.parametrize("name", ["FlexSplitV", "MaxUnpooling2D"])
def test_a_custom_operation_of_ones_own_is_unresolved(name: str) -> None:
    graph = OpGraph()
    graph.op("CUSTOM", [graph.conv(graph.feed(1, 8, 8, 4), 4)], 1, 8, custom=name)
    (problem,) = fatal(graph.model())
    assert problem.what == f"Encountered unresolved custom op: {name}."
    assert ("SELECT_TF_OPS" in problem.remedy) == name.startswith("Flex")


def test_a_detector_with_its_post_processing_is_compiled() -> None:
    graph = OpGraph()
    boxes = graph.conv(graph.feed(1, 8, 8, 4), 4)
    graph.op("CUSTOM", [boxes], 1, 10, 4, dtype="float32", custom="TFLite_Detection_PostProcess")
    assert fatal(graph.model()) == ()


def test_a_bound_that_no_integer_holds_at_the_outputs_scale_stops_the_preparation() -> None:
    graph = OpGraph()
    data = graph.feed(1, 8, 8, 4)
    options = Options(fused_activation="RELU6")
    out = graph.op("CONV_2D", [data, graph.constant(4, 1, 1, 4)], 1, 8, 8, 4, options=options)
    # 6 / 1e-9 is above 2^31, 6 / 1e-8 is not.
    assert fatal(_with_scale(graph.model(), out, 1e-8)) == ()
    (problem,) = fatal(_with_scale(graph.model(), out, 1e-9))
    assert problem.what.startswith("no_integer_overflow_from_quantization was not true")
    assert fatal(_with_scale(graph.model(), out, 0.0)) != ()


def test_a_compiled_file_is_not_compiled_again() -> None:
    graph = OpGraph()
    graph.op("CUSTOM", [graph.feed(1, 4)], 1, 4, custom="edgetpu-custom-op")
    (problem,) = fatal(graph.model())
    assert "compiled already" in problem.what


def test_an_addition_of_a_padding_and_a_resize_is_the_crash_that_is_known() -> None:
    graph = OpGraph()
    data = graph.conv(graph.feed(1, 8, 8, 16), 16)
    padded = graph.op(
        "PAD", [data, graph.constant(values=(0, 0, 0, 8, 0, 8, 0, 0))], 1, 16, 16, 16, version=2
    )
    larger = graph.op("RESIZE_NEAREST_NEIGHBOR", [data], 1, 16, 16, 16, version=3)
    graph.op("ADD", [padded, larger], 1, 16, 16, 16, version=2)
    (what,) = _risks(graph)
    assert what.startswith("Compilation failed!")
    without = OpGraph()
    first = without.conv(without.feed(1, 8, 8, 16), 16)
    second = without.op("RESIZE_NEAREST_NEIGHBOR", [first], 1, 16, 16, 16, version=3)
    third = without.conv(second, 16)
    without.op("ADD", [second, third], 1, 16, 16, 16, version=2)
    assert _risks(without) == []


def test_the_crash_is_seen_behind_what_only_passes_values_on() -> None:
    graph = OpGraph()
    data = graph.conv(graph.feed(1, 8, 8, 16), 16)
    sides = graph.constant(values=(0, 0, 0, 8, 0, 8, 0, 0))
    padded = graph.op("PAD", [data, sides], 1, 16, 16, 16, version=2)
    larger = graph.op("RESIZE_NEAREST_NEIGHBOR", [data], 1, 16, 16, 16, version=3)
    stored = graph.op("QUANTIZE", [larger], 1, 16, 16, 16, version=2)
    shaped = graph.op("RESHAPE", [stored], 1, 16, 16, 16)
    graph.op("ADD", [padded, shaped], 1, 16, 16, 16, version=2)
    (what,) = _risks(graph)
    assert what.startswith("Compilation failed!")


def test_wide_layers_on_a_large_image_are_a_risk_and_on_a_small_one_are_not() -> None:
    for size, channels, risky in ((640, 32, True), (640, 4, False), (300, 64, False)):
        graph = OpGraph()
        graph.conv(graph.feed(1, size, size, 3), channels)
        assert any("large activation tensors" in what for what in _risks(graph)) == risky


def test_a_grouped_convolution_may_fail_in_the_compilers_interpreter() -> None:
    graph = OpGraph()
    graph.op("CONV_2D", [graph.feed(1, 8, 8, 8), graph.constant(8, 3, 3, 4)], 1, 8, 8, 8)
    assert any("Model failed in Tflite interpreter" in what for what in _risks(graph))


def test_a_model_of_which_nothing_maps_is_a_failure_in_disguise() -> None:
    graph = OpGraph()
    graph.op("LEAKY_RELU", [graph.feed(1, 8)], 1, 8)
    assert _risks(graph) == ["Number of Edge TPU subgraphs: 0"]
