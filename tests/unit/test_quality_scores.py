import numpy as np
import pytest
from numpy.typing import NDArray

from green_edge.core.report import Quality
from green_edge.evaluate.guard import difference, guard
from green_edge.evaluate.intervals import Z, wilson
from green_edge.evaluate.quality import Scores, pool, quality, score, unlabelled, unlabelled_note
from green_edge_wire.errors import ConfigError, ModelError

_LOGITS = np.array([[2, 1, 0], [0, 3, 1], [0, 1, 5], [4, 1, 1]], np.float32)


def _binary(right: int, n: int) -> Scores:
    return Scores("accuracy", np.array([1.0] * right + [0.0] * (n - right)), binary=True)


def test_class_indices_are_scored_by_the_best_class() -> None:
    scores = score([_LOGITS], y=np.array([0, 1, 0, 0]))
    assert (scores.metric, scores.binary) == ("accuracy", True)
    assert scores.per_sample.tolist() == [1.0, 1.0, 0.0, 1.0]


def test_one_hot_rows_are_class_indices() -> None:
    one_hot = np.eye(3, dtype=np.float32)[[0, 1, 0, 0]]
    assert score([_LOGITS], y=one_hot).per_sample.tolist() == [1.0, 1.0, 0.0, 1.0]


def test_a_single_probability_is_judged_at_one_half() -> None:
    outputs = [np.array([[0.9], [0.2], [0.7]], np.float32)]
    scores = score(outputs, y=np.array([1, 0, 0]))
    assert scores.per_sample.tolist() == [1.0, 1.0, 0.0]
    with pytest.raises(ConfigError, match="end the model in a sigmoid"):
        score([np.array([[4.0], [-2.0]], np.float32)], y=np.array([1, 0]))


def test_a_class_a_pixel_is_scored_by_the_share_of_right_pixels() -> None:
    outputs = np.zeros((2, 2, 2, 3), np.float32)
    outputs[..., 1] = 1.0
    y = np.array([[[1, 1], [1, 0]], [[1, 1], [1, 1]]])
    scores = score([outputs], y=y)
    assert (scores.metric, scores.binary) == ("accuracy", False)
    assert scores.per_sample.tolist() == [0.75, 1.0]


def test_targets_are_scored_by_their_error_in_standard_deviations() -> None:
    y = np.array([[-1.0], [1.0], [-1.0], [1.0]], np.float32)
    outputs = [np.array([[-1.0], [0.5], [0.5], [1.0]], np.float32)]
    scores = score(outputs, y=y)
    assert scores.metric == "closeness"
    assert scores.per_sample.tolist() == [1.0, 0.5, 0.0, 1.0]
    # A model that always gives the mean is worth nothing.
    assert score([np.zeros((4, 1), np.float32)], y=y).per_sample.sum() == 0.0


def test_whole_number_targets_of_a_single_output_are_targets() -> None:
    scores = score([np.array([[1.0], [5.0]], np.float32)], y=np.array([1, 5]))
    assert (scores.metric, scores.per_sample.tolist()) == ("closeness", [1.0, 1.0])


def test_targets_that_are_all_equal_are_met_or_not() -> None:
    scores = score([np.array([[1.0], [2.0]], np.float32)], y=np.array([[1.0], [1.0]]))
    assert scores.per_sample.tolist() == [1.0, 0.0]


def test_without_labels_a_classifier_is_scored_by_agreement_with_the_float_model() -> None:
    softmax = np.exp(_LOGITS) / np.exp(_LOGITS).sum(axis=-1, keepdims=True)
    other = softmax[[0, 1, 2, 1]]
    scores = score([other], reference=[softmax])
    assert (scores.metric, scores.binary) == ("fidelity", True)
    assert scores.per_sample.tolist() == [1.0, 1.0, 1.0, 0.0]
    named = score([_LOGITS], reference=[_LOGITS], labels=("a", "b", "c"))
    assert named.metric == "fidelity"


def test_without_labels_the_worst_output_of_a_sample_counts() -> None:
    softmax = np.exp(_LOGITS) / np.exp(_LOGITS).sum(axis=-1, keepdims=True)
    numbers = np.array([[1.0], [2.0], [3.0], [4.0]], np.float32)
    spoilt = numbers * np.array([[1.0], [-9.0], [1.0], [1.0]], np.float32)
    # Whichever output comes first: the second head of a model is not forgotten.
    for reference, outputs in (
        ([softmax, numbers], [softmax[[0, 1, 2, 1]], spoilt]),
        ([numbers, softmax], [spoilt, softmax[[0, 1, 2, 1]]]),
    ):
        scores = score(outputs, reference=reference)
        assert (scores.metric, scores.binary) == ("fidelity-closeness", False)
        assert scores.per_sample.tolist() == [1.0, 0.0, 1.0, 0.0]
    both = score([softmax, softmax[[1, 1, 2, 3]]], reference=[softmax, softmax])
    assert (both.metric, both.binary) == ("fidelity", True)
    assert both.per_sample.tolist() == [0.0, 1.0, 1.0, 1.0]


