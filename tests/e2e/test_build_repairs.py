"""Builds whose int8 models lose accuracy, by converters that follow a script."""

import itertools
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from green_edge.build.options import BuildOptions
from green_edge.build.pipeline import build
from green_edge.build.plan import make_plan, summarize
from green_edge.build.report_html import render
from green_edge.build.sets import pick
from green_edge.build.words import guard_sentence
from green_edge.cli.summaries import build_summary
from green_edge.core.recipe import Recipe, Repair, load_recipe
from green_edge.core.report import BuildReport, StepReport
from green_edge.data.dataset import Dataset, FineTuneSets
from support.bundles import test_signer
from support.scripted_tools import ScriptedTools, rank_layers
from support.small_builds import Workshop, clear_workshop

# Noise of the scripted models: GOOD loses nothing, FAIR passes, BAD and WORSE lose several points.
GOOD, FAIR, BAD, WORSE = 0.0, 0.07, 0.5, 1.0


@pytest.fixture
def place(tmp_path: Path) -> Workshop:
    return clear_workshop(tmp_path)


def made(tools: ScriptedTools, options: BuildOptions) -> BuildReport:
    return build(options, test_signer(), opened=tools, rank=rank_layers)


def keras(place: Workshop) -> Path:
    """A file that is recognized as a Keras model; the scripted tools do not read it."""
    path = place.folder / "dense.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("metadata.json", "{}")
    return path


def outcomes(report: BuildReport) -> list[tuple[str, bool | None]]:
    return [(step.step, step.kept) for step in report.steps[1:]]


def reason(step: StepReport) -> str:
    (skip,) = step.skipped
    assert skip.layer == step.step
    return skip.reason


def test_a_model_that_passes_at_once_is_not_repaired(place: Workshop) -> None:
    tools = ScriptedTools({"minmax": GOOD})
    report = made(tools, place.options())
    assert report.guard.verdict == "pass"
    assert tools.asked == ["float", "minmax"]
    assert outcomes(report) == []
    assert "repair ladder" not in build_summary(place.folder, report)


def test_the_ladder_stops_at_the_first_rung_that_leaves_nothing_to_win(place: Workshop) -> None:
    tools = ScriptedTools({"minmax": WORSE, "percentile": BAD, "mse": GOOD})
    report = made(tools, place.options())
    assert outcomes(report) == [("percentile", True), ("mse", True)]
    assert tools.asked == ["float", "minmax", "percentile", "mse"]
    assert report.chosen.recipe == "int8-aeq-mse"
    assert report.guard.verdict == "pass"
    assert report.int8_baseline.recipe == "int8-aeq-minmax"
    qualities = [report.int8_baseline.quality, *(step.quality for step in report.steps[1:])]
    values = [quality.value for quality in qualities if quality is not None]
    gained = [step.gained_pp for step in report.steps[1:]]
    assert gained == pytest.approx([100 * (b - a) for a, b in itertools.pairwise(values)])
    assert min(value for value in gained if value is not None) > 5
    shipped = (place.folder / "out" / report.chosen.file).read_bytes()
    kept = place.folder / "out" / "candidates" / "dense.int8-aeq-mse.tflite"
    assert shipped == kept.read_bytes()


