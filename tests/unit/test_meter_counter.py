from green_edge_agent.meters.counter import EndlessCounter, Step, step_between
from green_edge_wire.units import NS_PER_S, UW_PER_W

_MAX_UW = 100 * UW_PER_W


def test_one_wrap_is_undone() -> None:
    step = step_between(
        950, 50, wraps_at_uj=1_000_000_000_000, elapsed_ns=NS_PER_S, max_power_uw=_MAX_UW
    )
    assert step == Step(0, reset=True)
    step = step_between(
        999_999_999_950,
        50,
        wraps_at_uj=1_000_000_000_000,
        elapsed_ns=NS_PER_S,
        max_power_uw=_MAX_UW,
    )
    assert step == Step(100)


def test_a_silence_that_is_long_enough_for_two_wraps_is_not_trusted() -> None:
    step = step_between(
        0, 10, wraps_at_uj=1_000_000_000, elapsed_ns=20 * NS_PER_S, max_power_uw=_MAX_UW
    )
    assert step == Step(10, reset=True)


def test_a_jump_that_no_machine_can_make_is_a_reset() -> None:
    step = step_between(0, 201_000_000, wraps_at_uj=None, elapsed_ns=NS_PER_S, max_power_uw=_MAX_UW)
    assert step == Step(0, reset=True)


def test_counting_goes_on_after_a_reset() -> None:
    counter = EndlessCounter(wraps_at_uj=None, max_power_uw=_MAX_UW)
    assert counter.advance(500_000_000, 0) == Step(0)
    assert counter.advance(510_000_000, NS_PER_S) == Step(10_000_000)
    assert counter.advance(1_000, 2 * NS_PER_S).reset
    assert counter.advance(5_001_000, 3 * NS_PER_S) == Step(5_000_000)
    assert counter.total_uj == 15_000_000
