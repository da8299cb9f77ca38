"""Does a converted model still answer as the model that it was made from?

Converters between frameworks guess at layouts, and a wrong guess gives a file that runs.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from green_edge.convert.int8 import run
from green_edge_wire.errors import ModelError

Array = NDArray[Any]

CHANNELS_LAST = (0, 2, 3, 1)

# Of an output's largest value: float32 sums in another order differ by a hundredth of this.
_TOLERANCE = 1e-3


def largest_error(tflite: bytes, inputs: Mapping[str, Array], wanted: Sequence[Array]) -> float:
    """Largest difference between a model's outputs and `wanted`, relative to each output's size.

    Args:
        tflite: a float model with a signature.
        inputs: one sample of each input, batch 1, by name.
        wanted: outputs of the original; one of rank 4 may be channels first there.

    Raises:
        ModelError: the runtime cannot run it, or it gives outputs of other shapes.
    """
    got = next(run.tensors(tflite, run.in_file_order(tflite, [dict(inputs)])))
    if len(got) != len(wanted):
        raise ModelError(f"the converted model has {len(got)} outputs, not {len(wanted)}")
    return max(_difference(a, b) for a, b in zip(got, wanted, strict=True))


def is_same(error: float) -> bool:
    """Whether a largest error is that of float rounding."""
    return error <= _TOLERANCE


def sample(shape: Sequence[int], dtype: np.dtype[Any]) -> Array:
    """A seeded input: small numbers of both signs, or ones for integers, which may be indices."""
    if dtype.kind == "f":
        return np.random.default_rng(0).normal(size=shape).astype(dtype)
    return np.ones(shape, dtype)


def _difference(got: Array, wanted: Array) -> float:
    forms = [wanted]
    if wanted.ndim == len(CHANNELS_LAST):
        forms.append(np.transpose(wanted, CHANNELS_LAST))
    fitting = [form for form in forms if form.shape == got.shape]
    if not fitting:
        message = f"the converted model gives {got.shape} where the original gives {wanted.shape}"
        raise ModelError(message)
    size = float(np.abs(wanted.astype(np.float64)).max(initial=0.0)) or 1.0
    return min(
        float(np.abs(got.astype(np.float64) - form).max(initial=0.0)) / size for form in fitting
    )
