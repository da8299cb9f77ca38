"""Judges models on the evaluation samples.

Every model is run by the runtime and the arithmetic that a device uses. Scores of the folds are
pooled, so a candidate's quality is that of its recipe over all evaluated samples.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from green_edge.build.candidates import Workbench
from green_edge.build.options import BuildOptions
from green_edge.build.plan import trial_name
from green_edge.build.subject import Subject
from green_edge.convert.signature import names
from green_edge.core.recipe import Method
from green_edge.core.report import Guard
from green_edge.data.dataset import Array, Dataset
from green_edge.evaluate.guard import guard
from green_edge.evaluate.metrics import score_by
from green_edge.evaluate.predict import predict
from green_edge.evaluate.quality import Floats, Scores, SetScores, pool, score, unlabelled
from green_edge.search.choice import Figures
from green_edge_wire.errors import ConfigError, ModelError

# Samples that tell how a model fares between two steps.
_GLANCE = 2_000


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What is known of a model or recipe after running it on all evaluation samples.

    Attributes:
        scores: pooled over the subjects.
        error_to_float: mean absolute difference to the float model's outputs, in units of their
            standard deviation; 0 for the float model.
        unlabelled: fidelity of the outputs that labels do not speak of; None where all are judged.
    """

    scores: Scores | SetScores
    error_to_float: float = 0.0
    unlabelled: float | None = None

    @property
    def value(self) -> float:
        """Mean score."""
        return self.scores.value


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """A method that was applied to every subject and judged; `content` is the main model's.

    Attributes:
        of: name of the steps that had shrunk the models; empty for the unchanged ones.
    """

    method: Method
    content: bytes
    judged: Judged
    of: str = ""

    @property
    def name(self) -> str:
        """Name for reports and files, such as `prune+int8-tf-minmax`."""
        return trial_name(self.of, self.method)

    @property
    def figures(self) -> Figures:
        """What the choice goes by."""
        return Figures(self.judged.value, self.judged.error_to_float, len(self.content))


class Court:
    """The float models' outputs, and the judging of candidates against them.

    Args:
        main: the model that ships.
        judges: the models to judge: the folds', or the main one alone.
        options: of the build: class names, the metric, the allowed drop.
        before: judges the same models as they came in; these are shrunk ones, which are held to
            the float models of those.
        of: name of the steps that shrank them.

    Raises:
        ConfigError: the metric does not fit the labels.
        ModelError: a float model cannot be run or gives NaN, or the folds are scored by
            different metrics.
    """

    def __init__(
        self,
        main: Workbench,
        judges: Sequence[Workbench],
        options: BuildOptions,
        *,
        before: "Court | None" = None,
        of: str = "",
    ) -> None:
        self._main = main
        self._of = of
        self._labels = options.labels
        self._metric = options.metric
        self._max_drop_pp = options.max_drop_pp
        self.outputs: list[list[Floats]] = (
            _float_outputs(judges) if before is None else before.outputs
        )
        self._pairs = list(zip(judges, self.outputs, strict=True))
        if before is None:
            self.reference = Judged(pool([self._score(b, own, own) for b, own in self._pairs]))
        else:
            self.reference = before.reference

    def try_method(self, method: Method) -> Trial:
        """Apply a method to every subject and judge it over all their samples.

        Raises:
            ModelError: it failed on one subject; its quality would rest on other samples.
        """
        main = self._main.int8(method)
        scores: list[Scores | SetScores] = []
        errors: list[float] = []
        others: list[Scores] = []
        for bench, reference in self._pairs:
            content = main if bench is self._main else bench.int8(bench.own(method))
            outputs = _run(bench, content)
            scores.append(self._score(bench, outputs, reference))
            errors.append(_error(outputs, reference))
            beside = unlabelled(outputs, reference) if bench.subject.sets.labelled else None
            others += [] if beside is None else [beside]
        fidelity = pool(others).value if others else None
        return Trial(method, main, Judged(pool(scores), float(np.mean(errors)), fidelity), self._of)

    def floats(self, form: Callable[[bytes], bytes] = bytes) -> Judged:
        """The models as they are before they are quantized, over all samples.

        Args:
            form: that each is brought to first.
        """
        scores = [
            self._score(bench, _run(bench, form(bench.subject.float_model.content)), reference)
            for bench, reference in self._pairs
        ]
        return Judged(pool(scores))

    def named(self, form: str) -> str:
        """Name of another form than int8 for reports and files, such as `prune+sparse-float`."""
        return f"{self._of}+{form}" if self._of else form

    def glance(self, content: bytes) -> Scores | SetScores | None:
        """Scores of a float form of the main model on some of the samples.

        None where folds judge in place of the main model.
        """
        bench, reference = self._pairs[0]
        if bench is not self._main:
            return None
        n = min(bench.subject.sets.evaluation.n, _GLANCE)
        order = np.random.default_rng(0).permutation(bench.subject.sets.evaluation.n)
        rows = np.sort(order[:n])
        some = bench.subject.sets.evaluation.take(rows)
        outputs = outputs_of(content, some, bench.subject)
        y = some.y if bench.subject.sets.labelled else None
        return self._scored(outputs, y, [array[rows] for array in reference])

    def guard(self, trial: Trial, looks: int) -> Guard:
        """The guard's word on a candidate, at so many looks at the samples."""
        return self.verdict(trial.judged, looks)

    def verdict(self, judged: Judged, looks: int = 1) -> Guard:
        """The guard's word on what was judged, at so many looks at the samples."""
        scores = judged.scores
        return guard(self.reference.scores, scores, self._max_drop_pp, looks=looks)

    def _score(
        self, bench: Workbench, outputs: list[Floats], reference: list[Floats]
    ) -> Scores | SetScores:
        sets = bench.subject.sets
        y = sets.evaluation.y if sets.labelled else None
        return self._scored(outputs, y, reference)

    def _scored(
        self, outputs: list[Floats], y: Array | None, reference: list[Floats]
    ) -> Scores | SetScores:
        if self._metric is None:
            return score(outputs, y=y, reference=reference, labels=self._labels)
        if y is None:
            hint = "give --eval F with labels"
            raise ConfigError(f"{self._metric.name} needs labels", place="--metric", hint=hint)
        return score_by(self._metric, outputs, y)


def _float_outputs(judges: Sequence[Workbench]) -> list[list[Floats]]:
    outputs = [_run(bench, bench.subject.float_model.content) for bench in judges]
    if not all(np.isfinite(array).all() for arrays in outputs for array in arrays):
        raise ModelError("the float model gives NaN or infinity for samples of the set")
    return outputs


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


def _run(bench: Workbench, content: bytes) -> list[Floats]:
    return outputs_of(content, bench.subject.sets.evaluation, bench.subject)


def _error(outputs: Sequence[Floats], reference: Sequence[Floats]) -> float:
    parts = []
    for output, wanted in zip(outputs, reference, strict=True):
        spread = float(np.std(wanted)) or 1.0
        parts.append(float(np.mean(np.abs(output.astype(np.float64) - wanted))) / spread)
    return float(np.mean(parts))
