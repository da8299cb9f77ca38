import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from green_edge.build.compare.gate import IfMore, judge
from green_edge.build.compare.predicted import cost_of, predict_pairs
from green_edge.build.compare.values import PredictedPair
from green_edge.core.gate import (
    Check,
    EnergyLimits,
    Gate,
    InstructionLimits,
    LatencyLimits,
    MacsLimits,
    QualityLimits,
    SizeLimits,
)
from green_edge.evaluate.intervals import Interval, tango
from green_edge.targets.registry import find
from support.comparisons import comparison, cost, own
from support.op_graphs import OpGraph


def _only(gate: Gate, **found: Any) -> Check:
    (check,) = judge(gate, comparison(**found), own()).checks
    return check


@pytest.mark.parametrize(
    ("limit_pp", "verdict"), [(1.5, "pass"), (1.0, "inconclusive"), (-0.6, "fail")]
)
def test_a_drop_is_judged_by_its_whole_interval(limit_pp: float, verdict: str) -> None:
    check = _only(Gate(quality=QualityLimits(max_drop_pp=limit_pp)), drop_pp=(0.5, -0.5, 1.5))
    assert check.verdict == verdict
    assert (check.value, check.low, check.high) == pytest.approx((0.5, -0.5, 1.5))


def test_an_undecided_drop_says_how_many_samples_would_tell() -> None:
    # The limit is half as far off as the end of the interval: four times the samples.
    check = _undecided(1.0, drop_pp=(0.5, -0.5, 1.5))
    assert check.samples == 400
    assert check.reason.endswith(
        "of 100 samples reaches across the limit; some 400 samples should tell"
    )


def test_samples_are_counted_towards_a_failure_too() -> None:
    assert _undecided(0.0, drop_pp=(1.0, -1.0, 3.0)).samples == 410


def test_at_the_limit_itself_no_number_of_samples_tells() -> None:
    check = _undecided(1.0, drop_pp=(1.0, 0.0, 2.0))
    assert check.samples is None
    assert "no number of samples would tell" in check.reason


def _undecided(limit_pp: float, drop_pp: tuple[float, float, float]) -> Check:
    """Check of a drop on 100 samples whose interval narrows with the square root of them."""
    value, low, high = (each / 100 for each in drop_pp)

    def at(samples: int) -> Interval:
        narrower = math.sqrt(100 / samples)
        return Interval(value, value - (value - low) * narrower, value + (high - value) * narrower)

    gate = Gate(quality=QualityLimits(max_drop_pp=limit_pp))
    found = judge(gate, comparison(drop_pp=drop_pp, n=100), own(), IfMore(drop=at))
    (check,) = found.checks
    assert check.verdict == "inconclusive"
    return check


