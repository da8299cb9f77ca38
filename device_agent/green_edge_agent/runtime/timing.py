"""What is fed to a model that is measured, and how its durations are summed up."""

from collections.abc import Sequence

import numpy as np

from green_edge_agent.runtime.contract import Array
from green_edge_wire.bench import LatencyStats
from green_edge_wire.manifest import TensorSpec
from green_edge_wire.units import us_from_ns


def stats(durations_ns: Sequence[int]) -> LatencyStats:
    """Summary of some durations; percentiles interpolate linearly between neighbours."""
    values = np.asarray(durations_ns, dtype=np.float64)
    p5, p50, p95, p99 = np.percentile(values, (5, 50, 95, 99))
    return LatencyStats(
        runs=len(values),
        mean_us=us_from_ns(float(np.mean(values))),
        min_us=us_from_ns(float(np.min(values))),
        p5_us=us_from_ns(float(p5)),
        p50_us=us_from_ns(float(p50)),
        p95_us=us_from_ns(float(p95)),
        p99_us=us_from_ns(float(p99)),
        max_us=us_from_ns(float(np.max(values))),
    )


def random_inputs(specs: Sequence[TensorSpec], rng: np.random.Generator) -> list[Array]:
    """Random values in each input's type: -1..1 for floats, the whole range of 8-bit integers.

    Wider integers are mostly indices into tables, where only small ones are sure to exist: 0 and 1.
    """
    return [_random(spec, rng) for spec in specs]


def _random(spec: TensorSpec, rng: np.random.Generator) -> Array:
    dtype = np.dtype(spec.dtype)
    if dtype.kind == "f":
        return rng.uniform(-1.0, 1.0, spec.shape).astype(dtype)
    if dtype.itemsize > 1 or dtype.kind == "b":
        return rng.integers(0, 2, spec.shape).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, spec.shape, endpoint=True).astype(dtype)
