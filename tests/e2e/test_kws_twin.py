"""The keyword spotting network rebuilt in Keras 3 gives what the published SavedModel gives."""

import os
from pathlib import Path

import numpy as np
import pytest
from benchmarks.kws import data

_SET = os.environ.get("GREEN_EDGE_TEST_DATA")
_FOLDER = Path(_SET or ".") / "mlperf_tiny"

pytestmark = pytest.mark.tf


@pytest.mark.skipif(not _SET, reason="GREEN_EDGE_TEST_DATA is not set")
def test_the_rebuilt_network_gives_what_the_published_one_gives(tmp_path: Path) -> None:
    import keras  # noqa: PLC0415 - seconds of import
    import tensorflow as tf  # noqa: PLC0415 - as above
    from benchmarks.kws import twin  # noqa: PLC0415 - beside them

    from green_edge.convert.saved_model import rewrite_batch_1  # noqa: PLC0415 - as above

    spoken = data.load(_FOLDER)
    rewrite_batch_1(_FOLDER / "kws_saved_model", tmp_path)
    published = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    (name,) = published.structured_input_signature[1]
    some = spoken.x[:40]
    wanted = [
        next(iter(published(**{name: tf.constant(x[None])}).values())).numpy()[0] for x in some
    ]
    given = np.asarray(twin.load(keras, _FOLDER / "kws_saved_model")(some, training=False))
    np.testing.assert_allclose(given, wanted, atol=1e-4)
    assert np.mean(given.argmax(axis=1) == spoken.y[:40]) > 0.8


def test_every_input_judges_once_and_never_where_it_was_learned_from() -> None:
    splits = data.folds(23, 5, seed=1)
    assert sorted(int(row) for _, judging in splits for row in judging) == list(range(23))
    for learned, judging in splits:
        assert not set(learned) & set(judging)
        assert len(learned) + len(judging) == 23
