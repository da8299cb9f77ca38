"""95 % confidence intervals for shares, means, and differences on paired samples.

Wilson (1927) for one share. Tango (1998), Statistics in Medicine 17:891-908, for the difference of
two shares on the same samples: a score interval, so it keeps a width where no sample is judged
differently, which is where the Wald interval and a bootstrap collapse to a point. Where a few are
(some 3 to 10), the plain interval covers as little as 93 %; a continuity correction of half a
sample brings that to 95 %. Newcombe (1998), Statistics in Medicine 17:873-890, for the difference
of two means that are not of the same samples. Student's t for means of graded scores; for their
paired differences never narrower than Tango's at zero discordant pairs. Where candidates are put to
the verdict one after the other until one passes, the k-th interval leaves out 2.5 % / k at each
end.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

# Two-sided 95 % point of the normal distribution.
Z = 1.959963984540054
_BISECTIONS = 60
_HALF_A_PAIR = 0.5


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95 % interval."""

    value: float
    low: float
    high: float


def z_of(looks: int) -> float:
    """Point of the normal distribution beyond which 2.5 % / `looks` lie, at either end.

    Bonferroni's level for so many looks. Applied to each look in turn, the ends are missed with at
    most 2.5 % times 1 + 1/2 + ... + 1/looks.
    """
    return Z if looks == 1 else NormalDist().inv_cdf(1 - tail_of(looks))


def tail_of(looks: int) -> float:
    """Probability that lies beyond either end at so many looks."""
    return 0.025 / looks


def wilson(k: float, n: int) -> Interval:
    """Score interval of a share: `k` of `n`.

    Args:
        k: successes; a sum of scores in 0..1 makes a wider interval than theirs, never a
            narrower one, because no variable in 0..1 varies more than a binary one of its mean.
        n: samples, at least 1.
    """
    share = k / n
    centre = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
    spread = share * (1 - share) / n + Z * Z / (4 * n * n)
    half = Z * math.sqrt(max(spread, 0.0)) / (1 + Z * Z / n)
    low = 0.0 if k <= 0 else min(max(centre - half, 0.0), share)
    high = 1.0 if k >= n else max(min(centre + half, 1.0), share)
    return Interval(share, low, high)


def tango(
    b: float, c: float, n: int, *, correction: float = _HALF_A_PAIR, looks: int = 1
) -> Interval:
    """Score interval of the difference of two paired shares, (b - c) / n.

    Args:
        b: pairs where the first alone is right; a fraction stands for a rate.
        c: pairs where the second alone is right.
        n: all pairs, at least 1.
        correction: for continuity, in pairs; 0 gives the published interval. Without a discordant
            pair none is needed, and the ends are +-z^2 / (n + z^2).
        looks: see `z_of`.
    """
    z = z_of(looks)
    difference = (b - c) / n
    shift = correction if b + c else 0.0
    return Interval(
        difference,
        _root(lambda d: _tango_score(b, c, n, d, -shift) - z, -1.0, difference),
        _root(lambda d: _tango_score(b, c, n, d, shift) + z, difference, 1.0),
    )


def _tango_score(b: float, c: float, n: int, d: float, shift: float) -> float:
    """Score statistic against the difference `d`; falls as `d` rises.

    The second discordant share is the maximum-likelihood one under `d`: the larger root of
    2n q^2 + (-b - c + (2n - b + c) d) q - c d (1 - d) = 0 (Tango 1998, formula 24).
    """
    linear = -b - c + (2 * n - b + c) * d
    constant = -c * d * (1 - d)
    q = (math.sqrt(max(linear * linear - 8 * n * constant, 0.0)) - linear) / (4 * n)
    variance = n * (2 * q + d * (1 - d))
    distance = b - c + shift - n * d
    if variance <= 0:
        return math.copysign(math.inf, distance) if distance else 0.0
    return distance / math.sqrt(variance)


def _root(f: Callable[[float], float], low: float, high: float) -> float:
    """Where a falling function crosses zero within [low, high]; an end where it does not."""
    if f(low) <= 0:
        return low
    if f(high) >= 0:
        return high
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if f(middle) > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def mean_t(values: NDArray[np.float64], *, samples: int | None = None) -> Interval:
    """Interval of the mean of scores in 0..1; as if there were `samples` like them, if given.

    Scores that are all equal have no spread to judge by; they get Wilson's, which is as wide as
    any scores of that mean may need.
    """
    n = samples or len(values)
    mean = float(np.mean(values))
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    if spread == 0.0:
        return wilson(mean * n, n)
    half = t_quantile(n - 1) * spread / math.sqrt(n)
    return Interval(mean, max(mean - half, 0.0), min(mean + half, 1.0))


def paired_t(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    *,
    looks: int = 1,
    samples: int | None = None,
) -> Interval:
    """Interval of the mean of `first - second`, both in 0..1, on the same samples.

    With `samples` it is as if there were so many like them.

    Student's t, never narrower than Tango's without any discordant pair: a difference that strikes
    one sample in a hundred may be missing from the set, and then nothing in it tells of it.
    """
    differences = first - second
    n = samples or len(differences)
    mean = float(np.mean(differences))
    spread = float(np.std(differences, ddof=1)) if len(differences) > 1 else 0.0
    z = z_of(looks)
    half = t_quantile(n - 1, z) * spread / math.sqrt(n) if n > 1 else 1.0
    half = max(half, z * z / (n + z * z))
    return Interval(mean, max(mean - half, -1.0), min(mean + half, 1.0))


def unpaired(first: Interval, second: Interval) -> Interval:
    """Interval of `first - second` of two means on samples of their own (Newcombe's method 10)."""
    value = first.value - second.value
    down = math.hypot(first.value - first.low, second.high - second.value)
    up = math.hypot(first.high - first.value, second.value - second.low)
    return Interval(value, max(value - down, -1.0), min(value + up, 1.0))


def t_quantile(freedom: int, z: float = Z) -> float:
    """Point of Student's t that has the probability of `z` under the normal distribution.

    For 95 % a table up to 30 degrees of freedom; else the expansion of Abramowitz and Stegun
    26.7.5, within 1e-5 above 30 degrees, within 1 % from 5 on.
    """
    if z == Z and freedom <= len(_T_TABLE):
        return _T_TABLE[freedom - 1]
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + math.fsum(term / float(freedom) ** i for i, term in enumerate(terms, 1))


_T_TABLE: Sequence[float] = (
    *(12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281),
    *(2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860),
    *(2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484, 2.0452, 2.0423),
)
