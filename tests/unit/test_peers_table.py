"""The peers' table with two tiny models and a counter that knows one runtime."""

from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from benchmarks.fashion.data import Labelled
from benchmarks.peers import comparison, environment
from benchmarks.peers.methods import Built, Peer, peers
from benchmarks.peers.subjects import Fold, Subject

from green_edge.emulate import Count, Refusal, Setting
from green_edge_wire.errors import GreenEdgeError
from support.tiny_models import dense_weights, tiny_float_dense, tiny_int8_dense

SAMPLES = 60


def fold(seed: int, *, wrong: int) -> Fold:
    """Samples of which the float model of that seed gets all but `wrong` right."""
    x = np.random.default_rng(seed).normal(0, 1, (SAMPLES, 4)).astype(np.float32)
    y = np.argmax(x @ dense_weights(seed=seed).T, axis=1)
    y[:wrong] = (y[:wrong] + 1) % 3
    judged = Labelled(x, y.astype(np.int64))
    return Fold(Path(str(seed)), judged, judged)


def counted(models: Sequence[bytes], setting: Setting) -> tuple[Count | Refusal, ...]:
    digests = [sha256(model).hexdigest() for model in models]
    if setting.runtime == "tflite-runtime":
        return tuple(Refusal(digest, setting, "no such op") for digest in digests)
    return tuple(
        Count(digest, setting, 1_234_000 + i, cached=False, userland="")
        for i, digest in enumerate(digests)
    )


def each(subject: Subject, make: Callable[..., bytes], wall_s: float) -> tuple[Built, ...]:
    return tuple(Built(make(seed=int(str(fold.weights))), wall_s) for fold in subject.folds)


def compared() -> dict[str, object]:
    rows = (
        Peer("A", "float", lambda s: each(s, tiny_float_dense, 3.0)),
        Peer("B", "int8", lambda s: each(s, tiny_int8_dense, 5.0)),
    )
    folds = (fold(1, wrong=6), fold(2, wrong=0))
    return comparison.compare(Subject("tiny", folds, 2, 0, {}), rows, counted)


def test_every_sample_is_judged_once_and_the_interval_is_that_of_all() -> None:
    figures = compared()
    assert figures["judged_samples"] == 2 * SAMPLES
    first = figures["rows"][0]  # type: ignore[index]
    assert first["accuracy"] == 114 / 120
    # Wilson's interval of 114 of 120, by its formula.
    assert (first["low"], first["high"]) == (0.8952, 0.97689)
    assert first["build_s"] == 3.0
    assert (first["params"], first["macs"]) == (15, 12)
    assert first["size_bytes"] == len(tiny_float_dense(seed=1))


def test_a_runtime_that_refuses_a_model_is_shown_with_its_words_kept() -> None:
    figures = compared()
    second = figures["rows"][1]  # type: ignore[index]
    assert second["instructions"] == {
        "ai-edge-litert 2.3.0 on cortex-a72 (aarch64)": 1_234_001,
        "tflite-runtime 2.14.0 on cortex-a72 (aarch64)": "no such op",
        "ai-edge-litert 2.3.0 on cortex-a76 (aarch64)": 1_234_001,
        "tflite-runtime 2.14.0 on cortex-a76 (aarch64)": "no such op",
    }
    lines = comparison.markdown(figures).splitlines()
    assert "A72 ai-edge-litert | A72 tflite-runtime | A76 ai-edge-litert" in lines[2]
    assert lines[4].startswith("| A | float | 95.00 | 89.52 to 97.69 |")
    assert lines[5].endswith("| 1,234 | - | 1,234 | - | 5 |")
    assert lines[7] == "- tflite-runtime 2.14.0 on cortex-a72 (aarch64) refuses A float: no such op"


def test_a_second_table_says_what_each_row_saves_and_loses_on_the_same_samples() -> None:
    figures = compared()
    plain = figures["rows"][1]  # type: ignore[index]
    shrunk = {"tool": "green-edge", "how": "shrunk, int8, seed 1", "macs": plain["macs"] // 3}
    shrunk |= {"drop": {"drop_pp": 0.5, "low_pp": -0.25, "high_pp": 1.25}}
    shrunk |= {"instructions": dict.fromkeys(plain["instructions"], 617_000)}
    text = comparison.markdown(
        figures | {"rows": [*figures["rows"], plain | shrunk]}  # type: ignore[misc]
    )
    assert "| green-edge | shrunk, int8, seed 1 | +0.50 | -0.25 to +1.25 | 3.00 | 1.00 |" in text
    # The runtime that refuses plain int8 leaves nothing to divide.
    assert "| 2.00 | - | 2.00 | - |" in text
    assert "fewer instructions has no peer, more accurate is A float" in text
    assert figures["rows"][0]["drop"]["drop_pp"] == 0.0  # type: ignore[index]


def test_results_from_before_the_second_table_still_make_a_page() -> None:
    figures = compared()
    old = [
        {key: value for key, value in row.items() if key != "drop"}
        for row in figures["rows"]  # type: ignore[attr-defined]
    ]
    assert "drop, pp" in comparison.markdown(figures)
    assert "drop, pp" not in comparison.markdown(figures | {"rows": old})


def test_the_rows_are_those_of_the_promise() -> None:
    assert [(peer.tool, peer.how) for peer in peers()] == [
        ("TFLiteConverter", "float"),
        ("TFLiteConverter", "dynamic range"),
        ("TFLiteConverter", "int8"),
        ("ai-edge-quantizer", "int8"),
        ("TF-MOT", "prune 50 %, int8"),
        ("TF-MOT", "prune 80 %, int8"),
        ("TF-MOT", "cluster 16, int8"),
        ("TF-MOT", "QAT, int8"),
    ]


def test_a_peer_that_pip_cannot_install_is_refused_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GREEN_EDGE_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(
        GreenEdgeError, match=r"environment cannot be made: ERROR.*pip must reach PyPI"
    ):
        environment.tfmot_python()
    # A half-made environment is not taken for a whole one.
    with pytest.raises(GreenEdgeError):
        environment.tfmot_python()
