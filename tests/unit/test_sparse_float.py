"""Float files that store zeros away: when a build makes one, and what is said of its cost."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from green_edge.build.compare.predicted import cost_of, predict_pairs
from green_edge.build.estimate.counting import Counter
from green_edge.build.estimate.estimate import EstimateOptions, estimate
from green_edge.build.estimate.report import Estimate
from green_edge.build.inspection import inspect
from green_edge.build.measure import Court, Judged
from green_edge.build.plan import Plan, means_of
from green_edge.build.sparse_float import SparseFloat, note, sparse_float
from green_edge.compress.graph.values import Kept
from green_edge.convert.formats import Source
from green_edge.core.recipe import Method
from green_edge.evaluate.quality import Scores
from green_edge.search import ladder
from green_edge.targets.prediction import PRICED_DENSE, predict
from green_edge.targets.registry import find
from green_edge.tflite.read import read
from green_edge.tflite.sparse import with_sparse_weights
from support.estimates import TableCounter
from support.sparse_models import with_zeros

DENSE = with_zeros(0.8)
SPARSE = with_sparse_weights(DENSE).content


class WitnessCourt(Court):
    """Notes what it is given to judge."""

    def __init__(self) -> None:
        self._of = "zeros"
        self.judged: list[bytes] = []

    def floats(self, form: Callable[[bytes], bytes] = bytes) -> Judged:
        """Right in all."""
        self.judged.append(form(DENSE))
        return Judged(Scores("accuracy", np.ones(4), binary=True))


def _made(content: bytes, *targets: str) -> tuple[SparseFloat, WitnessCourt]:
    court = WitnessCourt()
    return sparse_float(content, [find(target) for target in targets], court), court


def test_a_target_whose_float_kernels_skip_zeros_gets_a_candidate_that_is_judged() -> None:
    found, court = _made(DENSE, "pi5", "pi3:bookworm-armhf")
    assert found.candidate is not None
    assert found.candidate.name == "zeros+sparse-float"
    assert found.candidate.content == SPARSE == court.judged[0]
    assert found.lines[0] == "on pi5 float skips the zeros of 2 kernels"
    assert found.lines[1].startswith("no speed gain expected on pi3:bookworm-armhf: float kernels")
    targets = [find("pi3:bookworm-armhf"), find("pi5")]
    assert "green-edge estimate FILE --target pi5" in note(found.candidate, targets)


@pytest.mark.parametrize("target", ["host", "pi4:bookworm-armhf", "coral-usb+pi4"])
def test_where_kernels_are_not_known_to_skip_zeros_there_is_none(target: str) -> None:
    found, court = _made(DENSE, target)
    assert found.candidate is None
    assert not court.judged
    assert found.lines[0].startswith(f"no speed gain expected on {target}: float kernels of ")


def test_a_network_that_does_not_fit_the_kernels_has_none_and_says_why() -> None:
    found, court = _made(with_zeros(0.5), "pi4")
    assert found.candidate is None
    assert not court.judged
    why = "50% of the weights of 1 x 1 convolutions are zero, not 67 %"
    assert found.lines == (f"no speed gain expected on pi4: {why}",)


def _missing(*ties: Kept) -> set[str]:
    plan = Plan(Source(Path("m.keras"), "keras", ""), (find("pi4"),), (Method("aeq"),), ())
    means = means_of(plan, None, {}, labelled=True, ties=ties)
    rungs: tuple[ladder.Rung, ...] = (
        *("mse", "bias-correction", "equalisation", "adaptive-rounding", "fine-tune", "mixed"),
    )
    return {rung for rung in rungs if ladder.missing(rung, means) is not None}


def test_repairs_that_would_undo_zeros_or_shared_values_are_not_taken() -> None:
    assert _missing() == set()
    assert _missing("zeros") == {"adaptive-rounding", "fine-tune"}
    shared = {"adaptive-rounding", "fine-tune", "equalisation"}
    assert _missing("values") == _missing("channel-values", "zeros") == shared


def _estimated(content: bytes, tmp_path: Path, counter: Counter | None) -> Estimate:
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    (found,) = estimate(EstimateOptions(path, ("pi4",)), counter).estimates
    return found


def test_the_cost_model_prices_a_sparse_file_as_its_dense_twin_and_says_so(tmp_path: Path) -> None:
    sparse, dense = (_estimated(content, tmp_path, None) for content in (SPARSE, DENSE))
    assert sparse.runtimes[0].instructions == dense.runtimes[0].instructions
    assert sparse.runtimes[0].error_ratio == dense.runtimes[0].error_ratio
    assert PRICED_DENSE in sparse.notes
    assert PRICED_DENSE not in dense.notes
    assert dense.advice
    assert not sparse.advice
    shares = {layer.op: layer.share for layer in sparse.layers}
    assert shares["DENSIFY"] == 0


def test_a_count_of_a_sparse_file_is_what_is_reported(tmp_path: Path) -> None:
    counter = TableCounter({"ai-edge-litert": 1_000, "tflite-runtime": 2_000})
    found = _estimated(SPARSE, tmp_path, counter)
    assert [entry.instructions for entry in found.runtimes] == [1_000, 2_000]
    assert found.runtimes[0].how == "emulated"
    assert PRICED_DENSE in found.notes


def test_a_gate_on_a_sparse_file_goes_by_the_dense_price_and_says_so() -> None:
    target, sparse, dense = find("pi4"), read(SPARSE), read(DENSE)
    ((pair,), notes) = predict_pairs(sparse, [target], lambda where, _: cost_of(dense, where))
    assert pair.b.instructions == predict(dense, target).instructions
    assert PRICED_DENSE in notes


def test_parameters_and_macs_of_a_sparse_file_are_those_of_the_dense_one(tmp_path: Path) -> None:
    (tmp_path / "sparse.tflite").write_bytes(SPARSE)
    found = inspect(tmp_path / "sparse.tflite")
    assert found.tflite is not None
    before = read(DENSE)
    assert (found.tflite.params, found.tflite.macs) == (before.params, before.macs)
    assert found.tflite.size_bytes == len(SPARSE) < before.size_bytes
    assert found.notes == (
        "2 kernels are stored without zeros, which parameters and MACs count all the same",
    )
