from hypothesis import given
from hypothesis import strategies as st

from green_edge_agent.meters.counter import EndlessCounter, step_between
from green_edge_wire.units import NS_PER_S, UW_PER_W

_MAX_UW = 200 * UW_PER_W
# A narrow range wraps often; at 200 W it still takes more than five minutes.
_RANGE_UJ = 65_536 * 1_000_000


@given(
    st.integers(0, _RANGE_UJ - 1),
    st.lists(
        st.tuples(st.integers(1, 300), st.integers(0, 200 * UW_PER_W)), min_size=1, max_size=60
    ),
)
def test_a_wrapped_counter_reads_the_same_as_an_endless_one(
    start_uj: int, steps: list[tuple[int, int]]
) -> None:
    wrapping = EndlessCounter(wraps_at_uj=_RANGE_UJ, max_power_uw=_MAX_UW)
    endless_uj, at_ns = start_uj, 0
    wrapping.advance(start_uj, at_ns)
    for seconds, power_uw in steps:
        endless_uj += seconds * power_uw
        at_ns += seconds * NS_PER_S
        step = wrapping.advance(endless_uj % _RANGE_UJ, at_ns)
        assert not step.reset
    assert wrapping.total_uj == endless_uj - start_uj


@given(st.integers(2_000_000_000, _RANGE_UJ - 300_000_000), st.integers(0, 1_000_000))
def test_a_counter_that_starts_anew_is_a_reset_and_never_negative_energy(
    before_uj: int, after_uj: int
) -> None:
    for wraps_at_uj in (None, _RANGE_UJ):
        step = step_between(
            before_uj, after_uj, wraps_at_uj=wraps_at_uj, elapsed_ns=0, max_power_uw=_MAX_UW
        )
        assert step.reset
        assert step.delta_uj == 0


@given(st.integers(0, 1 << 62), st.integers(0, 1 << 62), st.integers(0, 1 << 50))
def test_no_pair_of_values_gives_negative_energy_or_more_than_the_machine_can_use(
    before_uj: int, after_uj: int, elapsed_ns: int
) -> None:
    step = step_between(
        before_uj, after_uj, wraps_at_uj=None, elapsed_ns=elapsed_ns, max_power_uw=_MAX_UW
    )
    limit_uj = _MAX_UW * (elapsed_ns + NS_PER_S) / NS_PER_S
    assert 0 <= step.delta_uj <= limit_uj + 1
