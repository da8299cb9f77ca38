from dataclasses import replace
from math import ceil

import pytest

from green_edge.targets import physics
from green_edge.targets.coral import CoralCost, HostCost, coral_cost
from green_edge.targets.edgetpu.accelerators import LinkName, facts, link_of
from green_edge.targets.edgetpu.compiled import Compiled
from green_edge.targets.edgetpu.cycles import fit
from green_edge.targets.edgetpu.predict import Placement, predict
from green_edge.targets.edgetpu.timing import Timing, timing
from green_edge.targets.physics import Range
from green_edge.targets.registry import find
from green_edge.tflite.model import TfliteModel
from green_edge_wire import codec
from green_edge_wire.errors import ConfigError, ModelError
from support.mobilenet import mobilenet_v2
from support.op_graphs import OpGraph

_COMPILED = Compiled(
    subgraphs=1, cpu_ops=0, cached_bytes=3_500_000, streamed_bytes=0, min_runtime_version=12,
    compiler_version="cl/", model_identifier="", instruction_bytes=138_576, scratch_bytes=0,
    narrow_bytes_per_tile=0, estimated_cycles=458_040,
)  # fmt: skip


def _timing(
    model: TfliteModel, link: LinkName = "usb3", *, compiled: Compiled | None = None
) -> Timing:
    nothing = [None] * len(model.ops)
    return timing(model, predict(model), link, host_us=nothing, compiled=compiled)


def _dense(inputs: int, *sizes: int) -> TfliteModel:
    graph = OpGraph()
    data = graph.feed(1, inputs)
    for size in sizes:
        weights, bias = graph.constant(size, inputs), graph.constant(size, dtype="int32")
        data = graph.op("FULLY_CONNECTED", [data, weights, bias], 1, size, version=4)
        inputs = size
    return graph.model()


def _cost(
    model: TfliteModel, name: str, host_us: Range, rate_rps: float | None = None
) -> CoralCost:
    host = HostCost(host_us, (None,) * len(model.ops))
    return coral_cost(model, predict(model), find(name), host, rate_rps=rate_rps)


@pytest.mark.parametrize(
    ("link", "published_us"),
    [("usb3", 2_300), ("usb3", 3_200), ("pcie", 2_600), ("usb2", 12_000), ("usb2", 18_600)],
)
def test_published_latencies_of_mobilenet_v2_lie_in_the_range(
    link: LinkName, published_us: int
) -> None:
    found = _timing(mobilenet_v2(), link).latency_us
    assert found.low <= published_us <= found.high


def test_a_compiled_file_narrows_the_range_and_keeps_the_published_latency() -> None:
    model = mobilenet_v2()
    predicted, known = _timing(model), _timing(model, compiled=_COMPILED)
    assert known.cycles == 458_040
    # Image, classes and code.
    sent = 224 * 224 * 3 + 965 + 138_576
    assert known.transfer_bytes == Range(sent, sent)
    assert predicted.latency_us.low <= known.latency_us.low <= 2_600 <= known.latency_us.high
    assert known.latency_us.high < predicted.latency_us.high


def test_the_same_model_takes_longer_over_usb_2() -> None:
    model = mobilenet_v2()
    assert _timing(model, "usb2").latency_us.low > _timing(model, "usb3").latency_us.high


def test_parameters_that_do_not_stay_on_the_chip_are_sent_every_time() -> None:
    kept, streamed = _timing(_dense(4_096, 64)), _timing(_dense(16_384, 64))
    assert kept.streamed_bytes == Range(0, 0)
    assert streamed.streamed_bytes.low >= 16_384 * 64
    assert streamed.streaming_us.low == streamed.streamed_bytes.low // 500


def test_between_two_seen_sizes_a_dense_layer_may_stream() -> None:
    found = _timing(_dense(8_000, 64)).streamed_bytes
    assert found.low == 0
    assert found.high >= 8_000 * 64


def test_of_a_model_larger_than_the_chip_the_last_layers_stream() -> None:
    found = _timing(_dense(4_000, 1_000, 3_500, 64)).streamed_bytes
    assert found.low == 0
    # The second layer alone: the third finds room again.
    assert 1_000 * 3_500 <= found.high < 1_000 * 3_700
    assert _timing(_dense(4_000, 2_000, 4_000, 64)).streamed_bytes.low > 2_000 * 4_000


def test_layers_share_the_time_by_what_causes_it() -> None:
    found = _timing(_dense(16_384, 64, 64))
    known, rest = (found.compute_us, found.streaming_us), (found.transfer_us, found.launch_us)
    of_layers, of_none = (sum(span.low + span.high for span in part) for part in (known, rest))
    whole = of_layers + of_none
    shared = sum(layer.share for layer in found.layers)
    assert shared == pytest.approx(of_layers / whole, abs=0.01)
    assert found.layers[0].share > 0.9 * shared
    assert [layer.index for layer in found.layers] == [0, 1]


