"""From raw inputs to the model's tensors and from its outputs to an answer.

The steps are data (`green_edge_wire.manifest.Pipeline`); this is their one implementation, used by
the device for each inference and by the workstation for data sets, calibration and evaluation.
All arithmetic is float32.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, assert_never

import numpy as np
from numpy.typing import ArrayLike, NDArray

from green_edge_wire.errors import ModelError
from green_edge_wire.manifest import (
    Normalise,
    Pipeline,
    PostStep,
    PreStep,
    Resize,
    Scale,
    Softmax,
    TensorSpec,
    TopK,
)

Array = NDArray[Any]
FloatArray = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Answer:
    """What comes out of an inference after post-processing.

    Attributes:
        outputs: each output as float32, without its batch axis; the first one after `Softmax`.
        labels: names of the best classes, best first, where the pipeline ends in top-k.
        scores: their scores, in parallel.
    """

    outputs: tuple[FloatArray, ...]
    labels: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()


# --- integer types -----------------------------------------------------------------------------


def quantize(x: ArrayLike, spec: TensorSpec) -> Array:
    """Real values to the dtype of a tensor: round half to even, clip to the type's range.

    Without a scale an integer tensor takes whole numbers (token ids, class numbers) as they are.

    Raises:
        ModelError: a value is NaN or infinite, or has no place in a tensor without scale.
    """
    values = _numbers(x)
    dtype = np.dtype(spec.dtype)
    with np.errstate(over="ignore"):
        real = values if spec.scale is None and dtype.kind != "f" else values.astype(np.float32)
    if not np.isfinite(real).all():
        raise ModelError(f"input {spec.name!r} holds NaN, infinity or a number beyond float32")
    if dtype.kind == "f":
        return real
    if spec.scale is None:
        return _whole(real, spec, dtype)
    # float64 here: a float32 quotient may overflow, and int32 needs more than 24 bits.
    steps = np.round(real.astype(np.float64) / spec.scale) + (spec.zero_point or 0)
    limits = np.iinfo(dtype)
    return np.clip(steps, limits.min, limits.max).astype(dtype)


def dequantize(q: Array, spec: TensorSpec) -> FloatArray:
    """Values of a tensor as float32: `scale * (q - zero_point)`; as they are without a scale."""
    if spec.scale is None:
        return q.astype(np.float32)
    steps = q.astype(np.int64) - (spec.zero_point or 0)
    return (steps * spec.scale).astype(np.float32)


def _whole(values: Array, spec: TensorSpec, dtype: np.dtype[Any]) -> Array:
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    inside = all(low <= int(end) <= high for end in (values.min(), values.max()))
    if not inside or (values.dtype.kind == "f" and (values != np.round(values)).any()):
        raise ModelError(
            f"input {spec.name!r} takes whole numbers of type {spec.dtype}, "
            f"got {values.min()} to {values.max()}"
        )
    return values.astype(dtype)


def _numbers(raw: ArrayLike) -> Array:
    """Array of numbers that is not empty."""
    try:
        values = np.asarray(raw)
    except ValueError:
        raise ModelError("a sample's rows must be of one length") from None
    if values.dtype.kind not in "biuf" or not values.size:
        raise ModelError(f"a sample must be numbers, got {values.dtype} {values.shape}")
    return values


# --- before the model --------------------------------------------------------------------------


def apply_pre(steps: Sequence[PreStep], raw: ArrayLike) -> FloatArray:
    """Apply pre-processing steps to one raw sample, such as an image (height, width[, channels]).

    Raises:
        ModelError: a step that the sample's shape does not allow.
    """
    # An overflow becomes infinity here, which `quantize` refuses.
    with np.errstate(over="ignore", invalid="ignore"):
        x: FloatArray = _numbers(raw).astype(np.float32)
        for step in steps:
            match step:
                case Resize():
                    x = _resize(x, step)
                case Scale(factor=factor):
                    x = x * np.float32(factor)
                case Normalise():
                    x = _normalise(x, step)
                case _:
                    assert_never(step)
        return x


def prepare(pipeline: Pipeline, raw: ArrayLike, spec: TensorSpec) -> Array:
    """Turn one raw sample into the first input of the model: its dtype, batch axis included.

    Args:
        pipeline: its `pre` is applied.
        raw: the sample, with or without a batch axis of 1. It may be flat (row-major) where the
            pipeline does not resize.
        spec: the model's input.

    Raises:
        ModelError: the sample does not fit the input.
    """
    x = _numbers(raw)
    resizes = any(isinstance(step, Resize) for step in pipeline.pre)
    if resizes:
        x = x[0] if x.ndim == 4 and len(x) == 1 else x
    else:
        x = _fit(x, spec).reshape(spec.sample_shape)
    return quantize(_fit(apply_pre(pipeline.pre, x), spec), spec)


def prepare_all(
    pipeline: Pipeline, raws: Sequence[ArrayLike], specs: Sequence[TensorSpec]
) -> tuple[Array, ...]:
    """`prepare` for each input of the model; pre-processing applies to the first alone.

    Raises:
        ModelError: as `prepare`, or the number of inputs is wrong.
    """
    if len(raws) != len(specs):
        raise ModelError(f"the model takes {len(specs)} inputs, got {len(raws)}")
    plain = Pipeline()
    return tuple(
        prepare(plain if i else pipeline, raw, spec)
        for i, (raw, spec) in enumerate(zip(raws, specs, strict=True))
    )


def _fit(x: Array, spec: TensorSpec) -> Array:
    """View of a sample in the tensor's shape: it has it, lacks its 1-axes, or is flat."""
    core = tuple(size for size in spec.shape if size != 1)
    given = tuple(size for size in x.shape if size != 1)
    flat = x.ndim == 1
    if given != core and not (flat and x.size == int(np.prod(spec.shape))):
        raise ModelError(
            f"input {spec.name!r} takes shape {spec.sample_shape}, got {x.shape}",
            hint="check the data set against 'green-edge inspect'",
        )
    return x.reshape(spec.shape)


