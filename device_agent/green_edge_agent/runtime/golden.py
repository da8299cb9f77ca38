"""The self-test of a model on the machine that is to run it.

A bundle carries a few inputs and what the model gave for them where it was built. A runtime that
computes something else here must not answer in the field.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from green_edge_agent.runtime.interpreter import Interpreter
from green_edge_wire.archive import Bundle
from green_edge_wire.clock import Clock, SystemClock
from green_edge_wire.errors import ActivationError, ModelError
from green_edge_wire.manifest import TensorSpec

Array = NDArray[Any]

# A float output's step: what an 8-bit output of the same range would resolve.
_FLOAT_STEPS = 256


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


def self_test(interpreter: Interpreter, bundle: Bundle, clock: Clock | None = None) -> GoldenResult:
    """Run the bundle's golden inputs and compare what comes out.

    Raises:
        ActivationError: the model is not the manifest's, fails, or differs by more than allowed.
    """
    clock = clock or SystemClock()
    manifest = bundle.manifest
    _check_specs(interpreter.inputs, manifest.inputs, "input")
    _check_specs(interpreter.outputs, manifest.outputs, "output")
    inputs = _arrays(bundle.golden_inputs(), manifest.inputs)
    expected = _arrays(bundle.golden_outputs(), manifest.outputs)
    if len({len(array) for array in (*inputs, *expected)}) != 1:
        raise ActivationError("golden arrays of different numbers of samples")
    got: list[tuple[Array, ...]] = []
    latency_ns: list[int] = []
    for sample in zip(*inputs, strict=True):
        shaped = [x.reshape(spec.shape) for x, spec in zip(sample, manifest.inputs, strict=True)]
        start_ns = clock.monotonic_ns()
        try:
            got.append(interpreter.invoke(shaped))
        except ModelError as error:
            raise ActivationError(f"self-test: {error}") from error
        latency_ns.append(clock.monotonic_ns() - start_ns)
    worst = 0.0
    for i, (spec, wanted) in enumerate(zip(manifest.outputs, expected, strict=True)):
        found = np.stack([outputs[i].reshape(spec.sample_shape) for outputs in got])
        difference = steps_apart(found, wanted)
        # Written so that a NaN fails too.
        if not difference <= manifest.golden_tolerance:
            raise ActivationError(
                f"self-test: output {spec.name!r} is {difference:.3g} steps off, "
                f"{manifest.golden_tolerance:g} allowed",
                hint="the runtime here computes something else than where the bundle was built",
            )
        worst = max(worst, difference)
    return GoldenResult(worst, manifest.golden_tolerance, tuple(latency_ns))


def steps_apart(found: Array, wanted: Array) -> float:
    """Greatest difference of two outputs in steps; infinite where one is NaN and the other not."""
    if wanted.dtype.kind != "f":
        return float(np.abs(found.astype(np.int64) - wanted.astype(np.int64)).max())
    a, b = found.astype(np.float64), wanted.astype(np.float64)
    if not np.isfinite(b).all() or not np.isfinite(a).all():
        return 0.0 if np.array_equal(a, b, equal_nan=True) else float("inf")
    # A constant output has no range: its size stands in.
    extent = float(np.ptp(b)) or float(np.abs(b).max()) or 1.0
    return float(np.abs(a - b).max()) * _FLOAT_STEPS / extent


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