@given(
    only_a=st.integers(0, 30), only_b=st.integers(0, 30), n=st.integers(100, 2000),
    limit_pp=st.floats(0.2, 5.0),
)  # fmt: skip
@example(only_a=14, only_b=0, n=1275, limit_pp=1.055)
@example(only_a=3, only_b=0, n=101, limit_pp=2.9)
def test_with_the_samples_it_asks_for_the_same_rates_are_decided(
    only_a: int, only_b: int, n: int, limit_pp: float
) -> None:
    def at(samples: int) -> Interval:
        return tango(only_a * samples / n, only_b * samples / n, samples)

    def check_of(samples: int) -> Check:
        drop = at(samples)
        shown = (drop.value * 100, drop.low * 100, drop.high * 100)
        found = comparison(drop_pp=shown, n=samples)
        return judge(gate, found, own(), IfMore(drop=at)).checks[0]

    gate = Gate(quality=QualityLimits(max_drop_pp=limit_pp))
    check = check_of(n)
    if check.samples is None:
        return
    assert check_of(check.samples).verdict != "inconclusive"
    # Whole multiples keep the rates.
    assert check_of(-(-check.samples // n) * n).verdict != "inconclusive"


@pytest.mark.parametrize(
    ("least", "agreement", "verdict"),
    [(0.8, 0.9, "pass"), (0.95, 0.9, "fail"), (0.9, 0.9, "inconclusive"),
     (None, 0.9, "inconclusive"), (0.8, None, "inconclusive")],
)  # fmt: skip
def test_outputs_that_no_label_speaks_of_are_held_to_the_baselines(
    least: float | None, agreement: float | None, verdict: str
) -> None:
    found = None if agreement is None else own(agreement, agreement - 0.02, agreement + 0.02)
    both = replace(comparison(), unjudged_outputs=1, other_outputs=found)
    limits = QualityLimits(max_drop_pp=50.0, min_other_outputs=least)
    result = judge(Gate(quality=limits), both, own())
    check = result.checks[-1]
    assert (check.name, check.verdict) == ("quality.min_other_outputs", verdict)
    assert (check.limit, check.value, result.verdict) == (least, agreement, verdict)
    if least is None:
        assert "set [quality] min_other_outputs" in check.reason


def test_a_model_of_one_output_has_no_others_to_check() -> None:
    limits = QualityLimits(min_other_outputs=1.0)
    assert _only(Gate(quality=limits)).verdict == "pass"
    assert not judge(Gate(size=SizeLimits(max_bytes=10_000)),
                     replace(comparison(), unjudged_outputs=1), own()).checks[1:]  # fmt: skip


@pytest.mark.parametrize(
    ("least", "verdict"), [(0.88, "pass"), (0.9, "inconclusive"), (0.93, "fail")]
)
def test_a_floor_is_judged_by_the_new_models_own_interval(least: float, verdict: str) -> None:
    check = _only(Gate(quality=QualityLimits(min=least)))
    assert (check.verdict, check.value, check.unit) == (verdict, 0.9, "share")


def test_what_is_known_exactly_passes_at_its_limit_and_fails_above() -> None:
    gate = Gate(
        size=SizeLimits(max_bytes=10_000, max_ratio=0.25, max_zip_bytes=9_000, max_zip_ratio=0.29),
        macs=MacsLimits(max=800, max_ratio=0.79),
    )
    checks = judge(gate, comparison(), own()).checks
    assert [(check.name, check.verdict) for check in checks] == [
        ("size.max_bytes", "pass"),
        ("size.max_ratio", "pass"),
        ("size.max_zip_bytes", "pass"),
        ("size.max_zip_ratio", "fail"),
        ("macs.max", "pass"),
        ("macs.max_ratio", "fail"),
    ]
    assert {(check.low, check.high) for check in checks} == {(None, None)}


def test_a_ratio_to_a_model_without_macs_cannot_be_told() -> None:
    limits = Gate(macs=MacsLimits(max_ratio=1.0))
    assert _only(limits, macs=(0, 5)).verdict == "inconclusive"
    assert _only(limits, macs=(0, 0)).verdict == "pass"


@pytest.mark.parametrize(
    ("most", "verdict"), [(1100, "pass"), (1000, "inconclusive"), (908, "fail")]
)
def test_estimated_instructions_are_judged_with_the_models_error(most: int, verdict: str) -> None:
    pair = PredictedPair("pi4", cost(1000), cost(1000))
    check = _only(Gate(instructions=(InstructionLimits("pi4", max=most),)), predicted=(pair,))
    assert (check.verdict, check.value, check.low, check.high) == (verdict, 1000, 909, 1100)
    assert check.target == "pi4"


@pytest.mark.parametrize(
    # Half as many, each count off by a tenth: half, off by the factor 1.1443.
    ("most", "verdict"), [(0.573, "pass"), (0.572, "inconclusive"), (0.437, "inconclusive"),
                          (0.436, "fail")],
)  # fmt: skip
def test_a_ratio_of_estimates_is_as_uncertain_as_both(most: float, verdict: str) -> None:
    pair = PredictedPair("pi4", cost(1000), cost(2000))
    check = _only(Gate(instructions=(InstructionLimits("pi4", max_ratio=most),)), predicted=(pair,))
    assert (check.verdict, check.value) == (verdict, 0.5)


def test_a_model_costs_exactly_as_much_as_itself() -> None:
    pair = PredictedPair("pi4", cost(1000), cost(1000))
    gate = Gate(
        instructions=(InstructionLimits("pi4", max_ratio=1.0),),
        energy=(EnergyLimits("pi4", max_ratio=1.0),),
    )
    assert judge(gate, comparison(predicted=(pair,)), own()).verdict == "pass"


@pytest.mark.parametrize(
    ("most_us", "verdict"), [(3_000, "pass"), (2_000, "inconclusive"), (999, "fail")]
)
def test_a_latency_is_a_range_and_has_no_middle(most_us: float, verdict: str) -> None:
    gate = Gate(latency=(LatencyLimits("pi4", most_us),))
    check = _only(gate, predicted=(PredictedPair("pi4", cost(1000)),))
    assert (check.verdict, check.value) == (verdict, None)
    assert (check.low, check.high) == (1_000, 3_000)


@pytest.mark.parametrize(
    ("limits", "verdict"),
    [
        (EnergyLimits("pi4", max_uj=300.0), "pass"),
        (EnergyLimits("pi4", max_uj=99.0), "fail"),
        (EnergyLimits("pi4", max_uj=200.0), "inconclusive"),
        # 100 over 200 and 300 over 400, each off by the factor 1.1443: 0.437 to 0.858.
        (EnergyLimits("pi4", max_ratio=0.86), "pass"),
        (EnergyLimits("pi4", max_ratio=0.85), "inconclusive"),
        (EnergyLimits("pi4", max_ratio=0.44), "inconclusive"),
        (EnergyLimits("pi4", max_ratio=0.43), "fail"),
    ],
)
def test_an_energy_and_its_ratio_are_ranges(limits: EnergyLimits, verdict: str) -> None:
    pair = PredictedPair("pi4", cost(1000), cost(2000, energy_uj=(200, 400)))
    assert _only(Gate(energy=(limits,)), predicted=(pair,)).verdict == verdict


def test_an_energy_below_a_microjoule_leaves_the_upper_ratio() -> None:
    a, b = cost(1000, energy_uj=(0, 4)), cost(1000, energy_uj=(0, 2))
    limits = Gate(energy=(EnergyLimits("pi4", max_ratio=0.6),))
    check = _only(limits, predicted=(PredictedPair("pi4", b, a),))
    assert check.verdict == "pass"
    assert (check.low, check.high) == pytest.approx((0.4370, 0.5721), abs=1e-4)


def test_a_ratio_to_an_estimate_that_was_not_recorded_cannot_be_told() -> None:
    gate = Gate(
        instructions=(InstructionLimits("pi5", max=2000, max_ratio=1.0),),
        energy=(EnergyLimits("pi5", max_ratio=1.0),),
    )
    result = judge(gate, comparison(predicted=(PredictedPair("pi5", cost(1000)),)), own())
    assert [check.verdict for check in result.checks] == ["pass", "inconclusive", "inconclusive"]
    assert "predicted nothing for pi5" in result.checks[1].reason
    assert result.checks[1].value is None


def test_a_failure_wins_over_an_open_question() -> None:
    undecided = QualityLimits(max_drop_pp=1.0)
    open_ = judge(Gate(quality=undecided, size=SizeLimits(max_bytes=10_000)), comparison(), own())
    assert open_.verdict == "inconclusive"
    failed = judge(Gate(quality=undecided, size=SizeLimits(max_bytes=9_999)), comparison(), own())
    assert failed.verdict == "fail"


@pytest.mark.parametrize("old", [True, False])
def test_an_estimate_of_a_part_of_a_model_decides_nothing(old: bool) -> None:
    all_of_it, part = cost(1_000), replace(cost(1_000), partial=True)
    whole = PredictedPair("pi4", all_of_it, all_of_it)
    partial = replace(whole, a=part) if old else replace(whole, b=part)
    gate = Gate(
        instructions=(InstructionLimits("pi4", max=2_000, max_ratio=2.0),),
        latency=(LatencyLimits("pi4", max_us=9_000),),
        energy=(EnergyLimits("pi4", max_uj=9_000, max_ratio=9.0),),
    )
    assert judge(gate, comparison(predicted=(whole,)), own()).verdict == "pass"
    checks = judge(gate, comparison(predicted=(partial,)), own()).checks
    assert [check.verdict for check in checks] == ["inconclusive"] * 5
    assert all("inner graphs" in each.reason and each.high is None for each in checks)


def test_what_a_gate_asks_of_a_model_with_loops_is_known_to_be_a_part() -> None:
    graph = OpGraph()
    graph.conv(graph.feed(1, 8, 8, 8), 8)
    whole, target = graph.model(), find("pi4")
    assert not cost_of(whole, target).partial
    ((pair,), _) = predict_pairs(replace(whole, subgraphs=2), [target], lambda *_: None)
    assert pair.b.partial
