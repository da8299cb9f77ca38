"""Metrics that the user names: top-k, F1, area under the ROC curve, mean squared error, their own.

All are 1 at best, so that a drop is a loss. Those that are means over samples give one score a
sample, the others a `SetScores`.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from green_edge.core.metric import Metric
from green_edge.data.dataset import Array
from green_edge.data.hook import find_function
from green_edge.evaluate.quality import Scores, class_indices, score
from green_edge.evaluate.set_scores import Floats, SetScores, Statistic
from green_edge_wire.errors import ConfigError

_RESAMPLES = 1000
# The user's own function may take long.
_OWN_RESAMPLES = 200
_HALF = 0.5
_PLACE = "--metric"


def score_by(metric: Metric, outputs: Sequence[Floats], y: Array) -> Scores | SetScores:
    """Score a model's outputs against the labels by a named metric.

    Args:
        metric: `accuracy`: share of right classes. `closeness`: as `quality` has it. `top-K`: share
            of samples whose class is among the K best. `f1`: of class 1 where one sigmoid tells two
            classes, else the mean over the classes. `auc`: area under the ROC curve, of several
            classes the mean of each against the others. `mse`: 1 less the mean squared error in
            units of the targets' variance (R squared). Else the user's function of the outputs (a
            list, one an output) and `y`, which returns a score a sample or one for the set.
        outputs: of the model, sample first; all but the user's function look at the first.
        y: class indices or targets.

    Raises:
        ConfigError: the metric does not fit the labels, or the user's function fails.
    """
    if metric.own:
        return _own(metric.name, outputs, y)
    if metric.name in {"accuracy", "closeness"}:
        return _plain(metric.name, outputs, y)
    if metric.name == "mse":
        _check_targets(outputs[0], y)
        return SetScores("r2", (outputs[0],), y, _explained, _RESAMPLES)
    classes = _classes(metric.name, outputs[0], y)
    if metric.name == "f1":
        return SetScores("f1", (outputs[0],), classes, _f1, _RESAMPLES)
    if metric.name == "auc":
        return SetScores("auc", (outputs[0],), classes, _auc, _RESAMPLES)
    return _top(metric, outputs[0], classes)


def _plain(name: str, outputs: Sequence[Floats], y: Array) -> Scores:
    scores = score(outputs, y=y)
    if scores.metric != name:
        raise ConfigError(f"these labels give {scores.metric}, not {name}", place=_PLACE)
    return scores


def _classes(name: str, output: Floats, y: Array) -> NDArray[np.int64]:
    """Class index of each sample, those of a single sigmoid included.

    Raises:
        ConfigError: `y` holds something else.
    """
    found = class_indices(y, output)
    if found is None or found.ndim != 1:
        hint = "give one class index a sample"
        raise ConfigError(f"{name} needs classes in y", place=_PLACE, hint=hint)
    return found


def _top(metric: Metric, output: Floats, classes: NDArray[np.int64]) -> Scores:
    known = output.shape[-1] if output.ndim > 1 else 1
    if metric.k >= known:
        message = f"{metric.name} of {known} classes is always right"
        raise ConfigError(message, place=_PLACE, hint="give a smaller K")
    own = np.take_along_axis(output, classes[:, None], axis=1)
    # Of equal outputs the earlier class comes first, as argmax has it.
    earlier = (output == own) & (np.arange(known) < classes[:, None])
    hits = ((output > own) | earlier).sum(axis=1) < metric.k
    return Scores(metric.name, hits.astype(np.float64), binary=True)


def _columns(output: Floats) -> Floats:
    """Outputs as (sample, class); one column for a single sigmoid."""
    return output.reshape(len(output), -1)


def _f1(outputs: Sequence[Floats], classes: Array) -> Statistic:
    columns = _columns(outputs[0])
    single = columns.shape[1] == 1
    said = columns[:, 0] > _HALF if single else np.argmax(columns, axis=1)
    count = 2 if single else columns.shape[1]
    cells = classes.astype(np.int64) * count + said.astype(np.int64)
    counted = slice(1, 2) if single else slice(None)

    def value(rows: NDArray[np.intp]) -> float:
        table = np.bincount(cells[rows], minlength=count * count).reshape(count, count)
        right, seen = np.diag(table), table.sum(axis=0) + table.sum(axis=1)
        f1 = np.divide(2.0 * right, seen, out=np.zeros(count), where=seen > 0)[counted]
        # A class that neither occurs nor is told says nothing.
        there = seen[counted] > 0
        return float(f1[there].mean()) if there.any() else 0.0

    return value


def _auc(outputs: Sequence[Floats], classes: Array) -> Statistic:
    columns = _columns(outputs[0])
    targets = [1] if columns.shape[1] == 1 else range(columns.shape[1])
    parts = [_ranked(columns[:, k], classes == target) for k, target in enumerate(targets)]

    def value(rows: NDArray[np.intp]) -> float:
        found = [area for part in parts if (area := part(rows)) is not None]
        return float(np.mean(found)) if found else _HALF

    return value


def _ranked(output: Floats, positive: NDArray[np.bool_]) -> Callable[..., float | None]:
    """Share of pairs of a positive and a negative sample in the right order, ties count half."""
    levels, level = np.unique(output, return_inverse=True)
    cells = level * 2 + positive

    def area(rows: NDArray[np.intp]) -> float | None:
        table = np.bincount(cells[rows], minlength=2 * len(levels)).reshape(-1, 2)
        negative, own = table[:, 0], table[:, 1]
        pairs = float(negative.sum()) * float(own.sum())
        if not pairs:
            return None
        below = np.cumsum(negative) - negative
        return float((own * (below + _HALF * negative)).sum()) / pairs

    return area


def _check_targets(output: Floats, y: Array) -> None:
    if y.size != output.size or not np.issubdtype(y.dtype, np.floating):
        message = f"mse needs float targets of the output's shape {output.shape[1:]}"
        raise ConfigError(message, place=_PLACE, hint=f"y has shape {y.shape[1:]}, {y.dtype}")


def _explained(outputs: Sequence[Floats], y: Array) -> Statistic:
    wanted = np.asarray(y, np.float64).reshape(len(y), -1)
    error = np.asarray(outputs[0], np.float64).reshape(len(y), -1) - wanted
    squares = (error * error).mean(axis=1)
    variance = float(np.var(wanted)) or 1.0

    def value(rows: NDArray[np.intp]) -> float:
        return 1.0 - float(squares[rows].mean()) / variance

    return value


def _own(ref: str, outputs: Sequence[Floats], y: Array) -> Scores | SetScores:
    function = find_function(ref)
    whole = _asked(ref, function, outputs, y)
    if whole.ndim == 0:
        prepare = partial(_own_statistic, ref, function)
        return SetScores(ref, tuple(outputs), y, prepare, _OWN_RESAMPLES)
    if whole.shape != (len(y),) or (whole < 0).any() or (whole > 1).any():
        message = f"it returned an array of {whole.shape} for {len(y)} samples"
        hint = "return one number for the set, or a score of 0 to 1 for each sample"
        raise ConfigError(message, place=ref, hint=hint)
    return Scores(ref, whole, binary=bool(np.isin(whole, (0, 1)).all()))


def _own_statistic(
    ref: str, function: Callable[..., Any], outputs: Sequence[Floats], y: Array
) -> Statistic:
    return lambda rows: float(_asked(ref, function, [each[rows] for each in outputs], y[rows]))


def _asked(
    ref: str, function: Callable[..., Any], outputs: Sequence[Floats], y: Array
) -> NDArray[np.float64]:
    try:
        found = np.asarray(function(list(outputs), y), dtype=np.float64)
    except Exception as error:
        words = " ".join(str(error).split())
        raise ConfigError(f"it raised {type(error).__name__}: {words}", place=ref) from error
    if not np.isfinite(found).all():
        raise ConfigError("it returned NaN or infinity", place=ref)
    return found
