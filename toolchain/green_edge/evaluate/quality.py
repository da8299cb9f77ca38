"""How good are a model's outputs: one score in 0..1 a sample, higher is better.

With labels: `accuracy` for classes; for target arrays `closeness`, which is 1 less the
root-mean-square error of the sample in units of the targets' standard deviation, not below 0 (so
a model that always gives the mean is near 0). Labels are for the first output. Without them the
float model's outputs stand in: `fidelity` is the agreement of the best class where all outputs are
distributions, else `fidelity-closeness` is the closeness to its outputs, or that agreement for a
distribution among them. Of several outputs the worst one counts, sample by sample.
Other metrics are the user's to name (`metrics`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from green_edge.core.report import Quality
from green_edge.data.dataset import Array, is_one_hot
from green_edge.evaluate import set_scores
from green_edge.evaluate.intervals import Interval, mean_t, wilson
from green_edge.evaluate.predict import predict
from green_edge.evaluate.set_scores import Floats, SetScores
from green_edge_wire.errors import ConfigError, ModelError

__all__ = ["Floats", "Scores", "SetScores", "pool", "predict", "quality", "score"]

# A quantized probability may sit one step outside of 0..1.
_PROBABILITY_SLACK = 0.02
_POOR_FIDELITY = 0.9


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Scores of a model on a set.

    Attributes:
        metric: what they are.
        per_sample: 0..1 each.
        binary: whether each is 0 or 1.
    """

    metric: str
    per_sample: NDArray[np.float64]
    binary: bool

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.per_sample)

    @property
    def value(self) -> float:
        """Mean score."""
        return float(np.mean(self.per_sample))


def score(
    outputs: Sequence[Floats],
    *,
    y: Array | None = None,
    reference: Sequence[Floats] | None = None,
    labels: Sequence[str] = (),
) -> Scores:
    """Score a model's outputs against `y`, or where there is none against the float model's.

    Args:
        outputs: as `predict` gives them: each output, sample first. `y` is for the first one.
        y: class index (integers) or target array (float) of each sample; one-hot rows are read as
            class indices.
        reference: the float model's outputs, used when `y` is None.
        labels: when given, the model is known to classify.

    Raises:
        ConfigError: `y` does not fit the outputs.
        ModelError: neither `y` nor `reference` is given, or the outputs have other shapes.
    """
    if y is not None:
        return _against_labels(outputs[0], y)
    if reference is None or [o.shape for o in outputs] != [r.shape for r in reference]:
        raise ModelError("outputs of the two models have different shapes")
    parts = [
        _against_float(out, ref, classes=bool(labels) and i == 0)
        for i, (out, ref) in enumerate(zip(outputs, reference, strict=True))
    ]
    graded = any(part.metric != "fidelity" for part in parts)
    return Scores(
        "fidelity-closeness" if graded else "fidelity",
        np.min([part.per_sample for part in parts], axis=0),
        binary=all(part.binary for part in parts),
    )


def unlabelled(outputs: Sequence[Floats], reference: Sequence[Floats]) -> Scores | None:
    """Fidelity of the outputs that labels do not speak of; None where there is one output alone.

    Raises:
        ModelError: the outputs have other shapes.
    """
    return score(outputs[1:], reference=reference[1:]) if len(outputs) > 1 else None


def unlabelled_note(fidelity: float, reference: str) -> str:
    """What to know of outputs that were not judged by labels.

    Args:
        fidelity: mean score of `unlabelled`.
        reference: what they were compared with.
    """
    words = (
        "only the first output was judged by the labels; the others' fidelity to the "
        f"{reference} is {100 * fidelity:.1f} %"
    )
    return words if fidelity >= _POOR_FIDELITY else f"warning: {words}, which is poor"


def _against_float(output: Floats, reference: Floats, *, classes: bool) -> Scores:
    if reference.ndim >= 2 and reference.shape[-1] > 1 and (classes or _is_distribution(reference)):
        return _hits("fidelity", np.argmax(output, axis=-1) == np.argmax(reference, axis=-1))
    return Scores("fidelity-closeness", _closeness(output, reference), binary=False)


