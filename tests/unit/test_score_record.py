import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from green_edge.data.dataset import Dataset
from green_edge.evaluate.intervals import Interval, unpaired, wilson
from green_edge.evaluate.quality import Scores
from green_edge.evaluate.score_record import ScoreRecord, record, restore, set_digest
from green_edge_wire.errors import DecodeError


@given(st.lists(st.booleans(), min_size=1, max_size=100))
def test_hits_and_misses_come_back_as_they_were(hits: list[bool]) -> None:
    scores = Scores("accuracy", np.array(hits, dtype=np.float64), binary=True)
    written = record(scores, "d")
    assert len(written.scores) == 2 * -(-len(hits) // 8)
    back = restore(written, "accuracy", len(hits))
    assert back.binary
    assert back.per_sample.tolist() == scores.per_sample.tolist()


@given(hnp.arrays(np.float64, st.integers(1, 50), elements=st.floats(0.0, 1.0)))
def test_graded_scores_come_back_within_half_a_step(values: np.ndarray) -> None:
    written = record(Scores("closeness", values, binary=False), "d")
    back = restore(written, "closeness", len(values))
    assert np.abs(back.per_sample - values).max() <= 0.5 / 65535 + 1e-12
    # Written again it is the same: a model does not differ from itself.
    assert record(back, "d") == written


@pytest.mark.parametrize(
    ("text", "n", "said"),
    [("xy", 8, "not hexadecimal"), ("ffff", 8, "8 samples"), ("ff", 0, "0 samples"),
     ("ff", 9, "9 samples")],
)  # fmt: skip
def test_a_spoilt_record_is_refused(text: str, n: int, said: str) -> None:
    with pytest.raises(DecodeError, match=said):
        restore(ScoreRecord("d", text, binary=True), "accuracy", n)


def test_a_sets_digest_goes_by_its_samples_labels_and_types() -> None:
    x, y = np.arange(6, dtype=np.float32).reshape(3, 2), np.arange(3)
    own = set_digest(Dataset({"x": x}, y))
    assert own == set_digest(Dataset({"image": np.asfortranarray(x)}, y.copy(), ("a", "b", "c")))
    others = [
        Dataset({"x": x}),
        Dataset({"x": x}, y[::-1].copy()),
        Dataset({"x": x + 1}, y),
        Dataset({"x": x.astype(np.float64)}, y),
        Dataset({"x": x.reshape(3, 2, 1)}, y),
    ]
    assert own not in {set_digest(other) for other in others}


def test_means_on_samples_of_their_own_have_newcombes_interval() -> None:
    # Newcombe 1998, table II, method 10: 56/70 against 48/80.
    found = unpaired(wilson(56, 70), wilson(48, 80))
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_an_unpaired_interval_stays_a_difference_of_shares() -> None:
    found = unpaired(Interval(1.0, 0.1, 1.0), Interval(0.0, 0.0, 0.9))
    assert (found.value, found.low, found.high) == pytest.approx((1.0, -0.2728, 1.0), abs=1e-4)