def test_a_recurrent_layer_may_take_all_tiles_or_one_because_no_file_tells() -> None:
    graph = OpGraph()
    gates = [graph.constant(640, 640) for _ in range(8)]
    data = graph.feed(1, 64, 640)
    graph.op("UNIDIRECTIONAL_SEQUENCE_LSTM", [data, *gates], 1, 64, 640)
    model = graph.model()
    spent = timing(model, _mapped(model), "pcie", host_us=[None])
    assert any("no cycles of a recurrent layer" in note for note in spent.notes)
    # At 500 MHz.
    error = fit().error.max_ratio
    assert spent.compute_us.low == int(spent.cycles * (1 - error) / 500)
    assert spent.compute_us.high == ceil(spent.cycles * 16 * (1 + error) / 500)
    known = timing(model, _mapped(model), "pcie", host_us=[None], compiled=_COMPILED)
    assert not any("recurrent" in note for note in known.notes)


def test_cycles_and_code_span_the_largest_errors_that_were_seen() -> None:
    code, found = fit().code, _timing(mobilenet_v2(), "pcie")
    error = fit().error.max_ratio
    assert found.compute_us == Range(
        int(found.cycles * (1 - error) / 500), ceil(found.cycles * (1 + error) / 500)
    )
    data = 224 * 224 * 3 + 965
    assert (found.transfer_bytes.low - data) / (found.transfer_bytes.high - data) == pytest.approx(
        code.low_ratio / code.high_ratio, abs=1e-4
    )
    # Stored lengths from half to four times the expected one are among the files.
    assert code.low_ratio < 0.5
    assert code.high_ratio > 4


def test_what_stays_on_the_processor_adds_its_cost_there() -> None:
    graph = OpGraph()
    data = graph.conv(graph.feed(1, 16, 16, 8), 8)
    graph.op("SQRT", [data], 1, 16, 16, 8)
    model = graph.model()
    found = timing(model, predict(model), "usb3", host_us=[None, Range(5_000, 9_000)])
    alone = _timing(model)
    assert found.host_us == Range(5_000, 9_000)
    assert found.latency_us.low == alone.latency_us.low + 5_000
    assert found.latency_us.high == alone.latency_us.high + 9_000
    assert found.layers[1].share > 0.5
    assert alone.notes[-1].endswith("counted as nothing: SQRT")


def test_what_the_processor_goes_on_with_comes_back_over_the_link() -> None:
    graph = OpGraph()
    data = graph.conv(graph.feed(1, 16, 16, 8), 8)
    whole = _timing(graph.model()).transfer_bytes.low
    graph.op("SQRT", [data], 1, 16, 16, 8)
    assert _timing(graph.model()).transfer_bytes.low == whole


def test_a_model_that_does_not_map_costs_nothing_on_the_chip() -> None:
    graph = OpGraph()
    graph.op("SQRT", [graph.feed(1, 16)], 1, 16)
    found = _timing(graph.model())
    assert found.cycles == 0
    assert found.latency_us == found.launch_us == found.transfer_us == Range(0, 0)


def test_each_host_has_its_link() -> None:
    links = {name: link_of(find(name)) for name in (
        "coral-usb+pi5", "coral-usb+pi3", "coral-usb+zero2", "coral-m2+pi5", "coral-devboard",
    )}  # fmt: skip
    assert list(links.values()) == ["usb3", "usb2", "usb2", "pcie", "pcie"]
    with pytest.raises(ConfigError, match="has no Edge TPU"):
        link_of(find("pi4"))


def test_every_figure_of_the_accelerators_has_a_source() -> None:
    known = facts()
    named = " ".join(known.sources)
    for figure in ("mb_s", "streaming_mb_s", "launch_us", "clock_mhz", "idle_mw", "active_mw"):
        assert figure in named
    for name, power in known.powers.items():
        assert power.notes
        assert name == "coral-devboard" or f"powers.{name}.idle_mw" in known.sources


def test_a_tiny_dense_net_belongs_on_the_processor() -> None:
    # 28 x 28 pixels, 128 units, 10 digits: 14 us on a Cortex-A53 in a user's report, 37.5 us on the
    # Edge TPU of the same board.
    found = _cost(_dense(784, 128, 10), "coral-usb+pi4", Range(5, 20)).break_even
    assert found is not None
    assert found.verdict == "cpu"
    assert found.crossover_rps is None or found.crossover_rps.low > 10_000


def test_mobilenet_v2_on_a_pi_5_depends_on_the_request_rate() -> None:
    # 4.0 ms are published for a Pi 5, 2.6 ms for the Edge TPU.
    model, host_us = mobilenet_v2(), Range(3_600, 4_400)
    asked = [_cost(model, "coral-usb+pi5", host_us, rate).break_even for rate in (0.1, 150, 300)]
    assert [found and found.verdict for found in asked] == ["cpu", "either", "either"]
    # The range of the Edge TPU ends above 5 ms.
    assert asked[-1] is not None
    assert asked[-1].reason == (
        "the processor, on one thread, cannot, the Edge TPU may not keep up with this rate"
    )


