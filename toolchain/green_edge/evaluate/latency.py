"""Latency on this machine, and of no device: int8 may be slower here and faster on a board.

Models are measured in turn, one run each, in an order drawn anew every round, so that whatever else
the machine does meets them all alike. Timed is the inference with the copies of its inputs and
outputs; pre- and post-processing are not.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from green_edge.evaluate.intervals import Z
from green_edge_agent.runtime import interpreter
from green_edge_agent.runtime.timing import random_inputs
from green_edge_wire.clock import SystemClock
from green_edge_wire.errors import ConfigError
from green_edge_wire.units import us_from_ns


@dataclass(frozen=True, slots=True)
class LatencyRatio:
    """How many times as long one model takes as another.

    Attributes:
        median: of the ratios of all rounds.
        low: its 95 % interval.
        high: likewise.
    """

    median: float
    low: float
    high: float


def medians_us(
    models: Mapping[str, bytes], *, runs: int = 100, warm_up: int = 10, seed: int = 0
) -> dict[str, float]:
    """Median latency of each model, all measured against each other.

    Raises:
        ModelError: a model cannot run.
    """
    durations_ns = _durations(models, runs=runs, warm_up=warm_up, seed=seed)
    return {name: us_from_ns(float(np.median(values))) for name, values in durations_ns.items()}


def ratio(
    first: bytes, second: bytes, *, runs: int = 100, warm_up: int = 10, seed: int = 0
) -> LatencyRatio:
    """Latency of the second model over that of the first, round by round.

    A round runs both, one after the other, so what slows the machine down meets both. The interval
    is that of a median by order statistics, which assumes no shape of the distribution.

    Raises:
        ModelError: a model cannot run.
    """
    durations_ns = _durations({"first": first, "second": second}, runs=runs, warm_up=warm_up,
                              seed=seed)  # fmt: skip
    before = np.asarray(durations_ns["first"], dtype=np.float64)
    after = np.asarray(durations_ns["second"], dtype=np.float64)
    return median_ratio(after / before)


def median_ratio(ratios: NDArray[np.float64]) -> LatencyRatio:
    """Median of some ratios with its 95 % interval."""
    ordered = np.sort(ratios)
    n = len(ordered)
    # Of n values, the count below the median is binomial with p = 1/2; normal approximation.
    half = Z * math.sqrt(n) / 2
    low = ordered[max(math.floor(n / 2 - half) - 1, 0)]
    high = ordered[min(math.ceil(n / 2 + half), n - 1)]
    return LatencyRatio(float(np.median(ordered)), float(low), float(high))


def _durations(
    models: Mapping[str, bytes], *, runs: int, warm_up: int, seed: int
) -> dict[str, list[int]]:
    """Nanoseconds of each timed run by model; entry i of all is of the same round."""
    if runs < 1 or warm_up < 0:
        raise ConfigError(f"cannot measure {runs} runs after {warm_up}")
    clock = SystemClock()
    rng = np.random.default_rng(seed)
    runners = {name: interpreter.load(data) for name, data in models.items()}
    inputs = {name: random_inputs(r.inputs, rng) for name, r in runners.items()}
    durations_ns: dict[str, list[int]] = {name: [] for name in models}
    names = list(models)
    for turn in range(warm_up + runs):
        for index in rng.permutation(len(names)):
            name = names[index]
            start_ns = clock.monotonic_ns()
            runners[name].invoke(inputs[name])
            if turn >= warm_up:
                durations_ns[name].append(clock.monotonic_ns() - start_ns)
    return durations_ns
