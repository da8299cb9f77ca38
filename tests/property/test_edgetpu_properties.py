from hypothesis import given, settings
from hypothesis import strategies as st

from green_edge.targets.edgetpu.compiled import read_compiled
from green_edge.targets.edgetpu.memory import parameter_bytes
from green_edge.targets.edgetpu.predict import predict
from green_edge.targets.edgetpu.risks import fatal, risks
from green_edge_wire.errors import ModelError
from support.edgetpu_files import compiled_tflite, package
from support.op_graphs import OpGraph

_COMPILED = compiled_tflite(cpu_ops=1)
_PACKAGE = package()
# One that maps, one that is refused, one without data.
_KINDS = st.sampled_from(["TANH", "LEAKY_RELU", "ELU"])


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_compiled_file_reads_or_is_a_model_error(data: st.DataObject) -> None:
    damaged = bytearray(_COMPILED)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(8, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        read_compiled(bytes(damaged[: data.draw(st.integers(8, len(damaged)))]))
    except ModelError:
        return


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_package_in_a_sound_file_reads_or_is_a_model_error(data: st.DataObject) -> None:
    damaged = bytearray(_PACKAGE)
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        read_compiled(compiled_tflite(bytes(damaged[: data.draw(st.integers(0, len(damaged)))])))
    except ModelError:
        return


@st.composite
def _graphs(draw: st.DrawFn) -> OpGraph:
    graph = OpGraph()
    made = [graph.feed(1, 4)]
    for _ in range(draw(st.integers(1, 12))):
        inputs = draw(st.lists(st.sampled_from(made), min_size=1, max_size=2))
        made.append(graph.op(draw(_KINDS), inputs, 1, 4))
    return graph


@given(_graphs())
def test_no_path_leads_from_the_chip_over_the_cpu_and_back(graph: OpGraph) -> None:
    model = graph.model()
    places = predict(model)
    left: dict[int, bool] = {}
    chip: dict[int, bool] = {}
    for op, place in zip(model.ops, places, strict=True):
        behind = any(left.get(i, False) for i in op.inputs)
        after_chip = any(chip.get(i, False) for i in op.inputs)
        assert not (behind and place.placement == "tpu")
        for out in op.outputs:
            left[out] = behind or (place.placement == "cpu" and after_chip)
            chip[out] = after_chip or place.placement == "tpu"


@given(_graphs())
def test_with_many_subgraphs_each_operation_is_judged_alone(graph: OpGraph) -> None:
    expected = {"TANH": "tpu", "LEAKY_RELU": "cpu", "ELU": "unknown"}
    model = graph.model()
    for place in predict(model, multiple_subgraphs=True):
        assert place.placement == expected[place.op]


@given(_graphs())
def test_one_subgraph_never_maps_what_many_do_not(graph: OpGraph) -> None:
    model = graph.model()
    one, many = predict(model), predict(model, multiple_subgraphs=True)
    for strict, loose in zip(one, many, strict=True):
        assert strict.placement != "tpu" or loose.placement == "tpu"
    assert parameter_bytes(model, one) <= parameter_bytes(model, many)
    assert fatal(model) == ()
    assert risks(model, one) == () or all(p.placement == "cpu" for p in one)