def test_each_rung_builds_on_the_best_and_one_that_makes_it_worse_is_dropped(
    place: Workshop,
) -> None:
    tools = ScriptedTools(
        {"minmax": WORSE, "percentile": 2 * WORSE, "mse": BAD, "entropy": 2 * WORSE},
        {"bias-correction": 3.0, "equalisation": 0.8, "adaptive-rounding": 0.1},
    )
    report = made(tools, place.options())
    assert outcomes(report) == [
        *(("percentile", False), ("mse", True), ("entropy", False)),
        *(("bias-correction", False), ("equalisation", True)),
        *((f"equalisation {other}", False) for other in ("minmax", "percentile", "entropy")),
        ("adaptive-rounding", True),
    ]
    assert report.chosen.recipe == "int8-aeq-mse+equalisation+adaptive-rounding"
    # Nothing is made twice: equalisation needs new ranges, rounding nothing that came before it.
    assert tools.asked == [
        *("float", "minmax", "percentile", "mse", "entropy"),
        *("bias-correction", "equalisation", "mse", "minmax", "percentile", "entropy"),
        "adaptive-rounding",
    ]
    assert len(report.candidates) == 10
    assert "chose among 10 candidates" in report.notes[-1]
    # The first candidate and the three that took the place of the best.
    assert report.guard.looks == 4
    assert "95 % interval widened for 4 looks:" in guard_sentence(report.guard)
    assert [step.base for step in report.steps[1:]] == [
        *("float", "float", "float", "int8-aeq-mse", "int8-aeq-mse"),
        *("int8-aeq-minmax", "int8-aeq-percentile", "int8-aeq-entropy"),
        "int8-aeq-mse+equalisation",
    ]


def test_a_model_that_passes_is_improved_further_by_what_is_free_on_the_device(
    place: Workshop,
) -> None:
    tools = ScriptedTools(
        {"minmax": WORSE, "percentile": FAIR, "mse": WORSE, "entropy": WORSE},
        {"bias-correction": 1.1, "adaptive-rounding": 0.01},
        {1: GOOD},
    )
    report = made(tools, place.options(max_drop_pp=4.0))
    assert outcomes(report) == [
        *(("percentile", True), ("mse", False), ("entropy", False), ("bias-correction", False)),
        *(("equalisation", None), ("adaptive-rounding", True)),
    ]
    assert report.guard.drop_pp <= 0.5
    # What came after the first pass is no look: it was no trying until one passes.
    assert report.guard.looks == 2


def test_training_and_wide_layers_are_left_alone_once_the_guard_passes(place: Workshop) -> None:
    repairs: tuple[Repair, ...] = ("fine-tune", "mixed")
    recipe = Recipe(quantizers=("aeq",), calibrations=("minmax", "mse"), repair=repairs)
    tools = ScriptedTools({"minmax": WORSE, "mse": FAIR}, wide={1: GOOD})
    report = made(tools, place.options(recipe=recipe))
    assert outcomes(report) == [("mse", True)]
    assert report.guard.drop_pp > 0.5


def test_a_rung_that_fails_or_cannot_be_taken_says_why_and_the_next_is_tried(
    place: Workshop,
) -> None:
    tools = ScriptedTools({"minmax": BAD, "mse": WORSE, "entropy": WORSE})
    report = made(tools, place.options(targets=("coral-usb",)))
    found = {step.step: reason(step) for step in report.steps[1:] if step.kept is None}
    assert found == {
        "percentile": "percentile was not to be",
        "bias-correction": "bias-correction was not to be",
        "equalisation": "no two layers can be equalised: dense: no layer after it",
        "adaptive-rounding": "adaptive-rounding was not to be",
        "fine-tune": "only Keras models can be trained",
        "mixed": "coral-usb runs int8 layers alone",
    }
    assert report.guard.verdict == "fail"
    assert report.chosen.recipe == "int8-aeq-minmax"
    failed = report.steps[1]
    assert (failed.recipe, failed.gained_pp, failed.quality) == (None, None, None)


def test_more_and_more_layers_stay_wide_until_the_guard_passes(place: Workshop) -> None:
    recipe = Recipe(quantizers=("aeq",), calibrations=("mse",), repair=("mixed",))
    tools = ScriptedTools({"mse": WORSE}, wide={1: WORSE, 2: BAD, 4: GOOD})
    report = made(tools, place.options(recipe=recipe))
    assert outcomes(report) == [("mixed-1", False), ("mixed-2", True), ("mixed-4", True)]
    assert tools.asked[-1] == "wide layer-0,layer-1,layer-2,layer-3 float32"
    assert report.chosen.recipe == "int8-aeq-mse+mixed-4"
    assert report.notes[-1] == "kept in float32: layer-0, layer-1, layer-2, layer-3"
    assert report.chosen.wide == ("layer-0", "layer-1", "layer-2", "layer-3")
    assert report.int8_baseline.wide is None