def test_outputs_that_labels_do_not_speak_of_are_set_against_the_float_model() -> None:
    numbers = np.array([[1.0], [2.0], [3.0], [4.0]], np.float32)
    beside = unlabelled([_LOGITS, numbers * 0], [_LOGITS, numbers])
    assert beside is not None
    assert beside.per_sample.tolist() == [pytest.approx(1 - 1 / np.std(numbers)), 0.0, 0.0, 0.0]
    assert unlabelled([_LOGITS], [_LOGITS]) is None
    assert unlabelled_note(0.95, "float model") == (
        "only the first output was judged by the labels; the others' fidelity to the float model "
        "is 95.0 %"
    )
    assert unlabelled_note(0.89, "baseline").startswith("warning: only the first output")


def test_without_labels_other_models_are_scored_by_closeness_over_all_outputs() -> None:
    reference = [_LOGITS, np.array([[1.0], [2.0], [3.0], [4.0]], np.float32)]
    same = score(reference, reference=reference)
    assert same.metric == "fidelity-closeness"
    assert same.per_sample.tolist() == [1.0] * 4
    worse = score([_LOGITS, reference[1] + 1], reference=reference)
    assert (worse.per_sample < 1.0).all()


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.array([0, 1, 2, 3]), r"class indices 0\.\.3, the output has 3 classes"),
        (np.array([-1, 1, 2, 0]), r"class indices -1\.\.2"),
        (np.array([0, 1]), "y has 2 entries for 4 samples"),
        (np.zeros((4, 2), np.float32), "targets of shape"),
    ],
)
def test_labels_that_do_not_fit_the_outputs_are_refused(
    y: NDArray[np.generic], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        score([_LOGITS], y=y)


def test_outputs_of_another_shape_than_the_float_models_are_refused() -> None:
    with pytest.raises(ModelError, match="different shapes"):
        score([_LOGITS], reference=[_LOGITS[:, :2]])
    with pytest.raises(ModelError, match="different shapes"):
        score([_LOGITS])


def test_the_folds_of_an_evaluation_pool_in_their_order() -> None:
    pooled = pool([_binary(2, 2), _binary(1, 3)])
    assert isinstance(pooled, Scores)
    assert pooled.per_sample.tolist() == [1.0, 1.0, 1.0, 0.0, 0.0]
    assert pooled.binary
    with pytest.raises(ModelError, match="different metrics"):
        pool([_binary(1, 1), Scores("closeness", np.ones(1), binary=False)])


def test_quality_is_the_mean_with_an_interval_that_holds_it() -> None:
    interval = wilson(97, 100)
    assert quality(_binary(97, 100)) == Quality("accuracy", 0.97, interval.low, interval.high, 100)
    graded = quality(Scores("closeness", np.linspace(0.4, 0.6, 50), binary=False))
    assert graded.value == pytest.approx(0.5)
    assert graded.low < 0.5 < graded.high


def test_the_guard_passes_fails_or_cannot_tell() -> None:
    good, n = _binary(970, 1000), 1000
    same = guard(good, good, max_drop_pp=2.0)
    assert (same.verdict, same.drop_pp, same.n, same.reference) == ("pass", 0.0, n, "float")
    assert same.high_pp == pytest.approx(100 * Z * Z / (n + Z * Z))
    assert guard(good, _binary(850, n), 2.0).verdict == "fail"
    assert guard(good, _binary(952, n), 2.0).verdict == "inconclusive"
    few = guard(_binary(20, 20), _binary(20, 20), 2.0)
    assert few.verdict == "inconclusive"


def test_a_drop_is_positive_where_the_chosen_model_is_worse() -> None:
    result = guard(_binary(90, 100), _binary(85, 100), 2.0)
    assert result.drop_pp == pytest.approx(5.0)
    assert result.low_pp < 5.0 < result.high_pp
    assert guard(_binary(85, 100), _binary(90, 100), 2.0).drop_pp == pytest.approx(-5.0)


def test_the_guard_compares_pairs_and_not_means() -> None:
    # The same accuracy, but on other samples: much less certain than agreement everywhere.
    n = 200
    flipped = Scores("accuracy", _binary(100, n).per_sample[::-1].copy(), binary=True)
    apart = guard(_binary(100, n), flipped, 2.0)
    together = guard(_binary(100, n), _binary(100, n), 2.0)
    assert apart.drop_pp == together.drop_pp == 0.0
    assert apart.high_pp > 5 * together.high_pp


def test_graded_scores_are_guarded_by_their_differences() -> None:
    rng = np.random.default_rng(0)
    base = rng.uniform(0.6, 0.9, 300)
    float_scores = Scores("closeness", base, binary=False)
    worse = Scores("closeness", base - rng.normal(0.05, 0.01, 300), binary=False)
    assert guard(float_scores, worse, 2.0).verdict == "fail"
    assert guard(float_scores, worse, 7.0).verdict == "pass"


def test_scores_of_other_samples_or_metrics_are_not_compared() -> None:
    with pytest.raises(ModelError, match="cannot be compared"):
        difference(_binary(1, 2), _binary(1, 3))
    with pytest.raises(ModelError, match="cannot be compared"):
        difference(_binary(1, 2), Scores("fidelity", np.ones(2), binary=True))
