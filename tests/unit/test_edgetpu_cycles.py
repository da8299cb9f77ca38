import json
from dataclasses import asdict
from importlib import resources
from pathlib import Path

import pytest

from green_edge.targets.edgetpu.cycles import code_bytes, cycles, fit
from green_edge.targets.edgetpu.predict import Placement, predict
from green_edge.tflite.model import Options, TfliteModel
from green_edge_wire import codec
from support.mobilenet import mobilenet_v2
from support.op_graphs import OpGraph

_ON_CHIP = [Placement(0, "", 1, "tpu", "", "", "proven")]


def _cycles(graph: OpGraph | TfliteModel) -> int:
    model = graph.model() if isinstance(graph, OpGraph) else graph
    return sum(op.cycles for op in cycles(model, predict(model)))


def _conv(side: int, depth: int, channels: int, window: int = 1) -> OpGraph:
    graph = OpGraph()
    graph.conv(graph.feed(1, side, side, depth), channels, window=window)
    return graph


@pytest.mark.parametrize(
    ("side", "window", "stored"),
    [(300, 15, 1_265_625), (500, 15, 3_515_625), (500, 40, 25_000_000)],
)
def test_single_convolutions_take_the_cycles_that_compilers_stored(
    side: int, window: int, stored: int
) -> None:
    assert _cycles(_conv(side, 1, 1, window)) == stored


def test_mobilenet_v2_takes_what_its_compiled_file_says_within_the_stated_error() -> None:
    # Stored in the public file of the bird classifier with 965 classes.
    assert abs(_cycles(mobilenet_v2()) / 458_040 - 1) < fit().error.max_ratio


def test_output_channels_cost_in_steps_of_the_lanes() -> None:
    lanes = fit().array.lanes
    assert _cycles(_conv(32, 64, lanes // 2)) == _cycles(_conv(32, 64, lanes))
    assert _cycles(_conv(32, 64, lanes + 1)) == 2 * _cycles(_conv(32, 64, lanes))


def test_input_channels_cost_one_by_one() -> None:
    assert _cycles(_conv(32, 96, 64)) == 3 * _cycles(_conv(32, 32, 64))


def test_a_dense_layer_uses_all_tiles() -> None:
    graph = OpGraph()
    weights, bias = graph.constant(1000, 1280), graph.constant(1000, dtype="int32")
    graph.op("FULLY_CONNECTED", [graph.feed(1, 1280), weights, bias], 1, 1000, version=4)
    assert _cycles(graph) == 1280


def test_a_recurrent_layer_costs_its_gates_at_every_step() -> None:
    def steps(count: int) -> int:
        graph = OpGraph()
        gates = [graph.constant(32, 28) for _ in range(4)]
        gates += [graph.constant(32, 32) for _ in range(4)]
        data = graph.feed(1, count, 28)
        graph.op("UNIDIRECTIONAL_SEQUENCE_LSTM", [data, *gates], 1, count, 32)
        return cycles(graph.model(), _ON_CHIP)[0].cycles

    assert steps(64) == 4 * steps(16) > 0


def test_what_stays_on_the_processor_and_what_multiplies_nothing_is_free() -> None:
    graph = _conv(16, 8, 8)
    data = len(graph.tensors) - 1
    before = _cycles(graph)
    data = graph.op("ADD", [data, data], 1, 16, 16, 8)
    graph.op("SQRT", [data], 1, 16, 16, 8)
    assert _cycles(graph) == before > 0


def test_code_grows_with_operations_and_with_outputs_that_do_not_fit_a_tile() -> None:
    def code(graph: OpGraph) -> float:
        model = graph.model()
        return code_bytes(model, predict(model))

    one, large = code(_conv(32, 16, 16)), code(_conv(1024, 16, 16))
    assert one == fit().code.op_bytes
    assert large == one + fit().code.part_bytes * 15


def test_the_fitted_constants_say_when_and_how_they_were_fitted() -> None:
    text = resources.files("green_edge.targets.edgetpu").joinpath("cycles.toml").read_text()
    assert fit().command in text
    assert fit().date
    assert 0 < fit().error.median_ratio <= fit().error.max_ratio < 1


def test_a_transposed_convolution_costs_by_its_input() -> None:
    def up(side: int) -> int:
        graph = OpGraph()
        shape = graph.constant(values=(1, 2 * side, 2 * side, 32))
        weights, bias = graph.constant(32, 3, 3, 16), graph.constant(32, dtype="int32")
        inputs = [shape, weights, graph.feed(1, side, side, 16), bias]
        options = Options(fused_activation="NONE")
        graph.op("TRANSPOSE_CONV", inputs, 1, 2 * side, 2 * side, 32, version=1, options=options)
        return cycles(graph.model(), _ON_CHIP)[0].cycles

    assert up(32) == 4 * up(16) == 8 * 8 * 9 * 16


def test_the_constants_are_those_of_the_recorded_fit() -> None:
    recorded = Path(__file__).parents[2] / "benchmarks" / "results" / "edgetpu_cycles.json"
    figures = json.loads(recorded.read_text(encoding="utf-8"))["figures"]
    assert codec.encode(fit().array) == figures["array"]
    assert codec.encode(fit().error) == figures["error"]
    assert asdict(fit().code).items() <= figures["code"].items()