def test_a_note_names_wide_layers_shortly_and_the_report_in_full(place: Workshop) -> None:
    fused = "functional_1/block_7/add_1/Add;functional_1/block_7/norm/batchnorm/mul_1;" * 3

    def ranked(_float: bytes, _int8: bytes, _samples: Dataset) -> Sequence[str]:
        return (fused, "y")

    recipe = Recipe(quantizers=("aeq",), calibrations=("mse",), repair=("mixed",))
    tools = ScriptedTools({"mse": WORSE}, wide={1: GOOD})
    report = build(place.options(recipe=recipe), test_signer(), opened=tools, rank=ranked)
    assert report.notes[-1] == "kept in float32: add_1/Add"
    assert report.chosen.wide == (fused,)


def test_a_model_of_one_layer_cannot_keep_any_wide(place: Workshop) -> None:
    def one_layer(_float: bytes, _int8: bytes, _samples: Dataset) -> Sequence[str]:
        return ("y",)

    recipe = Recipe(calibrations=("mse",), repair=("mixed",))
    options = place.options(recipe=recipe)
    report = build(options, test_signer(), opened=ScriptedTools({"mse": WORSE}), rank=one_layer)
    assert reason(report.steps[1]) == "with 1 layers in all, none would be left in int8"


def test_repairs_of_int8_start_from_the_tf_converter_where_it_was_better(place: Workshop) -> None:
    tools = ScriptedTools(
        {"tf": BAD, "minmax": WORSE, "percentile": WORSE, "mse": WORSE, "entropy": WORSE},
        {"bias-correction": 0.01},
    )
    report = made(tools, place.options(model=keras(place)))
    assert report.int8_baseline.recipe == "int8-tf-minmax"
    assert report.chosen.recipe == "int8-tf-minmax+bias-correction"


def test_without_ai_edge_quantizer_only_the_repairs_of_int8_files_are_tried(
    place: Workshop,
) -> None:
    tools = ScriptedTools({"tf": WORSE}, {"bias-correction": 0.9, "adaptive-rounding": 0.01})
    report = made(tools, place.options(model=keras(place)))
    assert report.chosen.recipe == "int8-tf-minmax+bias-correction+adaptive-rounding"
    untaken = [step for step in report.steps[1:] if step.kept is None]
    assert [step.step for step in untaken] == ["percentile", "mse", "entropy", "equalisation"]
    assert {reason(step) for step in untaken} == {"ai-edge-quantizer failed: minmax was not to be"}
    only_tf = Recipe(quantizers=("tf",), calibrations=("minmax", "mse"), repair=())
    report = made(ScriptedTools({"tf": WORSE}), place.options(model=keras(place), recipe=only_tf))
    assert reason(report.steps[1]) == "the recipe leaves ai-edge-quantizer out"


def fine_tuning(place: Workshop, tools: ScriptedTools, **changes: object) -> BuildReport:
    recipe = Recipe(calibrations=("minmax",), repair=("fine-tune", "mixed"))
    given: dict[str, object] = {"model": keras(place), "recipe": recipe, "seed": 5}
    return made(tools, place.options(**(given | changes)))  # type: ignore[arg-type]


def test_a_keras_model_is_fine_tuned_on_the_training_set(place: Workshop) -> None:
    tools = ScriptedTools({"tf": WORSE, "minmax": WORSE}, {"fine-tune": 0.0})
    report = fine_tuning(place, tools, train=str(place.labelled))
    assert report.chosen.recipe == "int8-tf-minmax+fine-tune"
    assert tools.asked[-1] == "fine-tune 500 5"
    (sets,) = tools.sets
    assert [len(x) for x in (*sets.x, *sets.calibration)] == [1500, 100]


