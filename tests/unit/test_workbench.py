"""What a workbench makes on top of what it has made, by converters that follow a script."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from green_edge.build.candidates import RankLayers, Workbench
from green_edge.build.sets import Sets
from green_edge.build.subject import FloatModel, Subject
from green_edge.convert.formats import Source
from green_edge.convert.signature import names
from green_edge.core.recipe import Method, Recipe
from green_edge.data.dataset import Dataset
from green_edge.tflite.read import read
from support.scripted_tools import ScriptedTools, int8_model, rank_layers
from support.tiny_models import tiny_float_dense

BAD, WORSE = 0.5, 1.0


def bench(float_tflite: bytes, rank: RankLayers, tools: ScriptedTools) -> Workbench:
    """A subject of its own, without a source."""
    facts = read(float_tflite)
    dataset = Dataset({"x": np.zeros((3, 4), np.float32)})
    sets = Sets(dataset, dataset, labelled=False, training="none", notes=())
    source = Source(Path("m.tflite"), "tflite", "00")
    subject = Subject("m", source, FloatModel(float_tflite, facts, names(float_tflite)), sets)
    return Workbench(subject, tools, rank, Recipe(), seed=0)


def test_half_of_the_wide_layers_are_found_first_and_the_others_with_those_in_place() -> None:
    # The noise of `a` hides that `d` is worse than all but `a`.
    def ranked(_float: bytes, int8: bytes, _samples: Dataset) -> Sequence[str]:
        return ("a", "d", "b", "c") if int8 == int8_model(BAD) else ("a", "b", "c", "d")

    tools = ScriptedTools({"mse": WORSE}, wide={1: BAD, 2: BAD})
    made = bench(tiny_float_dense(), ranked, tools)
    plain = Method("aeq", "mse")
    assert made.widened(plain, 1, "float32").wide == ("a",)
    assert made.widened(plain, 2, "float32").wide == ("a", "d")
    assert made.widened(plain, 4, "int16").wide == ("a", "d", "b", "c")


def test_a_fold_keeps_as_many_layers_wide_as_the_main_model_but_its_own_worst() -> None:
    def ranked(float_tflite: bytes, _int8: bytes, _samples: Dataset) -> Sequence[str]:
        return ("a", "b") if float_tflite == tiny_float_dense() else ("fold/b", "fold/a")

    tools = ScriptedTools({"mse": WORSE}, {"bias-correction": 1.0}, wide={1: BAD})
    main, fold = (bench(tiny_float_dense(seed=seed), ranked, tools) for seed in (0, 1))
    chosen = main.widened(Method("aeq", "mse"), 1, "int16")
    corrected = replace(chosen, repairs=(*chosen.repairs, "bias-correction"))
    own = fold.own(corrected)
    assert own == replace(corrected, wide=("fold/b",))
    assert main.own(Method("aeq", "mse")) == Method("aeq", "mse")


def test_each_rung_tells_of_the_layers_that_it_left_alone_itself() -> None:
    left = {"bias-correction": 1, "equalisation": 2, "adaptive-rounding": 3}
    tools = ScriptedTools({"mse": WORSE}, dict.fromkeys(left, 1.0), skipped=left)
    made = bench(tiny_float_dense(), rank_layers, tools)
    method = Method("aeq", "mse")
    for rung in ("bias-correction", "equalisation", "adaptive-rounding"):
        method = replace(method, repairs=(*method.repairs, rung))
        found = made.skipped(rung, method)
        assert [skip.reason for skip in found] == [rung] * left[rung]
    assert made.skipped("mse", Method("aeq", "mse")) == ()
