import math
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from green_edge.evaluate.intervals import (
    Interval,
    Z,
    mean_t,
    paired_t,
    t_quantile,
    tango,
    wilson,
    z_of,
)


def test_wilson_gives_the_worked_numbers_of_newcombe_1998() -> None:
    # Statistics in Medicine 17:857-872, table I, method 3.
    published = {(81, 263): (0.2553, 0.3662), (15, 148): (0.0624, 0.1605)}
    for (k, n), (low, high) in published.items():
        interval = wilson(k, n)
        assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)


def test_wilson_keeps_a_width_when_all_or_none_are_right() -> None:
    assert wilson(20, 20).high == 1.0
    # n / (n + z^2), the closed form at k = n.
    assert wilson(20, 20).low == pytest.approx(20 / (20 + Z * Z))
    assert wilson(0, 20).low == 0.0
    assert wilson(0, 20).high == pytest.approx(Z * Z / (20 + Z * Z))


def test_the_plain_paired_interval_inverts_the_constrained_likelihood() -> None:
    # At either end the score statistic, with the nuisance share found by brute force on the
    # likelihood instead of by the closed form, equals z.
    b, c, n = 12, 2, 50
    interval = tango(b, c, n, correction=0.0)
    for d in (interval.low, interval.high):
        q = np.linspace(max(0.0, -d), (1 - d) / 2, 2_000_001)[1:-1]
        likelihood = b * np.log(q + d) + c * np.log(q) + (n - b - c) * np.log(1 - 2 * q - d)
        best = float(q[np.argmax(likelihood)])
        score = (b - c - n * d) / math.sqrt(n * (2 * best + d * (1 - d)))
        assert abs(score) == pytest.approx(Z, abs=1e-4)


def test_the_paired_interval_without_discordant_pairs_is_z2_over_n_plus_z2_to_each_side() -> None:
    for n in (1, 30, 1797):
        interval = tango(0, 0, n)
        assert interval.value == 0.0
        assert interval.high == pytest.approx(Z * Z / (n + Z * Z))
        assert interval.low == pytest.approx(-Z * Z / (n + Z * Z))


def test_the_paired_interval_turns_with_the_sides() -> None:
    one, other = tango(7, 2, 120), tango(2, 7, 120)
    assert one.value == -other.value
    assert one.low == pytest.approx(-other.high)
    assert one.high == pytest.approx(-other.low)


def test_the_paired_interval_reaches_the_end_when_every_pair_differs() -> None:
    assert tango(5, 0, 5).high == 1.0
    assert tango(0, 5, 5).low == -1.0


@cache
def _interval(b: int, c: int, n: int) -> Interval:
    return tango(b, c, n)


def _binomial(n: int, p: float) -> NDArray[np.float64]:
    shares = [math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(min(n, 45) + 1)]
    return np.array(shares)


def _coverage(n: int, p: float, q: float) -> float:
    """Probability that the interval holds p - q: the sum over all tables, no simulation."""
    covered = 0.0
    for b, share_b in enumerate(_binomial(n, p)):
        if share_b < 1e-9:
            continue
        for c, share_c in enumerate(_binomial(n - b, q / (1 - p))):
            if share_b * share_c < 1e-11:
                continue
            interval = _interval(b, c, n)
            if interval.low - 1e-12 <= p - q <= interval.high + 1e-12:
                covered += share_b * share_c
    return covered


@pytest.mark.parametrize("n", [50, 200, 1000])
def test_the_paired_interval_covers_95_percent_where_discordance_is_rare(n: int) -> None:
    # Expected discordant pairs, and the share of them on the better side.
    expected = (0.3, 1.0, 2.0, 3.0, 3.8, 4.5, 6.0, 8.0)
    for discordant in expected:
        for against in (0.0, 0.1, 0.33):
            coverage = _coverage(n, discordant / n, against * discordant / n)
            assert coverage >= 0.95, (n, discordant, against)


def test_a_simulation_agrees_that_the_paired_interval_covers() -> None:
    rng = np.random.default_rng(3)
    n, p, q = 400, 0.012, 0.004
    tables = rng.multinomial(n, (p, q, 1 - p - q), size=4000)
    inside = [_interval(int(b), int(c), n) for b, c, _ in tables]
    coverage = np.mean([i.low <= p - q <= i.high for i in inside])
    # Two standard errors of 4000 draws are 0.7 points.
    assert coverage >= 0.94


