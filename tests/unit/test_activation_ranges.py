"""Choice of an activation's int8 range from its histogram."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from green_edge.convert.int8.ranges import BINS, Range, choose, entropy, least_squares, percentile
from green_edge.core.recipe import CALIBRATIONS, Calibration


def histogram(values: NDArray[np.float64]) -> tuple[NDArray[np.int64], Range]:
    whole = Range(min(float(values.min()), 0.0), max(float(values.max()), 0.0))
    counts, _ = np.histogram(values, BINS, (whole.low, whole.high))
    return counts, whole


def int8_error(values: NDArray[np.float64], chosen: Range) -> float:
    """Mean squared error of int8 over the range, as the converters place its values."""
    step = (chosen.high - chosen.low) / 255
    zero = np.round(-128 - chosen.low / step)
    integers = np.clip(np.round(values / step) + zero, -128, 127)
    return float(np.mean(np.square((integers - zero) * step - values)))


def test_min_max_keeps_every_value() -> None:
    counts, whole = histogram(np.array([-3.0, 0.5, 9.0]))
    assert choose("minmax", counts, whole) == Range(-3.0, 9.0)


def test_percentile_cuts_a_ten_thousandth_of_what_follows_a_relu_off_above_only() -> None:
    values = np.arange(100_000) / 100_000
    counts, whole = histogram(values)
    chosen = percentile(counts, whole)
    assert chosen.low == 0
    assert np.mean(values <= chosen.high) == pytest.approx(0.9999, abs=2 / BINS)


def test_percentile_cuts_both_ends_of_signed_values() -> None:
    values = np.random.default_rng(0).normal(0, 1, 200_000)
    chosen = percentile(*histogram(values))
    # 0.005 % of a normal distribution lie beyond 3.89 standard deviations on each side.
    assert chosen.low == pytest.approx(-3.89, abs=0.25)
    assert chosen.high == pytest.approx(3.89, abs=0.25)


def test_least_squares_clips_a_lone_outlier_when_that_costs_less_than_the_coarser_steps() -> None:
    values = np.append(np.random.default_rng(1).normal(0, 1, 1_000_000), 30.0)
    counts, whole = histogram(values)
    chosen = least_squares(counts, whole)
    assert chosen.high < 15
    assert int8_error(values, chosen) < 0.5 * int8_error(values, whole)


def test_least_squares_keeps_the_whole_range_of_even_values() -> None:
    counts, whole = histogram(np.linspace(0, 8, 100_000))
    assert least_squares(counts, whole).high > 7.9


def test_entropy_clips_a_thin_tail_and_keeps_the_body() -> None:
    rng = np.random.default_rng(2)
    values = np.abs(np.concatenate([rng.normal(0, 1, 400_000), rng.uniform(0, 50, 40)]))
    chosen = entropy(*histogram(values))
    assert chosen.low == 0
    assert 2.5 < chosen.high < 25


@pytest.mark.parametrize("method", CALIBRATIONS)
def test_a_tensor_that_is_always_zero_keeps_its_range(method: Calibration) -> None:
    whole = Range(0.0, 0.0)
    assert choose(method, np.zeros(BINS, np.int64), whole) == whole


@given(
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=50),
    st.sampled_from(CALIBRATIONS),
)
def test_any_range_holds_zero_lies_within_what_was_seen_and_is_no_point(
    values: list[float], method: Calibration
) -> None:
    array = np.array(values)
    whole = Range(min(float(array.min()), 0.0), max(float(array.max()), 0.0))
    if whole.high - whole.low < 1e-9:
        return
    counts, _ = np.histogram(array, BINS, (whole.low, whole.high))
    chosen = choose(method, counts, whole)
    assert whole.low - 1e-9 <= chosen.low <= 0 <= chosen.high <= whole.high * (1 + 1e-9) + 1e-9
    assert chosen.high > chosen.low
