from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from green_edge.build.compare.gate import judge
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
from green_edge.evaluate.intervals import tango
from support.comparisons import comparison, cost, own


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
    check = _only(Gate(quality=QualityLimits(max_drop_pp=1.0)), drop_pp=(0.5, -0.5, 1.5), n=100)
    assert check.samples == 400
    assert check.reason.endswith(
        "of 100 samples reaches across the limit; some 400 samples should tell"
    )


def test_samples_are_counted_towards_a_failure_too() -> None:
    check = _only(Gate(quality=QualityLimits(max_drop_pp=0.0)), drop_pp=(1.0, -1.0, 3.0), n=100)
    assert (check.verdict, check.samples) == ("inconclusive", 400)


def test_at_the_limit_itself_no_number_of_samples_tells() -> None:
    check = _only(Gate(quality=QualityLimits(max_drop_pp=1.0)), drop_pp=(1.0, 0.0, 2.0))
    assert (check.verdict, check.samples) == ("inconclusive", None)
    assert "no number of samples will tell" in check.reason


@given(
    only_a=st.integers(0, 30), only_b=st.integers(0, 30), n=st.integers(100, 2000),
    limit_pp=st.floats(0.2, 5.0),
)  # fmt: skip
def test_with_the_samples_it_asks_for_the_same_rates_are_decided(
    only_a: int, only_b: int, n: int, limit_pp: float
) -> None:
    drop = tango(only_a, only_b, n)
    shown = (drop.value * 100, drop.low * 100, drop.high * 100)
    check = _only(Gate(quality=QualityLimits(max_drop_pp=limit_pp)), drop_pp=shown, n=n)
    if check.samples is None:
        return
    # Whole multiples keep the rates; Tango's interval is skewed, hence one multiple to spare.
    times = -(-check.samples // n) + 1
    more = tango(only_a * times, only_b * times, n * times)
    gate = Gate(quality=QualityLimits(max_drop_pp=limit_pp))
    shown = (more.value * 100, more.low * 100, more.high * 100)
    assert _only(gate, drop_pp=shown, n=n * times).verdict != "inconclusive"


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
    ("most", "verdict"), [(1100, "pass"), (1000, "inconclusive"), (899, "fail")]
)
def test_estimated_instructions_are_judged_with_the_models_error(most: int, verdict: str) -> None:
    pair = PredictedPair("pi4", cost(1000), cost(1000))
    check = _only(Gate(instructions=(InstructionLimits("pi4", max=most),)), predicted=(pair,))
    assert (check.verdict, check.value, check.low, check.high) == (verdict, 1000, 900, 1100)
    assert check.target == "pi4"


@pytest.mark.parametrize(
    # Half as many, each count off by a tenth: half, off by a seventh.
    ("most", "verdict"), [(0.571, "pass"), (0.57, "inconclusive"), (0.43, "inconclusive"),
                          (0.429, "fail")],
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
        # 100 over 200 and 300 over 400, each off by a seventh: 0.429 to 0.856.
        (EnergyLimits("pi4", max_ratio=0.86), "pass"),
        (EnergyLimits("pi4", max_ratio=0.85), "inconclusive"),
        (EnergyLimits("pi4", max_ratio=0.43), "inconclusive"),
        (EnergyLimits("pi4", max_ratio=0.42), "fail"),
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
    assert (check.low, check.high) == pytest.approx((0.4293, 0.5707), abs=1e-4)


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