def test_students_quantile_agrees_with_the_tables() -> None:
    # Any printed table of t at 97.5 %.
    published = {1: 12.706, 10: 2.228, 30: 2.042, 31: 2.040, 60: 2.000, 120: 1.980}
    for freedom, value in published.items():
        assert t_quantile(freedom) == pytest.approx(value, abs=6e-4)


def test_the_interval_of_a_mean_is_students() -> None:
    values = np.array([0.2, 0.4, 0.6])
    # Mean 0.4, standard deviation 0.2, t(2) = 4.3027: 0.4 +- 0.4968, cut to 0..1.
    interval = mean_t(values)
    assert interval.value == pytest.approx(0.4)
    assert interval.low == 0.0
    assert interval.high == pytest.approx(0.4 + 4.3027 * 0.2 / math.sqrt(3))


def test_scores_that_are_all_equal_still_have_an_interval() -> None:
    interval = mean_t(np.full(50, 1.0))
    assert interval == wilson(50, 50)
    assert mean_t(np.array([0.5])).low < 0.5


def test_the_paired_interval_of_graded_scores_is_students_on_the_differences() -> None:
    rng = np.random.default_rng(0)
    a = rng.uniform(0.5, 1.0, 200)
    b = a - rng.normal(0.01, 0.2, 200)
    d = a - b
    interval = paired_t(a, b)
    half = t_quantile(199) * float(np.std(d, ddof=1)) / math.sqrt(200)
    assert interval.low == pytest.approx(float(np.mean(d)) - half)
    assert interval.high == pytest.approx(float(np.mean(d)) + half)


def test_graded_scores_that_all_differ_alike_still_have_an_interval() -> None:
    interval = paired_t(np.full(50, 1.0), np.full(50, 0.9))
    assert interval.value == pytest.approx(0.1)
    assert interval.high - interval.value == pytest.approx(Z * Z / (50 + Z * Z))
    assert interval.value - interval.low == pytest.approx(Z * Z / (50 + Z * Z))


def test_graded_scores_that_hardly_ever_differ_keep_the_width_of_binary_ones() -> None:
    same = np.full(100, 0.9)
    interval = paired_t(same, same)
    assert interval.value == 0.0
    assert interval.high == pytest.approx(Z * Z / (100 + Z * Z))
    assert paired_t(np.array([1.0]), np.array([1.0])).high == 1.0


def test_graded_scores_with_rare_large_differences_are_covered() -> None:
    rng = np.random.default_rng(5)
    n, share, size = 300, 0.02, 0.5
    inside = 0
    for _ in range(2000):
        drop = size * (rng.random(n) < share)
        interval = paired_t(np.full(n, 0.9), np.asarray(0.9 - drop, np.float64))
        inside += interval.low <= share * size <= interval.high
    assert inside / 2000 >= 0.94


def test_rare_large_differences_among_many_small_ones_are_covered() -> None:
    rng = np.random.default_rng(0)
    n, share, size, small = 200, 0.01, 0.5, 1e-4
    mean = share * size + small * math.sqrt(2 / math.pi)
    inside = 0
    for _ in range(2000):
        drop = np.abs(rng.normal(0, small, n)) + size * (rng.random(n) < share)
        interval = paired_t(np.ones(n), np.asarray(1 - drop, np.float64))
        inside += interval.low <= mean <= interval.high
    assert inside / 2000 >= 0.94


def test_intervals_widen_with_the_looks_so_that_all_of_them_hold_together() -> None:
    # 99.5 % point of the normal distribution and of Student's t at 10 degrees: printed tables.
    assert z_of(1) == Z
    assert z_of(5) == pytest.approx(2.5758, abs=1e-4)
    assert t_quantile(10, z_of(5)) == pytest.approx(3.1693, abs=2e-3)
    one, five = tango(7, 2, 120), tango(7, 2, 120, looks=5)
    assert five.value == one.value
    assert five.low < one.low < one.high < five.high
    graded = np.random.default_rng(0).uniform(size=(2, 50))
    assert paired_t(*graded, looks=5).high > paired_t(*graded).high


def test_five_looks_at_equal_models_are_all_kind_at_most_as_often_as_one_may_be() -> None:
    # Five candidates, each truly two points worse: the chance that any passes a limit of two.
    draw = np.random.default_rng(1)
    n, drop, kind = 400, 0.02, 0
    trials = 400
    for _ in range(trials):
        tables = draw.multinomial(n, (0.04, 0.04 - drop, 0.94 - drop + drop), size=5)
        kind += any(tango(int(b), int(c), n, looks=5).high <= drop for b, c, _ in tables)
    assert kind / trials <= 0.05