def test_mixed_precision_after_fine_tuning_starts_from_the_model_that_was_not_tuned(
    place: Workshop,
) -> None:
    tools = ScriptedTools({"tf": WORSE, "minmax": WORSE}, {"fine-tune": 0.5}, {1: GOOD})
    report = fine_tuning(place, tools, train=str(place.labelled))
    assert outcomes(report) == [("fine-tune", True), ("mixed-1", True)]
    assert report.chosen.recipe == "int8-aeq-minmax+mixed-1"


def test_without_a_training_set_nothing_is_fine_tuned(place: Workshop) -> None:
    tools = ScriptedTools({"tf": WORSE, "minmax": WORSE}, wide={1: GOOD})
    report = fine_tuning(place, tools)
    assert reason(report.steps[1]) == "no --train is given"
    assert not tools.sets


def trained_on(**given: str | None) -> Dataset | str:
    numbers = np.arange(1000, dtype=np.float32)[:, None]
    refs: dict[str, str | None] = {"calibration": None, "train": None, "evaluation": None}
    sets = pick(lambda _: Dataset({"x": numbers}), **(refs | given), samples=100, seed=0)
    if isinstance(sets.training, str):
        return sets.training
    learned = sets.training()
    if given.get("evaluation") is None:
        judging = set(sets.evaluation.inputs["x"].ravel())
        assert not judging & set(learned.inputs["x"].ravel())
    return learned


def test_samples_that_judge_are_never_trained_on() -> None:
    whole = trained_on(train="t.npz", evaluation="e.npz")
    assert isinstance(whole, Dataset)
    assert whole.n == 1000
    left = trained_on(train="t.npz")
    assert isinstance(left, Dataset)
    assert left.n == 100
    assert "could be among" in str(trained_on(train="t.npz", calibration="c.npz"))


def folds(place: Workshop, *, train: bool) -> str:
    for k in range(2):
        fold = clear_workshop(place.folder / "folds" / str(k), seed=k, samples=600)
        fold.model.unlink()
        keras(fold).rename(fold.folder / "model.keras")
        fold.labelled.rename(fold.folder / "eval.npz")
        if train:
            x = np.zeros((50 + k, 4), np.float32)
            np.savez(fold.folder / "train.npz", x=x)
    return str(place.folder / "folds")


def test_rungs_are_applied_to_every_fold_and_judged_over_all_of_them(place: Workshop) -> None:
    for k in range(2):
        fold = clear_workshop(place.folder / "folds" / str(k), seed=k, samples=600)
        fold.model.rename(fold.folder / "model.tflite")
        fold.labelled.rename(fold.folder / "eval.npz")
    tools = ScriptedTools({"minmax": WORSE, "percentile": GOOD})
    report = made(tools, place.options(eval=str(place.folder / "folds")))
    assert report.chosen.recipe == "int8-aeq-percentile"
    assert report.guard.n == 1200
    assert tools.asked == [*(["float", "minmax"] * 3), *(["percentile"] * 3)]


def test_a_fold_is_fine_tuned_on_its_own_training_set_or_not_at_all(place: Workshop) -> None:
    noise = {"tf": WORSE, "minmax": WORSE}
    # The scripted Keras model is that of seed 0, whatever the fold.
    without = fine_tuning(
        place, ScriptedTools(noise, wide={1: 2.0, 2: 2.0, 4: 2.0}), eval=folds(place, train=False),
        train=str(place.labelled),
    )  # fmt: skip
    assert reason(without.steps[1]) == "fold 0 has no train.npz"
    other = clear_workshop(place.folder / "other")
    tools = ScriptedTools(noise, {"fine-tune": 0.0}, {1: 2.0, 2: 2.0, 4: 2.0})
    fine_tuning(other, tools, eval=folds(other, train=True), train=str(other.labelled))
    sizes = [len(sets.x[0]) for sets in tools.sets]
    assert sizes == [1500, 50, 51]
    assert all(isinstance(sets, FineTuneSets) for sets in tools.sets)


