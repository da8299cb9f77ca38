"""Metrics that the user names, held against scikit-learn, and their bootstrap intervals."""

import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from green_edge.core.metric import parse_metric
from green_edge.evaluate.guard import difference, guard
from green_edge.evaluate.metrics import score_by
from green_edge.evaluate.quality import Scores, pool, quality
from green_edge.evaluate.set_scores import SetScores
from green_edge_wire.errors import ConfigError

RNG = np.random.default_rng(3)
N = 600
Y = RNG.integers(0, 4, N)


def _outputs(skill: float, seed: int, step: float = 0.0) -> np.ndarray:
    raw = np.random.default_rng(seed).normal(size=(N, 4)) + skill * np.eye(4)[Y]
    shares = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
    # An int8 output takes steps, so that many of them are equal.
    return np.asarray(np.round(shares / step) * step if step else shares, np.float32)


GOOD, POOR = _outputs(2.0, 1), _outputs(1.0, 2, step=1 / 16)


@pytest.mark.parametrize("output", [GOOD, POOR], ids=["fine", "coarse"])
def test_f1_and_auc_are_those_of_scikit_learn(output: np.ndarray) -> None:
    f1 = score_by(parse_metric("f1"), [output], Y)
    assert f1.value == pytest.approx(
        sklearn_metrics.f1_score(Y, np.argmax(output, axis=1), average="macro")
    )
    auc = score_by(parse_metric("auc"), [output], Y)
    each = [sklearn_metrics.roc_auc_score(k == Y, output[:, k]) for k in range(4)]
    assert auc.value == pytest.approx(np.mean(each))


def test_of_one_sigmoid_the_positive_class_counts() -> None:
    y = (Y > 1).astype(np.int64)
    output = np.asarray(1 / (1 + np.exp(-(y - 0.5) - RNG.normal(size=N))), np.float32)[:, None]
    assert score_by(parse_metric("f1"), [output], y).value == pytest.approx(
        sklearn_metrics.f1_score(y, output[:, 0] > 0.5)
    )
    assert score_by(parse_metric("auc"), [output], y).value == pytest.approx(
        sklearn_metrics.roc_auc_score(y, output[:, 0])
    )


def test_top_k_breaks_ties_as_argmax_does() -> None:
    output = np.array([[0.25, 0.25, 0.25, 0.25], [0.1, 0.2, 0.3, 0.4]], np.float32)
    for k, hits in ((1, [0, 0]), (2, [1, 0]), (3, [1, 1])):
        found = score_by(parse_metric(f"top-{k}"), [output], np.array([1, 1]))
        assert isinstance(found, Scores)
        assert found.per_sample.tolist() == hits
        assert found.binary
    one = score_by(parse_metric("top-1"), [POOR], Y)
    assert one.value == score_by(parse_metric("accuracy"), [POOR], Y).value


def test_mse_is_told_as_the_share_of_variance_explained() -> None:
    wanted = RNG.normal(size=(N, 3)).astype(np.float32)
    given = np.asarray(wanted + RNG.normal(size=(N, 3)) / 3, np.float32)
    found = score_by(parse_metric("mse"), [given], wanted)
    assert found.metric == "r2"
    mse = sklearn_metrics.mean_squared_error(wanted, given)
    assert found.value == pytest.approx(1 - mse / np.var(wanted), rel=1e-5)


def test_an_interval_of_a_drop_holds_the_drop_and_narrows_with_samples() -> None:
    before, after = (score_by(parse_metric("f1"), [o], Y) for o in (GOOD, POOR))
    drop = difference(before, after)
    assert drop.low < drop.value < drop.high
    assert drop.value == pytest.approx(before.value - after.value)
    wider = difference(before, after, looks=4)
    assert wider.low < drop.low
    assert wider.high > drop.high
    more = difference(before, after, samples=16 * N)
    assert more.high - more.low == pytest.approx((drop.high - drop.low) / 4, rel=1e-6)
    told = guard(before, after, 1.0)
    assert told.verdict == "fail"
    assert told.n == N


