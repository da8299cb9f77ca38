"""Changed inputs, drawn anew for each batch from the seed and the number of the step alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from green_edge.compress.scene import Samples
from green_edge.core.report import Skip
from green_edge.core.steps import Augment

_MOST_SHIFT = 0.1
_NOISE = 0.05
_SPREAD_SAMPLES = 1_000
# Of a sample that another is mixed into: it stays the greater part.
_LEAST_SHARE = 0.5
_IMAGE_RANK, _SERIES_RANK = 4, 3


@dataclass(frozen=True, slots=True)
class Changes:
    """Which changes each input takes.

    Attributes:
        inputs: of each input, the changes in the order they are made; without `mix`.
        spreads: standard deviation of each input, for the noise.
        mix: all inputs of a sample are mixed with those of another.
    """

    inputs: tuple[tuple[Augment, ...], ...]
    spreads: tuple[float, ...]
    mix: bool

    @property
    def none(self) -> bool:
        """Whether the inputs stay as they are."""
        return not self.mix and not any(self.inputs)


def changes_of(
    samples: Samples, wanted: Sequence[Augment], inputs: Sequence[tuple[str, str]]
) -> tuple[Changes, tuple[Skip, ...]]:
    """What of the wanted changes the inputs allow, and what they do not, with the reason.

    Args:
        samples: to learn from.
        wanted: changes, in the order they are made.
        inputs: name of each input of the model and the type that it takes.
    """
    skipped: list[Skip] = []
    allowed: list[tuple[Augment, ...]] = []
    for x, (name, dtype) in zip(samples.x, inputs, strict=True):
        reasons = {change: _refused(change, x.ndim, dtype) for change in wanted}
        allowed.append(tuple(c for c in wanted if reasons[c] is None and c != "mix"))
        skipped += [Skip(name, f"{c}: {why}") for c, why in reasons.items() if why is not None]
    refused = any(skip.reason.startswith("mix:") for skip in skipped)
    spreads = tuple(float(np.std(x[:_SPREAD_SAMPLES])) for x in samples.x)
    return Changes(tuple(allowed), spreads, "mix" in wanted and not refused), tuple(skipped)


def _refused(change: Augment, rank: int, dtype: str) -> str | None:
    if "float" not in dtype:
        return "the input is made of whole numbers"
    if change == "shift" and rank not in {_SERIES_RANK, _IMAGE_RANK}:
        return "the input has neither height and width nor steps"
    if change == "flip" and rank != _IMAGE_RANK:
        return "the input is no image"
    return None


def changed(
    changes: Changes, inputs: Sequence[Any], seed: int, step: Any
) -> tuple[list[Any], Any, Any]:
    """Change a batch; tensors in, tensors out.

    Returns:
        The inputs; for `mix`, the row that each sample was mixed with and the share of the sample
        itself, (batch,) both; otherwise None twice.
    """
    draws = _Draws(seed, step)
    made = []
    for x, kinds, spread in zip(inputs, changes.inputs, changes.spreads, strict=True):
        for kind in kinds:
            x = _change(kind, x, spread, draws)  # noqa: PLW2901 - one change after the other
        made.append(x)
    if not changes.mix:
        return made, None, None
    count = tf.shape(made[0])[0]
    # Rows are shuffled, so the batch turned by one row pairs samples at random.
    rows = tf.roll(tf.range(count), 1, 0)
    share = draws.uniform((count,), _LEAST_SHARE, 1.0)
    return [_mixed(x, tf.gather(x, rows), share) for x in made], rows, share


class _Draws:
    """Random numbers, each draw of a batch from a seed of its own."""

    def __init__(self, seed: int, step: Any) -> None:
        self._seed, self._step, self._drawn = seed, tf.cast(step, tf.int64), 0

    def _next(self) -> Any:
        self._drawn += 1
        first = tf.constant(self._seed * 1_000 + self._drawn, tf.int64)
        return tf.stack([first, self._step])

    def uniform(self, shape: Any, low: float, high: float) -> Any:
        return tf.random.stateless_uniform(shape, self._next(), low, high)

    def normal(self, shape: Any) -> Any:
        return tf.random.stateless_normal(shape, self._next())


def _change(kind: Augment, x: Any, spread: float, draws: _Draws) -> Any:
    count = tf.shape(x)[0]
    if kind == "noise":
        return x + _NOISE * spread * tf.cast(draws.normal(tf.shape(x)), x.dtype)
    if kind == "flip":
        turned = draws.uniform((count, 1, 1, 1), 0.0, 1.0) < 0.5
        return tf.where(turned, tf.reverse(x, [2]), x)
    for axis in range(1, x.shape.rank - 1):
        x = _moved(x, axis, draws)
    return x


def _moved(x: Any, axis: int, draws: _Draws) -> Any:
    """Each sample moved along an axis by up to a tenth of its length, zeros moving in."""
    length = tf.shape(x)[axis]
    most = tf.round(_MOST_SHIFT * tf.cast(length, tf.float32))
    by = draws.uniform((tf.shape(x)[0], 1), -0.5, 0.5) * (2.0 * most + 1.0)
    places = tf.range(length)[None, :] - tf.cast(tf.round(by), tf.int32)
    inside = (places >= 0) & (places < length)
    # Only the batch stands before the axis when it is the first, also a row when it is the second.
    if axis > 1:
        rows = tf.shape(x)[1]
        places, inside = (tf.repeat(each[:, None], rows, 1) for each in (places, inside))
    moved = tf.gather(x, tf.clip_by_value(places, 0, length - 1), axis=axis, batch_dims=axis)
    while inside.shape.rank < x.shape.rank:
        inside = inside[..., None]
    return tf.where(inside, moved, tf.zeros_like(moved))


def _mixed(x: Any, other: Any, share: Any) -> Any:
    share = tf.cast(tf.reshape(share, [-1] + [1] * (x.shape.rank - 1)), x.dtype)
    return share * x + (1 - share) * other
