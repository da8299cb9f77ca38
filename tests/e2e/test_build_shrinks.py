"""Builds whose recipe shrinks the Keras model first, with scripted passes and converters."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from green_edge.build.options import BuildOptions
from green_edge.build.outcome import check_guard
from green_edge.build.pipeline import build
from green_edge.build.plan import make_plan, summarize
from green_edge.build.report_html import render
from green_edge.cli.summaries import build_summary
from green_edge.core.recipe import Budget, Recipe, Repair
from green_edge.core.report import BuildReport
from green_edge.core.steps import BatchNorm, External, Prune, Reconstruct, Recover, Sparsify
from green_edge_wire.errors import BudgetError, ConfigError, ModelError
from support.bundles import test_signer
from support.scripted_passes import ScriptedPasses, keras_workshop, write_keras
from support.scripted_tools import ScriptedTools, rank_layers
from support.small_builds import Workshop, clear_workshop, workshop

GOOD, BAD = 0.0, 2.0
STEPS = (Prune(keep=0.5, rounds=2, recover=Recover(epochs=1.0)), BatchNorm())
PLAIN = ["prune", "recover", "prune", "recover", "batch-norm"]
RECIPE = Recipe("small", quantizers=("tf",), calibrations=("minmax",), repair=(), steps=STEPS)


@pytest.fixture
def place(tmp_path: Path) -> Workshop:
    return keras_workshop(tmp_path)


def options(place: Workshop, **changes: object) -> BuildOptions:
    given: dict[str, object] = {
        "model": place.folder / "dense.keras",
        "train": str(place.folder / "train.npz"),
        "recipe": RECIPE,
    }
    return place.options(**(given | changes))  # type: ignore[arg-type]


def made(
    asked: BuildOptions, passes: ScriptedPasses, noise: dict[str, float] | None = None
) -> BuildReport:
    tools = ScriptedTools(noise or {"tf": GOOD, "shrunk": GOOD, "minmax": BAD})
    cache = asked.out.parent / "cache"
    signer = test_signer()
    return build(asked, signer, opened=tools, rank=rank_layers, passes=passes, cache=cache)


def test_the_steps_are_taken_in_their_order_and_reported_before_the_quantizing(
    place: Workshop,
) -> None:
    passes = ScriptedPasses()
    report = made(options(place), passes)
    assert passes.steps == PLAIN
    assert [step.step for step in report.steps] == [*PLAIN, "quantize small+int8-tf-minmax"]
    first, last = report.steps[0], report.steps[4]
    assert first.plan == ("prune: as the script says",)
    assert first.skipped[0].reason == "its channels reach the output"
    assert first.size_bytes_after == first.size_bytes_before + 1
    assert last.size_bytes_after == first.size_bytes_before + 5
    assert last.share is not None
    assert last.share.instructions_ratio == 0.5**5
    assert last.quality is not None
    assert last.quality.n == 1500


def test_each_step_starts_from_what_the_one_before_it_left(place: Workshop) -> None:
    passes = ScriptedPasses()
    made(options(place, seed=7), passes)
    assert passes.asked[0].state is None
    for before, after in zip(passes.asked, passes.asked[1:], strict=False):
        assert after.state == before.out
    assert [request.seed for request in passes.asked] == [7, 8, 9, 10, 11]
    keep = [request.taken.keep for request in passes.asked if isinstance(request.taken, Prune)]
    assert keep == pytest.approx([0.5**0.5, 0.5])


def test_plain_int8_of_the_unchanged_model_stands_beside_the_shrunk_one(place: Workshop) -> None:
    report = made(options(place), ScriptedPasses())
    assert report.int8_baseline.recipe == "int8-tf-minmax"
    assert report.chosen.recipe == "small+int8-tf-minmax"
    assert [c.recipe for c in report.candidates] == ["int8-tf-minmax", "small+int8-tf-minmax"]
    assert (place.folder / "out" / "candidates" / "dense.int8-tf-minmax.tflite").is_file()
    assert report.guard.verdict == "pass"


def test_the_shrunk_model_is_held_to_the_float_model_that_came_in(place: Workshop) -> None:
    report = made(options(place), ScriptedPasses(), {"tf": GOOD, "shrunk": BAD})
    assert report.guard.verdict == "fail"
    drop = report.float_model.quality.value - report.chosen.quality.value
    assert report.guard.drop_pp == pytest.approx(100 * drop)
    assert report.int8_baseline.quality.value > report.chosen.quality.value


def test_a_shrunk_model_that_fails_the_guard_climbs_the_repair_ladder(place: Workshop) -> None:
    recipe = replace(RECIPE, quantizers=("tf", "aeq"), calibrations=("minmax", "mse"))
    noise = {"tf": GOOD, "shrunk": BAD, "minmax": BAD, "mse": GOOD}
    report = made(options(place, recipe=recipe), ScriptedPasses(), noise)
    assert report.chosen.recipe == "small+int8-aeq-mse"
    assert report.steps[-1].step == "mse"
    assert report.steps[-1].base == "float"
    assert report.guard.verdict == "pass"


def test_what_shrinking_lost_is_not_looked_for_by_repairs_of_int8(place: Workshop) -> None:
    recipe = replace(RECIPE, repair=("bias-correction",), steps=(Reconstruct(), BatchNorm()))
    noise = {"tf": GOOD, "shrunk": GOOD}
    report = made(options(place, recipe=recipe), ScriptedPasses(spoils=("batch-norm",)), noise)
    assert report.guard.verdict == "fail"
    assert report.steps[-1].step == "quantize small+int8-tf-minmax"
    assert any("fails the guard before it is quantized" in note for note in report.notes)
    with pytest.raises(BudgetError, match="let the steps keep more, train longer"):
        check_guard(report)


def test_what_would_undo_zeros_is_not_tried_and_the_plan_says_what_they_are_good_for(
    place: Workshop,
) -> None:
    repair: tuple[Repair, ...] = ("bias-correction", "adaptive-rounding", "fine-tune")
    recipe = replace(RECIPE, repair=repair, steps=(Sparsify(0.5, rounds=2), BatchNorm()))
    report = made(
        options(place, recipe=recipe),
        ScriptedPasses(ties=("zeros",)),
        {"tf": GOOD, "shrunk": BAD, "minmax": BAD},
    )
    reason = "it would undo the zeros or shared values that a step made"
    left = {step.step: step.skipped[0].reason for step in report.steps[4:] if step.kept is None}
    assert left.pop("bias-correction") == "bias-correction was not to be"
    assert left == {"adaptive-rounding": reason, "fine-tune": reason}
    plans = [step.plan for step in report.steps[:3]]
    assert plans[0] == ("sparsify: as the script says",)
    assert plans[2] == ("batch-norm: as the script says",)
    told = " ".join(line.strip() for line in plans[1] or ())
    assert "no speed gain expected on host: float kernels of ai-edge-litert" in told
    assert {c.recipe.split("+")[-1] for c in report.candidates} == {"int8-tf-minmax"}


def test_a_step_that_was_done_before_is_not_done_again(place: Workshop) -> None:
    first, again = ScriptedPasses(), ScriptedPasses()
    one = made(options(place), first)
    other = made(options(place), again)
    assert again.steps == []
    assert [step.cached for step in other.steps[:5]] == [True] * 5
    assert one.chosen == replace(other.chosen, latency_us=one.chosen.latency_us)
    longer = replace(RECIPE, steps=(*STEPS, BatchNorm(samples=9)))
    made(options(place, recipe=longer), again)
    assert again.steps == ["batch-norm"]


def test_another_seed_or_other_samples_are_other_steps(place: Workshop) -> None:
    made(options(place), ScriptedPasses())
    again = ScriptedPasses()
    made(options(place, seed=1), again)
    assert again.steps == PLAIN
    made(options(place, train=None), again)
    assert again.steps == PLAIN + PLAIN


def test_other_code_of_the_users_is_another_step(
    place: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = place.folder / "halver-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: halver\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("[green_edge.passes]\nhalve = halver.passes\n")
    monkeypatch.syspath_prepend(place.folder)
    recipe = replace(RECIPE, steps=(External("halve"),))
    for package in ("halver", "own_layers"):
        (place.folder / package).mkdir()
        for code in ("one = 1\n", "one = 2\n"):
            (place.folder / package / "__init__.py").write_text(code)
            passes = ScriptedPasses()
            made(options(place, recipe=recipe, custom=("own_layers",)), passes)
            assert passes.steps == ["halve"]
    again = ScriptedPasses()
    made(options(place, recipe=recipe, custom=("own_layers",)), again)
    assert again.steps == []


def test_an_interrupted_build_goes_on_where_it_was(place: Workshop) -> None:
    stopped = ScriptedPasses(interrupts=("batch-norm",))
    with pytest.raises(KeyboardInterrupt):
        made(options(place), stopped)
    kept = stopped.asked[-1].checkpoints
    assert kept.is_dir()
    again = ScriptedPasses()
    report = made(options(place), again)
    assert again.steps == ["batch-norm"]
    assert again.asked[0].checkpoints == kept
    assert not kept.exists()
    assert [step.cached for step in report.steps[:5]] == [True] * 4 + [False]


def test_a_step_that_fails_is_one_line_with_its_place_and_remedy(place: Workshop) -> None:
    with pytest.raises(ModelError) as caught:
        made(options(place), ScriptedPasses(refuses=("recover",)))
    assert str(caught.value) == "the model, step 2 of 5: recover: recover was not to be; do without"


def test_a_tenth_of_the_training_set_is_held_back(place: Workshop) -> None:
    passes = ScriptedPasses()
    report = made(options(place), passes)
    assert set(passes.learned) == {(54, 6, True)}
    assert "shrunk with 54 labelled samples of the training set; 6 others" in report.notes[1]


def test_without_a_training_set_the_calibration_samples_do_without_labels(place: Workshop) -> None:
    passes = ScriptedPasses()
    report = made(options(place, train=None), passes)
    assert set(passes.learned) == {(90, 10, False)}
    assert "calibration set without labels (no --train is given)" in report.notes[1]


def test_every_fold_takes_the_same_steps_with_its_own_samples(place: Workshop) -> None:
    for k in range(2):
        fold = clear_workshop(place.folder / "folds" / str(k), samples=600)
        fold.model.unlink()
        write_keras(fold.folder / "model.keras")
        fold.labelled.rename(fold.folder / "eval.npz")
        fold.calibration.unlink()
        x = np.random.default_rng(k).uniform(-1, 1, (100 + 10 * k, 4)).astype(np.float32)
        np.savez(fold.folder / "train.npz", x=x)
    passes = ScriptedPasses()
    report = made(options(place, eval=str(place.folder / "folds")), passes)
    assert passes.steps == 3 * PLAIN
    assert [passes.learned[i] for i in (0, 5, 10)] == [
        (54, 6, True), (90, 10, False), (99, 11, False),
    ]  # fmt: skip
    assert report.folds == 2
    assert report.guard.n == 1200
    assert report.steps[0].quality is None


def test_a_fold_without_samples_of_its_own_cannot_be_shrunk(place: Workshop) -> None:
    fold = workshop(place.folder / "folds" / "0", samples=60)
    fold.model.unlink()
    write_keras(fold.folder / "model.keras")
    fold.labelled.rename(fold.folder / "eval.npz")
    fold.calibration.unlink()
    with pytest.raises(ConfigError, match=r"fold 0 has neither train\.npz nor calibration\.npz"):
        made(options(place, eval=str(place.folder / "folds")), ScriptedPasses())


def test_only_keras_models_can_be_shrunk(place: Workshop) -> None:
    with pytest.raises(ConfigError, match=r"only Keras 3 models can be shrunk, and .* is tflite"):
        make_plan(place.options(recipe=RECIPE))


def test_a_missed_budget_is_told_with_the_best_that_was_found(place: Workshop) -> None:
    budget = Budget(max_macs_ratio=0.5, max_size_bytes=1_000_000)
    report = made(options(place, recipe=replace(RECIPE, budget=budget)), ScriptedPasses())
    assert report.budget is not None
    assert [(line.limit, line.met) for line in report.budget] == [
        ("max_macs_ratio", False), ("max_size_bytes", True),
    ]  # fmt: skip
    assert (place.folder / "out" / report.targets[0].bundle).is_file()
    with pytest.raises(BudgetError, match=r"MACs 100\.0 % of plain int8's, allowed 50\.0 %"):
        check_guard(report)


def test_a_missed_budget_is_named_where_the_guard_fails_too(place: Workshop) -> None:
    recipe = replace(RECIPE, budget=Budget(max_macs_ratio=0.5))
    report = made(options(place, recipe=recipe), ScriptedPasses(), {"tf": GOOD, "shrunk": BAD})
    with pytest.raises(BudgetError, match=r"guard failed: .*; budget missed too: MACs 100\.0 %"):
        check_guard(report)


def test_a_budget_of_instructions_needs_a_target_that_has_a_cost_model(place: Workshop) -> None:
    recipe = replace(RECIPE, budget=Budget(max_instructions_ratio=0.5))
    with pytest.raises(ConfigError, match="needs a cost model, and host has none"):
        make_plan(options(place, recipe=recipe))
    report = made(options(place, recipe=recipe, targets=("host", "pi4")), ScriptedPasses())
    assert report.predicted is not None
    assert report.predicted.target == "pi4"
    assert report.predicted.share.instructions_ratio == 1.0


def test_a_file_that_costs_other_than_was_foreseen_is_told(place: Workshop) -> None:
    report = made(options(place, targets=("pi4",)), ScriptedPasses())
    (warning,) = (note for note in report.notes if note.startswith("warning"))
    assert "went by 3.1% of plain int8's instructions on pi4" in warning
    assert "predicted to take 100.0%" in warning


def test_the_plan_lists_the_steps(place: Workshop) -> None:
    asked = options(place)
    summary = summarize(asked, make_plan(asked))
    text = "\n".join(summary.steps)
    assert "quantize the unchanged model to int8-tf-minmax, to compare with" in text
    assert "prune channels to 50 % of the instructions by taylor, in 2 rounds" in text
    assert "each followed by: train for 1 epochs on labels, the original's outputs" in text
    assert "take batch statistics anew from 2,048 samples at most" in text
    assert summary.candidates == ("int8-tf-minmax", "small+int8-tf-minmax")


def test_the_reports_show_what_each_step_did(place: Workshop) -> None:
    report = made(options(place, targets=("pi4",)), ScriptedPasses())
    text = build_summary(place.folder, report)
    assert "shrinking" in text
    assert "batch-norm" in text
    assert max(map(len, text.split("notes:")[0].splitlines())) <= 80
    assert "Against plain int8 of the unchanged model: MACs same" in " ".join(text.split())
    page = render(report)
    assert "<h2>Shrinking</h2>" in page
    assert "prune: as the script says" in page