def test_the_same_model_has_an_interval_that_samples_allow() -> None:
    before = score_by(parse_metric("auc"), [GOOD], Y)
    drop = difference(before, before)
    assert drop.value == 0.0
    assert drop.high == pytest.approx(1.96**2 / (N + 1.96**2), rel=1e-3)


def test_the_bootstrap_covers_the_truth_as_often_as_it_says() -> None:
    """Accuracy by the user's road of whole sets, whose true drop is known."""
    draw = np.random.default_rng(5)
    hit, rounds = 0, 120
    for _ in range(rounds):
        y = draw.integers(0, 2, 300)
        outputs = []
        for right in (0.9, 0.8):
            said = np.where(draw.random(300) < right, y, 1 - y)
            outputs.append(np.eye(2, dtype=np.float32)[said])
        f1 = [score_by(parse_metric("f1"), [o], y) for o in outputs]
        drop = difference(f1[0], f1[1])
        # Macro F1 of balanced classes with symmetric errors is the accuracy.
        hit += drop.low <= 0.1 <= drop.high
    assert hit / rounds >= 0.9


def test_folds_are_pooled_as_one_set() -> None:
    halves = [score_by(parse_metric("f1"), [GOOD[part]], Y[part])
              for part in (slice(0, 250), slice(250, N))]  # fmt: skip
    assert all(isinstance(half, SetScores) for half in halves)
    whole = score_by(parse_metric("f1"), [GOOD], Y)
    assert pool([h for h in halves if isinstance(h, SetScores)]).value == whole.value
    told = quality(whole)
    assert told.metric == "f1"
    assert told.low < told.value < told.high
    assert told.n == N


@pytest.fixture
def own_metric(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "own_metrics_for_test.py").write_text(
        "import numpy as np\n"
        "def per_set(outputs, y): return float(np.mean(np.argmax(outputs[0], 1) == y))\n"
        "def per_sample(outputs, y): return np.argmax(outputs[0], 1) == y\n"
        "def broken(outputs, y): return outputs[7]\n"
        "def nothing(outputs, y): return float('nan')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("own_metrics_for_test", None)
    return "own_metrics_for_test"


def test_the_users_function_may_score_samples_or_the_set(own_metric: str) -> None:
    accuracy = score_by(parse_metric("accuracy"), [GOOD], Y).value
    each = score_by(parse_metric(f"{own_metric}:per_sample"), [GOOD], Y)
    assert isinstance(each, Scores)
    assert each.binary
    whole = score_by(parse_metric(f"{own_metric}:per_set"), [GOOD], Y)
    assert isinstance(whole, SetScores)
    assert each.value == whole.value == accuracy
    wilson, drawn = quality(each), quality(whole)
    assert drawn.low == pytest.approx(wilson.low, abs=0.01)
    assert drawn.high == pytest.approx(wilson.high, abs=0.01)


@pytest.mark.parametrize(("name", "told"), [("broken", "IndexError"), ("nothing", "NaN")])
def test_a_users_function_that_fails_is_named(own_metric: str, name: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        score_by(parse_metric(f"{own_metric}:{name}"), [GOOD], Y)
    assert name in str(caught.value)


@pytest.mark.parametrize(
    ("metric", "y"),
    [("f1", RNG.normal(size=(N, 4)).astype(np.float32)), ("mse", Y), ("top-4", Y),
     ("closeness", Y)],
)  # fmt: skip
def test_a_metric_that_does_not_fit_the_labels_is_refused(metric: str, y: np.ndarray) -> None:
    with pytest.raises(ConfigError):
        score_by(parse_metric(metric), [GOOD], y)


def test_an_unknown_metric_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_metric("recall")
    assert "accuracy" in (caught.value.hint or "")