def test_without_labels_the_ladder_goes_by_fidelity(place: Workshop) -> None:
    tools = ScriptedTools({"minmax": WORSE, "percentile": GOOD})
    options = place.options(calibration=None, train=str(place.labelled), eval=None)
    report = made(tools, options)
    assert report.chosen.quality.metric == "fidelity"
    assert report.chosen.recipe == "int8-aeq-percentile"
    assert "balanced over 3 classes" in report.notes[0]


def test_without_labels_no_layer_leaves_int8_for_nearness_alone(place: Workshop) -> None:
    tools = ScriptedTools({"tf": WORSE, "minmax": WORSE}, wide={1: GOOD})
    recipe = Recipe(calibrations=("minmax",), repair=("mixed",))
    report = made(tools, place.options(recipe=recipe, eval=None))
    assert "without labels" in (reason(report.steps[1]) or "")


def test_the_plan_names_the_rungs_that_can_be_taken(place: Workshop) -> None:
    options = place.options()
    line = "where it does not pass, repair by percentile, mse, entropy, bias-correction, "
    line += "equalisation, adaptive-rounding, mixed, until it does"
    steps = summarize(options, make_plan(options)).steps
    assert line in steps
    assert "then go on with what is free on the device, to 0.5 pp" in steps
    tight = replace(options, max_drop_pp=0.5)
    assert not any("go on" in step for step in summarize(tight, make_plan(tight)).steps)
    coral = replace(options, targets=("pi4", "coral-usb"), model=keras(place), train="calibration")
    coral = replace(coral, train=str(place.labelled))
    (shown,) = (s for s in summarize(coral, make_plan(coral)).steps if "repair by" in s)
    assert "fine-tune" in shown
    assert "mixed" not in shown
    plain = replace(options, recipe=load_recipe("int8"))
    assert not any("repair" in step for step in summarize(plain, make_plan(plain)).steps)


def test_terminal_and_page_show_every_rung_with_what_it_gained(place: Workshop) -> None:
    tools = ScriptedTools(
        {"minmax": WORSE, "mse": BAD, "entropy": WORSE},
        {"bias-correction": 0.9, "equalisation": 0.9, "adaptive-rounding": 0.9},
        {1: GOOD},
        skipped={"bias-correction": 2, "equalisation": 12},
    )
    report = made(tools, place.options())
    assert report.chosen.recipe == (
        "int8-aeq-mse+bias-correction+equalisation+adaptive-rounding+mixed-1"
    )
    found = {step.step: [skip.layer for skip in step.skipped] for step in report.steps}
    assert found["bias-correction"] == ["layer-0", "layer-1"]
    assert len(found["equalisation"]) == 12
    assert found["adaptive-rounding"] == found["mixed-1"] == []
    shown = build_summary(place.folder / "out", report)
    lines = shown.splitlines()
    assert all(len(line) <= 80 for line in lines if str(place.folder) not in line), shown
    (repaired,) = (line for line in lines if line.startswith("* repaired "))
    assert "%" in repaired
    for step in report.steps[1:]:
        (line,) = (
            row for row in lines if row.startswith(f"  {step.step}  ") and " taken:" not in row
        )
        assert ("kept" in line) == bool(step.kept)
    assert "fine-tune was not taken: only Keras models can be trained" in shown
    assert "kept, 2 skipped" in shown
    assert "layer-1" not in shown
    page = render(report)
    assert "<summary>kept, 12 skipped</summary><small>layer-0: equalisation</small>" in page
    assert "<small>and 4 more, in build-report.json</small>" in page
    assert "layer-11" not in page
    for words in ("Repair ladder", "adaptive-rounding", "Only Keras models can be trained.", "pp"):
        assert words in page