def test_on_the_dev_board_the_chip_is_always_there_and_pays_at_once() -> None:
    # 122 ms on its processor, 2.6 ms on its Edge TPU.
    found = _cost(mobilenet_v2(), "coral-devboard", Range(110_000, 135_000)).break_even
    assert found is not None
    assert found.verdict == "tpu"


def test_energy_is_that_of_board_and_chip_together() -> None:
    found = _cost(mobilenet_v2(), "coral-usb+pi4", Range(20_000, 40_000))
    assert found.energy_uj is not None
    assert found.net_energy_uj is not None
    span = found.timing.latency_us
    # A Pi 4 idles above 1.5 W and the chip takes 2 W more; together they stay below 15 W.
    assert span.low * 3.5 < found.energy_uj.low < found.energy_uj.high < span.high * 15
    assert found.net_energy_uj.high < found.energy_uj.high


def test_energy_above_idle_counts_what_chip_and_core_add_to_their_idle_power() -> None:
    found = _cost(mobilenet_v2(), "coral-usb+pi4", Range(20_000, 40_000))
    power, core = facts().powers["coral-usb"], physics.load("pi4").one_core_mw
    span = found.timing.latency_us
    # At least the chip alone, which had idled at its most; at most both, from the chip's least.
    low, high = power.active_mw.low - power.idle_mw.high, power.active_mw.high - power.idle_mw.low
    assert (low, high) == (1_000, 2_200)
    assert found.net_energy_uj == Range(
        int(span.low * low // 1_000), ceil(span.high * (high + core.high) / 1_000)
    )


def test_a_chip_at_work_may_draw_no_more_than_idle_but_never_less() -> None:
    found = _cost(mobilenet_v2(), "coral-m2+pi5", Range(3_600, 4_400))
    assert found.net_energy_uj is not None
    assert found.net_energy_uj.low == 0


def test_the_shortest_latency_sends_data_and_parameters_one_after_the_other() -> None:
    large = replace(_COMPILED, estimated_cycles=1_000, streamed_bytes=5_000_000)
    found = _timing(mobilenet_v2(), compiled=large)
    sent_bytes = 224 * 224 * 3 + 965 + 138_576
    # 500 bytes a microsecond at most, 19 us to launch; 1,000 cycles are done meanwhile.
    assert found.latency_us.low == int((sent_bytes + 5_000_000) / 500 + 19)


def test_the_shortest_latency_computes_while_it_sends() -> None:
    long = replace(_COMPILED, estimated_cycles=50_000_000)
    # At 500 MHz at most.
    assert _timing(mobilenet_v2(), compiled=long).latency_us.low == 100_000 + 19


def test_a_host_without_known_power_still_has_a_latency() -> None:
    model = mobilenet_v2()
    found = coral_cost(model, predict(model), find("coral-usb+host"), None)
    assert found.timing.latency_us.high > 0
    assert found.energy_uj is None
    assert found.break_even is None
    assert found.notes[-1].startswith("no power is known of the board")


def test_the_cost_is_one_json_document() -> None:
    found = codec.encode(_cost(mobilenet_v2(), "coral-usb+pi4", Range(20_000, 40_000)))
    assert isinstance(found, dict)
    assert set(found) == {
        "timing", "notes", "sources", "energy_uj", "net_energy_uj", "break_even",
    }  # fmt: skip


def test_subgraphs_are_launched_one_by_one() -> None:
    model = mobilenet_v2()
    twice = _timing(model, compiled=replace(_COMPILED, subgraphs=2)).launch_us
    assert twice.high == 2 * _timing(model, compiled=_COMPILED).launch_us.high


def _compiled_file() -> TfliteModel:
    graph = OpGraph()
    image = graph.feed(1, 224, 224, 3)
    graph.op("CUSTOM", [image], 1, 965, custom="edgetpu-custom-op")
    return graph.model()


def test_a_compiled_file_alone_is_enough_where_its_compiler_stored_the_cycles() -> None:
    model = _compiled_file()
    found = timing(
        model, _mapped(model), "usb3", host_us=[None], compiled=_COMPILED
    )  # fmt: skip
    assert found.latency_us == _timing(mobilenet_v2(), compiled=_COMPILED).latency_us
    assert 0 < found.layers[0].share < 1


def test_a_compiled_file_without_cycles_is_refused_with_a_remedy() -> None:
    model, newer = _compiled_file(), replace(_COMPILED, estimated_cycles=None)
    with pytest.raises(ModelError, match="how long the Edge TPU computes") as refused:
        timing(model, _mapped(model), "usb3", host_us=[None], compiled=newer)
    assert refused.value.hint == "estimate the model as it was before compilation"


def _mapped(model: TfliteModel) -> list[Placement]:
    return [Placement(op.index, op.op, op.version, "tpu", "", "", "proven") for op in model.ops]
