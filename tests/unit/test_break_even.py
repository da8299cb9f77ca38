from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from green_edge.targets.break_even import Way, break_even
from green_edge.targets.physics import Bounds, Range


def _way(latency_us: int, active_mw: float, idle_mw: float = 0.0) -> Way:
    """A way without any uncertainty."""
    return Way(
        Range(latency_us, latency_us), Bounds(idle_mw, idle_mw), Bounds(active_mw, active_mw)
    )


_CPU = _way(10_000, 1_000)
# 10 mJ a request on the processor, 1 mJ on the accelerator, which draws 90 mW: even at 10 a second.
_TPU = _way(2_000, 500, idle_mw=90)


def test_the_crossover_is_where_the_savings_pay_for_the_idle_power() -> None:
    found = break_even(_CPU, _TPU)
    assert found.crossover_rps is not None
    assert found.crossover_rps.low == pytest.approx(10)
    assert found.crossover_rps.high == pytest.approx(10)
    cpu_mw, tpu_mw = _CPU.power_mw(10), _TPU.power_mw(10)
    assert cpu_mw is not None
    assert tpu_mw is not None
    assert cpu_mw.low == pytest.approx(tpu_mw.low) == pytest.approx(100)


def test_the_verdict_depends_on_the_rate_that_is_asked() -> None:
    assert break_even(_CPU, _TPU, rate_rps=1).verdict == "cpu"
    assert break_even(_CPU, _TPU, rate_rps=50).verdict == "tpu"
    assert break_even(_CPU, _TPU).verdict == "either"


def test_beyond_the_processor_only_the_accelerator_serves() -> None:
    found = break_even(_CPU, _TPU, rate_rps=200)
    assert (found.verdict, found.reason) == (
        "tpu",
        "the processor, on one thread, cannot keep up with this rate",
    )
    row = next(row for row in found.rows if row.rate_rps == 200)
    assert row.cpu_mw is None
    assert row.tpu_mw is not None


def test_beyond_both_neither_serves() -> None:
    found = break_even(_CPU, _TPU, rate_rps=600)
    assert found.verdict == "neither"
    assert found.reason == "neither keeps up with this rate, one request after the other"


# From 100 to 250, and from 300 to 1000 requests a second.
_CPU_RANGE = Way(Range(4_000, 10_000), Bounds(0, 0), Bounds(1_000, 1_000))
_TPU_RANGE = Way(Range(1_000, 3_300), Bounds(90, 90), Bounds(500, 500))


@pytest.mark.parametrize(
    ("rate_rps", "verdict", "may_fail", "reason"),
    [
        (200, "either", ("cpu",), "the processor, on one thread, may not keep up with this rate"),
        (
            260, "tpu", (), "the processor, on one thread, cannot keep up with this rate",
        ),
        (
            900, "either", ("tpu",),
            "the processor, on one thread, cannot, the Edge TPU may not keep up with this rate",
        ),
    ],
)  # fmt: skip
def test_no_way_is_chosen_that_may_not_keep_up(
    rate_rps: float, verdict: str, may_fail: tuple[str, ...], reason: str
) -> None:
    # It saves nothing: wherever the processor keeps up, the processor spends less.
    tpu = replace(_TPU_RANGE, active_mw=Bounds(5_000, 5_000))
    found = break_even(_CPU_RANGE, tpu, rate_rps=rate_rps)
    row = next(row for row in found.rows if row.rate_rps == rate_rps)
    assert (found.verdict, row.choice, row.may_fail) == (verdict, verdict, may_fail)
    assert found.reason == reason


def test_an_accelerator_that_spends_less_is_not_chosen_where_it_may_not_keep_up() -> None:
    tpu = replace(_TPU_RANGE, latency_us=Range(1_000, 20_000), active_mw=Bounds(10, 10))
    found = break_even(_CPU_RANGE, tpu, rate_rps=90)
    assert (found.verdict, found.reason) == (
        "either",
        "the Edge TPU may not keep up with this rate",
    )