def pool(parts: Sequence[Scores | SetScores]) -> Scores | SetScores:
    """Put the scores of the folds of a cross-fitted evaluation together, in their order.

    Raises:
        ModelError: they are of different metrics.
    """
    if len({part.metric for part in parts}) != 1:
        raise ModelError("the folds of the evaluation set are scored by different metrics")
    whole = [part for part in parts if isinstance(part, SetScores)]
    if whole:
        return set_scores.joined(whole)
    graded = [part for part in parts if isinstance(part, Scores)]
    pooled = np.concatenate([part.per_sample for part in graded])
    return Scores(parts[0].metric, pooled, binary=all(part.binary for part in graded))


def quality(scores: Scores | SetScores) -> Quality:
    """Quality of a set with its 95 % interval.

    Wilson's for the mean of binary scores, Student's for graded ones, else by bootstrap.
    """
    interval = interval_at(scores, scores.n)
    return Quality(scores.metric, interval.value, interval.low, interval.high, scores.n)


def interval_at(scores: Scores | SetScores, samples: int) -> Interval:
    """Interval of the quality as if so many samples had been judged, with the same rates."""
    if isinstance(scores, SetScores):
        return set_scores.interval(scores, samples=samples)
    if scores.binary:
        return wilson(scores.value * samples, samples)
    return mean_t(scores.per_sample, samples=samples)


def _against_labels(output: Floats, y: Array) -> Scores:
    if len(y) != len(output):
        raise ConfigError(f"y has {len(y)} entries for {len(output)} samples", place="y")
    classes = class_indices(y, output)
    if classes is None:
        if math.prod(y.shape[1:]) != math.prod(output.shape[1:]):
            message = f"targets of shape {y.shape} for outputs of shape {output.shape}"
            raise ConfigError(message, place="y")
        return Scores("closeness", _closeness(output, y.reshape(output.shape)), binary=False)
    if output.ndim == 1 or output.shape[-1] == 1:
        return _hits("accuracy", (output.reshape(len(y), -1)[:, 0] > 0.5) == (classes > 0))
    if classes.min() < 0 or classes.max() >= output.shape[-1]:
        message = f"class indices {classes.min()}..{classes.max()}"
        raise ConfigError(f"{message}, the output has {output.shape[-1]} classes", place="y")
    return _hits("accuracy", np.argmax(output, axis=-1) == classes)


def class_indices(y: Array, output: Floats) -> NDArray[np.int64] | None:
    """Class index of each sample (or pixel); None when `y` holds targets."""
    several = output.ndim >= 2 and output.shape[-1] > 1
    if np.issubdtype(y.dtype, np.integer):
        if several and y.shape == output.shape[:-1]:
            return y.astype(np.int64)
        if not several and y.shape == (len(output),) and set(np.unique(y)) <= {0, 1}:
            _check_probability(output)
            return y.astype(np.int64)
    if several and y.shape == output.shape and is_one_hot(y):
        return np.asarray(np.argmax(y, axis=-1), dtype=np.int64)
    return None


def _check_probability(output: Floats) -> None:
    low, high = float(output.min()), float(output.max())
    if low < -_PROBABILITY_SLACK or high > 1 + _PROBABILITY_SLACK:
        message = f"labels are 0 and 1, but the output runs from {low:.3g} to {high:.3g}"
        hint = "end the model in a sigmoid, or give float targets"
        raise ConfigError(message, place="y", hint=hint)


def _is_distribution(output: Floats) -> bool:
    """Whether every row is a softmax's: not negative, adding up to 1."""
    return bool((output >= 0).all() and np.allclose(output.sum(axis=-1), 1.0, atol=1e-3))


def _hits(metric: str, hits: NDArray[np.bool_]) -> Scores:
    per_sample = hits.reshape(len(hits), -1).mean(axis=1, dtype=np.float64)
    return Scores(metric, per_sample, binary=hits.ndim == 1)


def _closeness(output: Floats, target: Array) -> NDArray[np.float64]:
    wanted = np.asarray(target, dtype=np.float64).reshape(len(target), -1)
    error = np.asarray(output, dtype=np.float64).reshape(len(output), -1) - wanted
    rms = np.sqrt(np.mean(error * error, axis=1))
    spread = float(np.std(wanted))
    if spread == 0.0:
        return np.asarray(rms == 0.0, dtype=np.float64)
    return np.asarray(np.clip(1.0 - rms / spread, 0.0, 1.0), dtype=np.float64)
