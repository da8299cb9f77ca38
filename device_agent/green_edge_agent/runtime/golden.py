"""The self-test of a model on the machine that is to run it.

A bundle carries a few inputs and what the model gave for them where it was built. A runtime that
computes something else here must not answer in the field.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from green_edge_agent.runtime.contract import Array, Runner
from green_edge_wire.archive import Bundle
from green_edge_wire.clock import Clock, SystemClock
from green_edge_wire.errors import ActivationError, ModelError
from green_edge_wire.manifest import TensorSpec

# A float output's step: what an 8-bit output of the same range would resolve.
_FLOAT_STEPS = 256

# Another chip rounds after each layer in its own way, and nobody publishes how far that leads. So
# these are judgements: a mistaken model is off by tens of steps in most outputs, rounding by a few
# in some. One output may be off by 1/16 of the 8-bit range, never by more than a quarter of what
# was recorded (of an output that hardly moves, 16 steps would say nothing), and 2 steps on average.
_OTHER_WORST_STEPS = 16.0
_OTHER_WORST_RATIO = 0.25
_OTHER_RMS_STEPS = 2.0
# An output that counts or names, such as the index of a class, is right or wrong. Rounding may swap
# two classes that are all but equal, in one element of sixteen as we judge.
_OTHER_UNEQUAL_SHARE = 1 / 16


@dataclass(frozen=True, slots=True)
class GoldenResult:
    """Outcome of a passed self-test.

    Attributes:
        worst_steps: greatest difference found; see the manifest's `golden_tolerance` for the unit.
        tolerance_steps: greatest difference allowed.
        latency_ns: of each sample, the first one cold.
    """

    worst_steps: float
    tolerance_steps: float
    latency_ns: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """How far an output is from the recorded one.

    Attributes:
        worst_steps: greatest difference.
        allowed_steps: greatest one allowed.
        fault: what is too much, for a person; None when nothing is.
    """

    worst_steps: float
    allowed_steps: float
    fault: str | None


Judge = Callable[[Array, Array, float, TensorSpec], Difference]
"""Judges (found, recorded, the manifest's tolerance in steps, what the output is)."""


def same_arithmetic(found: Array, wanted: Array, tolerance: float, spec: TensorSpec) -> Difference:
    """Judge a runtime that computes as the one that recorded: the manifest's tolerance holds."""
    if _names(spec):
        return _equal(found, wanted, 0.0)
    return _within(found, wanted, tolerance)


def _names(spec: TensorSpec) -> bool:
    """Whether an output's numbers are no steps of anything: integers and truths without a scale."""
    return spec.scale is None and np.dtype(spec.dtype).kind != "f"


def _equal(found: Array, wanted: Array, allowed_share: float) -> Difference:
    share = float(np.mean(found != wanted))
    fault = None if share <= allowed_share else f"differs in {share:.1%} of its elements"
    return Difference(steps_apart(found, wanted), 0.0, fault)


def _within(found: Array, wanted: Array, tolerance: float) -> Difference:
    worst = steps_apart(found, wanted)
    # Written so that a NaN fails too.
    fault = None if worst <= tolerance else f"is {worst:.3g} steps off, {tolerance:g} allowed"
    return Difference(worst, tolerance, fault)


def other_arithmetic(found: Array, wanted: Array, tolerance: float, spec: TensorSpec) -> Difference:
    """Judge another chip that runs the same model: near-equal, see the constants above."""
    if _names(spec):
        return _equal(found, wanted, _OTHER_UNEQUAL_SHARE)
    floating = wanted.dtype.kind == "f"
    range_steps = _FLOAT_STEPS if floating else float(np.ptp(wanted.astype(np.int64)))
    allowed = max(tolerance, min(_OTHER_WORST_STEPS, _OTHER_WORST_RATIO * range_steps))
    difference = _within(found, wanted, allowed)
    if difference.fault is not None:
        return difference
    step = (_extent(wanted.astype(np.float64)) / _FLOAT_STEPS) if floating else 1.0
    apart = found.astype(np.float64) - wanted.astype(np.float64)
    rms = float(np.sqrt(np.mean(apart**2))) / step if difference.worst_steps else 0.0
    allowed_rms = max(tolerance, _OTHER_RMS_STEPS)
    if rms <= allowed_rms:
        return difference
    fault = f"is {rms:.3g} steps off on average (RMS), {allowed_rms:g} allowed"
    return Difference(difference.worst_steps, allowed, fault)


def self_test(
    runner: Runner,
    bundle: Bundle,
    clock: Clock | None = None,
    *,
    judge: Judge = same_arithmetic,
) -> GoldenResult:
    """Run the bundle's golden inputs and compare what comes out.

    Args:
        runner: the model of the bundle, loaded.
        bundle: with what was recorded.
        clock: for latencies.
        judge: says how near is near enough.

    Raises:
        ActivationError: the model is not the manifest's, fails, or differs by more than allowed.
    """
    clock = clock or SystemClock()
    manifest = bundle.manifest
    _check_specs(runner.inputs, manifest.inputs, "input")
    _check_specs(runner.outputs, manifest.outputs, "output")
    inputs = _arrays(bundle.golden_inputs(), manifest.inputs)
    expected = _arrays(bundle.golden_outputs(), manifest.outputs)
    if len({len(array) for array in (*inputs, *expected)}) != 1:
        raise ActivationError("golden arrays of different numbers of samples")
    got: list[tuple[Array, ...]] = []
    latency_ns: list[int] = []
    for sample in zip(*inputs, strict=True):
        shaped = [x.reshape(spec.shape) for x, spec in zip(sample, manifest.inputs, strict=True)]
        try:
            timed = runner.timed(shaped, clock)
        except ModelError as error:
            raise ActivationError(f"self-test: {error}") from error
        got.append(timed.outputs)
        latency_ns.append(timed.latency_ns)
    worst = 0.0
    for i, (spec, wanted) in enumerate(zip(manifest.outputs, expected, strict=True)):
        found = np.stack([outputs[i].reshape(spec.sample_shape) for outputs in got])
        difference = judge(found, wanted, manifest.golden_tolerance, spec)
        if difference.fault is not None:
            raise ActivationError(
                f"self-test: output {spec.name!r} {difference.fault}",
                hint="the runtime here computes something else than where the bundle was built",
            )
        worst = max(worst, difference.worst_steps)
    return GoldenResult(worst, manifest.golden_tolerance, tuple(latency_ns))


def steps_apart(found: Array, wanted: Array) -> float:
    """Greatest difference of two outputs in steps; infinite where one is NaN and the other not."""
    if wanted.dtype.kind != "f":
        return float(np.abs(found.astype(np.int64) - wanted.astype(np.int64)).max())
    a, b = found.astype(np.float64), wanted.astype(np.float64)
    if not np.isfinite(b).all() or not np.isfinite(a).all():
        return 0.0 if np.array_equal(a, b, equal_nan=True) else float("inf")
    return float(np.abs(a - b).max()) * _FLOAT_STEPS / _extent(b)


def _extent(wanted: NDArray[np.float64]) -> float:
    """Range of a recorded float output; a constant one has none, and its size stands in."""
    return float(np.ptp(wanted)) or float(np.abs(wanted).max()) or 1.0


def _check_specs(found: Sequence[TensorSpec], listed: Sequence[TensorSpec], what: str) -> None:
    # Names are left out: runtimes may spell them differently.
    facts = [
        [(s.shape, s.dtype, s.scale, s.zero_point) for s in specs] for specs in (found, listed)
    ]
    if facts[0] != facts[1]:
        raise ActivationError(f"the model's {what}s are not those of the manifest")


def _arrays(files: Sequence[bytes], specs: Sequence[TensorSpec]) -> list[Array]:
    arrays = []
    for content, spec in zip(files, specs, strict=True):
        try:
            array = np.load(io.BytesIO(content), allow_pickle=False)
        except (ValueError, EOFError, OSError) as error:
            raise ActivationError(f"golden array of {spec.name!r} is not readable") from error
        if array.dtype != np.dtype(spec.dtype) or array.shape[1:] != spec.sample_shape:
            raise ActivationError(f"golden array of {spec.name!r} does not fit the model")
        if not len(array):
            raise ActivationError(f"golden array of {spec.name!r} is empty")
        arrays.append(array)
    return arrays
