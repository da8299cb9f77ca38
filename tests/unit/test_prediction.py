from dataclasses import replace

import pytest

from green_edge.targets import physics
from green_edge.targets.cost.shape import OpShape, shapes_of
from green_edge.targets.physics import Range
from green_edge.targets.prediction import dtype_of, notes_of, predict, predict_shapes, ranges_of
from green_edge.targets.registry import find
from green_edge.tflite.model import TfliteModel
from green_edge_wire.errors import ConfigError
from support.op_graphs import OpGraph


def convolutions(channels: int) -> TfliteModel:
    graph = OpGraph()
    data = graph.feed(1, 32, 32, channels)
    graph.conv(graph.conv(data, channels), channels)
    return graph.model()


def test_a_prediction_adds_up_and_its_ranges_are_those_of_the_board() -> None:
    found = predict(convolutions(32), find("pi4"))
    assert (found.target, found.core, found.arch) == ("pi4", "cortex-a72", "aarch64")
    assert (found.runtime, found.version) == ("ai-edge-litert", "2.3.0")
    assert found.dtype == "int8"
    assert [op.op for op in found.per_op] == ["CONV_2D", "CONV_2D"]
    assert sum(op.instructions for op in found.per_op) <= found.instructions
    assert found.bytes_moved == sum(op.bytes for op in found.per_op)
    assert found.ranges == ranges_of(
        found.instructions,
        shapes_of(convolutions(32)),
        dtype="int8",
        board=physics.load("pi4"),
        error_ratio=found.error_ratio,
    )
    assert 0 < found.ranges.latency_us.low < found.ranges.latency_us.high
    assert found.ranges.net_energy_uj.high < found.ranges.energy_uj.high


def test_shapes_alone_cost_what_their_model_costs() -> None:
    model = convolutions(48)
    assert predict_shapes(shapes_of(model), find("pi5")) == predict(model, find("pi5"))


def test_what_inner_graphs_cost_is_said_to_be_missing() -> None:
    model = convolutions(48)
    assert not predict(model, find("pi5")).partial
    assert predict(replace(model, subgraphs=2), find("pi5")).partial


def test_more_channels_cost_more_and_a_faster_board_less() -> None:
    small, large = convolutions(16), convolutions(64)
    on_pi4, on_pi5 = find("pi4"), find("pi5")
    assert predict(small, on_pi4).instructions < predict(large, on_pi4).instructions
    pi4, pi5 = predict(large, on_pi4).ranges.latency_us, predict(large, on_pi5).ranges.latency_us
    assert pi5.low < pi4.low
    assert pi5.high < pi4.high


def test_the_type_is_that_of_most_of_the_work() -> None:
    graph = OpGraph()
    data = graph.feed(1, 8, 8, 8, dtype="float32")
    quantized = graph.op("QUANTIZE", [data], 1, 8, 8, 8)
    graph.conv(quantized, 8)
    shapes = shapes_of(graph.model())
    assert dtype_of(shapes, [1, 9]) == "int8"
    assert dtype_of(shapes, [9, 1]) == "float32"
    assert dtype_of((), ()) == "float32"


def test_ranges_hold_time_and_both_energies_of_one_board() -> None:
    board = physics.load("zero2")
    found = ranges_of(1e9, (), dtype="float32", board=board)
    assert found.energy_uj == physics.energy_uj(found.latency_us, board)
    assert found.net_energy_uj == physics.net_energy_uj(found.latency_us, board)


def test_a_count_gives_a_narrower_range_than_a_prediction() -> None:
    board = physics.load("pi4")
    counted = ranges_of(1e9, (), dtype="int8", board=board).latency_us
    predicted = ranges_of(1e9, (), dtype="int8", board=board, error_ratio=0.1).latency_us
    assert predicted.low < counted.low
    assert counted.high < predicted.high
    assert counted != Range(0, 0)


def test_notes_tell_the_clock_the_thread_and_that_energy_is_gross() -> None:
    told = " ".join(notes_of(find("pi4"), ()))
    assert "one thread" in told
    assert "1500 to 1800 MHz" in told
    assert "whole board" in told
    assert "(2400 MHz)" in notes_of(find("pi5"), ())[0]


def test_notes_tell_where_the_bounds_are_those_of_something_else() -> None:
    assert any("of a 64-bit system" in note for note in notes_of(find("pi3:bookworm-armhf"), ()))
    assert notes_of(find("pi4:bookworm-armhf"), ()) == notes_of(find("pi4"), ())
    assert any("threads is not stated" in note for note in notes_of(find("pi5"), ()))
    hybrid = OpShape("FULLY_CONNECTED", "float32", (1, 8), (1, 4), (4, 8), "int8")
    assert "float32 activations" in notes_of(find("pi4"), (hybrid,))[-1]
    assert len(notes_of(find("pi4"), (replace(hybrid, weights_dtype="float32"),))) == 2


# 2 MiB of weights: twice the last level of cache of a Pi 4.
_DENSE = OpShape("FULLY_CONNECTED", "int8", (1, 2_048), (1, 1_024), (1_024, 2_048), "int8")


def test_weights_beyond_the_cache_come_from_the_memory_chip_at_every_inference() -> None:
    board = physics.load("pi4")
    found = ranges_of(1.0, (_DENSE,), dtype="int8", board=board).latency_us
    assert found.low == int(1024 * 1024 / board.memory_mb_s.high)
    same = ranges_of(1.0, (_DENSE, _DENSE), dtype="int8", board=board).latency_us
    assert same.low == int(3 * 1024 * 1024 / board.memory_mb_s.high)


def test_what_the_cache_may_keep_does_not_slow_the_shortest_latency() -> None:
    board = physics.load("pi4")
    small = replace(_DENSE, weights=(64, 2_048))
    # Activations of 8 MB are written and read again while they are in the cache.
    passing = OpShape("RELU", "float32", (1, 512), (1, 512))
    shapes = (small, *(passing for _ in range(2_000)))
    assert ranges_of(1_000.0, shapes, dtype="int8", board=board).latency_us.low == 0
    computed = replace(_DENSE, constant=False)
    assert ranges_of(1_000.0, (computed,), dtype="int8", board=board).latency_us.low == 0


def test_a_target_without_facts_or_cost_model_says_what_to_do_instead() -> None:
    with pytest.raises(ConfigError, match="'host'") as told:
        predict(convolutions(8), find("host"))
    assert "green-edge bench" in (told.value.hint or "")


def test_constants_that_are_made_at_the_first_inference_move_nothing_later() -> None:
    board = physics.load("pi4")
    float16 = OpShape("DEQUANTIZE", "float16", (1_000, 1_000), (1_000, 1_000), operands=0)
    assert ranges_of(1.0, (float16,), dtype="float32", board=board).latency_us.high == 1
    assert ranges_of(1.0, (replace(float16, operands=1),), dtype="float32", board=board) != (
        ranges_of(1.0, (float16,), dtype="float32", board=board)
    )