def test_where_both_may_fail_the_reason_names_both() -> None:
    slow = replace(_TPU_RANGE, latency_us=Range(1_000, 20_000))
    found = break_even(_CPU_RANGE, slow, rate_rps=200)
    assert found.verdict == "either"
    assert found.reason == (
        "neither the processor, on one thread, nor the Edge TPU surely keeps up"
    )


def test_a_way_that_is_best_at_all_rates_stays_the_verdict_though_its_limit_is_not_known() -> None:
    cpu = replace(_CPU_RANGE, latency_us=Range(500, 2_000))
    found = break_even(cpu, replace(_TPU_RANGE, active_mw=Bounds(5_000, 5_000)))
    assert [row.choice for row in found.rows][-3:] == ["cpu", "either", "neither"]
    assert found.verdict == "cpu"


def test_an_accelerator_that_saves_nothing_never_pays() -> None:
    found = break_even(_way(20, 2_000), _way(40, 1_500, idle_mw=300))
    assert found.crossover_rps is None
    assert found.verdict == "cpu"
    assert found.reason == "at no rate does the Edge TPU save what it draws when idle"


def test_one_that_saves_nothing_still_serves_what_the_processor_cannot() -> None:
    found = break_even(_way(20_000, 500), _way(5_000, 2_000, idle_mw=300))
    assert found.crossover_rps is None
    assert found.verdict == "either"
    assert found.reason.endswith("above 50 requests/s it alone may keep up")


def test_between_the_crossover_rates_the_ranges_do_not_tell() -> None:
    cpu = Way(Range(8_000, 12_000), Bounds(0, 0), Bounds(800, 1_200))
    tpu = Way(Range(1_000, 2_000), Bounds(80, 100), Bounds(400, 600))
    found = break_even(cpu, tpu, rate_rps=10)
    # 80 mW over at most 14.4 - 0.4 mJ, 100 mW over at least 6.4 - 1.2 mJ.
    assert found.crossover_rps is not None
    assert found.crossover_rps.low == pytest.approx(80 / 14.0)
    assert found.crossover_rps.high == pytest.approx(100 / 5.2)
    assert found.verdict == "either"


def test_an_accelerator_without_idle_power_pays_from_the_first_request() -> None:
    found = break_even(_CPU, _way(2_000, 500))
    assert found.verdict == "tpu"
    assert found.reason.startswith("the Edge TPU may spend less at any rate")


_LATENCIES = st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)).map(sorted)
_ROUNDED_MW = 0.002
_POWERS = st.tuples(st.integers(0, 10_000), st.integers(0, 10_000)).map(sorted)


@given(_LATENCIES, _POWERS, _LATENCIES, _POWERS, _POWERS, st.floats(1e-3, 1e5))
def test_a_sure_choice_spends_less_at_both_ends_of_the_ranges(
    cpu_us: list[int],
    cpu_mw: list[int],
    tpu_us: list[int],
    tpu_mw: list[int],
    idle_mw: list[int],
    rate_rps: float,
) -> None:
    cpu = Way(Range(*cpu_us), Bounds(0, 0), Bounds(*cpu_mw))
    tpu = Way(Range(*tpu_us), Bounds(*idle_mw), Bounds(*tpu_mw))
    found = break_even(cpu, tpu, rate_rps=rate_rps)
    row = next(row for row in found.rows if row.rate_rps == rate_rps)
    assert (row.cpu_mw is None) == (rate_rps > cpu.capacity_rps.high)
    if row.choice in ("cpu", "tpu"):
        assert rate_rps <= (cpu if row.choice == "cpu" else tpu).capacity_rps.low
    if row.cpu_mw is None or row.tpu_mw is None:
        return
    sure = rate_rps <= min(cpu.capacity_rps.low, tpu.capacity_rps.low)
    if sure and row.choice == "tpu":
        assert row.tpu_mw.high <= row.cpu_mw.low + _ROUNDED_MW
    if sure and row.choice == "cpu":
        assert row.cpu_mw.high <= row.tpu_mw.low + _ROUNDED_MW
