"""Judges the candidates and keeps the better one.

Every model is run by the runtime and the arithmetic that a device uses. Scores of the folds are
pooled, so a candidate's quality is that of its recipe over all evaluated samples.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from green_edge.build.subject import RECIPE_NAMES, Subject
from green_edge.convert.signature import names
from green_edge.core.recipe import Quantizer
from green_edge.data.dataset import Dataset
from green_edge.evaluate.predict import predict
from green_edge.evaluate.quality import Floats, Scores, pool, score
from green_edge_wire.errors import ModelError


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What is known of a model or recipe after running it on all evaluation samples.

    Attributes:
        scores: pooled over the subjects.
        error_to_float: mean absolute difference to the float model's outputs, in units of their
            standard deviation; 0 for the float model.
    """

    scores: Scores
    error_to_float: float = 0.0

    @property
    def value(self) -> float:
        """Mean score."""
        return float(np.mean(self.scores.per_sample))


@dataclass(frozen=True, slots=True, eq=False)
class Verdicts:
    """All that was judged: the float model, the candidates, and why others could not be."""

    reference: Judged
    candidates: Mapping[Quantizer, Judged]
    failures: Mapping[Quantizer, ModelError]


def judge(
    main: Subject,
    subjects: Sequence[Subject],
    quantizers: Sequence[Quantizer],
    labels: Sequence[str],
    tell: Callable[[str], None],
) -> Verdicts:
    """Judge the float model and each quantizer over the evaluation samples of all subjects.

    A quantizer that failed on one subject is out: its quality would rest on other samples.

    Args:
        main: the model that ships.
        subjects: the models to judge: the folds', or the main one alone.
        quantizers: of the recipe, in its order.
        labels: class names; empty for none.
        tell: told of each step.

    Raises:
        ModelError: the float model cannot be run or gives NaN, or the folds are scored by
            different metrics.
    """
    tell("judging the float model")
    references = [outputs_of(s.float_model.content, s.sets.evaluation, s) for s in subjects]
    if not all(np.isfinite(output).all() for outputs in references for output in outputs):
        raise ModelError("the float model gives NaN or infinity for samples of the set")
    pairs = list(zip(subjects, references, strict=True))
    reference = pool([_score(s, outputs, outputs, labels) for s, outputs in pairs])
    all_of = (main, *subjects)
    judged: dict[Quantizer, Judged] = {}
    failures: dict[Quantizer, ModelError] = {}
    for quantizer in quantizers:
        reason = next((s.failures[quantizer] for s in all_of if quantizer in s.failures), None)
        if reason is None:
            tell(f"judging {RECIPE_NAMES[quantizer]}")
            try:
                judged[quantizer] = _judge_one(pairs, quantizer, labels)
            except ModelError as error:
                reason = error
        if reason is not None:
            failures[quantizer] = reason
    return Verdicts(Judged(reference), judged, failures)


def choose(judged: Mapping[Quantizer, Judged], sizes: Mapping[Quantizer, int]) -> Quantizer:
    """The better candidate: quality, then closeness to the float model, then size, then order.

    Args:
        judged: candidates in the recipe's order; at least one.
        sizes: bytes of each candidate's file.
    """
    order = list(judged)
    return min(
        order,
        key=lambda q: (-judged[q].value, judged[q].error_to_float, sizes[q], order.index(q)),
    )


def outputs_of(content: bytes, dataset: Dataset, subject: Subject) -> list[Floats]:
    """Outputs of one of a subject's models on a set, in the order of its float model's outputs."""
    wanted, own = subject.float_model.names, names(content)
    inputs = _order(own.inputs, wanted.inputs)
    ordered = Dataset({own.inputs[i]: dataset.inputs[wanted.inputs[k]] for i, k in inputs})
    outputs = predict(content, ordered)
    return [outputs[k] for _, k in _order(wanted.outputs, own.outputs)]


def _order(wanted: Sequence[str], given: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs (i, k) with `wanted[i]` called `given[k]`; by position where the names differ."""
    if set(wanted) != set(given):
        return [(i, i) for i in range(len(wanted))]
    return [(i, given.index(name)) for i, name in enumerate(wanted)]


def _judge_one(
    pairs: Sequence[tuple[Subject, list[Floats]]], quantizer: Quantizer, labels: Sequence[str]
) -> Judged:
    scores: list[Scores] = []
    errors: list[float] = []
    for subject, reference in pairs:
        outputs = outputs_of(subject.candidates[quantizer], subject.sets.evaluation, subject)
        scores.append(_score(subject, outputs, reference, labels))
        errors.append(_error(outputs, reference))
    return Judged(pool(scores), float(np.mean(errors)))


def _score(
    subject: Subject, outputs: list[Floats], reference: list[Floats], labels: Sequence[str]
) -> Scores:
    sets = subject.sets
    y = sets.evaluation.y if sets.labelled else None
    return score(outputs, y=y, reference=reference, labels=labels)


def _error(outputs: Sequence[Floats], reference: Sequence[Floats]) -> float:
    parts = []
    for output, wanted in zip(outputs, reference, strict=True):
        spread = float(np.std(wanted)) or 1.0
        parts.append(float(np.mean(np.abs(output.astype(np.float64) - wanted))) / spread)
    return float(np.mean(parts))