def _resize(x: FloatArray, step: Resize) -> FloatArray:
    """Resize with half-pixel centres and without antialiasing, as `tf.image.resize` does."""
    if x.ndim not in (2, 3) or not x.size:
        raise ModelError(f"resize takes an image (height, width[, channels]), got {x.shape}")
    for axis, size in ((0, step.height), (1, step.width)):
        if x.shape[axis] != size:
            x = _resize_axis(x, axis, size, step.method == "nearest")
    return x


def _resize_axis(x: FloatArray, axis: int, size: int, nearest: bool) -> FloatArray:
    length = x.shape[axis]
    centres = (np.arange(size) + 0.5) * (length / size)
    if nearest:
        chosen = np.minimum(np.floor(centres).astype(int), length - 1)
        return np.asarray(np.take(x, chosen, axis=axis), dtype=np.float32)
    position = np.clip(centres - 0.5, 0, length - 1)
    low = np.floor(position).astype(int)
    high = np.minimum(low + 1, length - 1)
    shape = [1] * x.ndim
    shape[axis] = size
    share = (position - low).astype(np.float32).reshape(shape)
    below = np.take(x, low, axis=axis)
    above = np.take(x, high, axis=axis)
    return np.asarray(below + (above - below) * share, dtype=np.float32)


def _normalise(x: FloatArray, step: Normalise) -> FloatArray:
    mean, std = np.array(step.mean, np.float32), np.array(step.std, np.float32)
    channels = x.shape[-1] if x.ndim else 1
    if not {len(step.mean), len(step.std)} <= {1, channels}:
        raise ModelError(
            f"normalise has {len(step.mean)} means and {len(step.std)} deviations "
            f"for {channels} channels"
        )
    return np.asarray((x - mean) / std, dtype=np.float32)


# --- after the model ---------------------------------------------------------------------------


def finish(
    pipeline: Pipeline,
    outputs: Sequence[Array],
    specs: Sequence[TensorSpec],
    labels: Sequence[str] = (),
) -> Answer:
    """Turn the model's outputs into an answer; `post` applies to the first output.

    Args:
        pipeline: its `post` is applied.
        outputs: one array an output, in the model's dtypes and shapes.
        specs: the model's outputs.
        labels: names of the classes; their numbers stand in when there are none.

    Raises:
        ModelError: labels or steps that do not fit the output, or an output that is not finite.
    """
    values = [_real(q, spec) for q, spec in zip(outputs, specs, strict=True)]
    best: tuple[tuple[str, ...], tuple[float, ...]] = ((), ())
    for step in pipeline.post:
        values[0], best = _apply_post(step, values[0], best, labels)
    return Answer(tuple(values), *best)


def _real(q: Array, spec: TensorSpec) -> FloatArray:
    x = dequantize(q, spec).reshape(spec.sample_shape)
    if not np.isfinite(x).all():
        raise ModelError(f"output {spec.name!r} holds NaN or infinity")
    return x


def _apply_post(
    step: PostStep,
    x: FloatArray,
    best: tuple[tuple[str, ...], tuple[float, ...]],
    labels: Sequence[str],
) -> tuple[FloatArray, tuple[tuple[str, ...], tuple[float, ...]]]:
    match step:
        case Softmax():
            return softmax(x), best
        case TopK(k=k):
            return x, _top(x, k, labels)
        case _:
            assert_never(step)


def softmax(x: ArrayLike) -> FloatArray:
    """Softmax over the last axis, without overflow."""
    logits = np.asarray(x, dtype=np.float32)
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), dtype=np.float32)


def _top(x: FloatArray, k: int, labels: Sequence[str]) -> tuple[tuple[str, ...], tuple[float, ...]]:
    if x.ndim == 0 or x.size != x.shape[-1]:
        raise ModelError(f"top-k takes one score a class, the output has shape {x.shape}")
    if labels and len(labels) != x.size:
        raise ModelError(f"{len(labels)} labels for an output of {x.size} classes")
    scores = x.reshape(-1)
    order = np.argsort(-scores, kind="stable")[:k]  # stable: equal scores go by class number
    names = tuple(labels[i] if labels else str(i) for i in order)
    return names, tuple(float(scores[i]) for i in order)
