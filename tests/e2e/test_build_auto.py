"""Builds that search for their steps, with scripted passes and converters."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from green_edge.build.options import BuildOptions
from green_edge.build.outcome import check_guard
from green_edge.build.pipeline import build
from green_edge.build.plan import make_plan, summarize
from green_edge.build.replay import load_replay
from green_edge.build.report_html import render
from green_edge.build.request import Request, options_of
from green_edge.cli.summaries import build_summary
from green_edge.core.recipe import Recipe, Search
from green_edge.core.report import BuildReport
from green_edge.core.steps import Prune, Recover
from green_edge_wire.errors import ConfigError
from support.bundles import test_signer
from support.scripted_passes import ScriptedPasses, keras_workshop
from support.scripted_tools import ScriptedTools, rank_layers
from support.small_builds import Workshop

GOOD = {"tf": 0.0, "shrunk": 0.0}
BAD = {"tf": 0.0, "shrunk": 2.0}
RECIPE = Recipe("auto", quantizers=("tf",), calibrations=("minmax",), repair=(), search=Search(1.0))


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
    asked: BuildOptions,
    passes: ScriptedPasses | None = None,
    noise: dict[str, float] | None = None,
    cache: str = "cache",
) -> BuildReport:
    return build(
        asked,
        test_signer(),
        opened=ScriptedTools(noise or GOOD),
        rank=rank_layers,
        passes=passes or ScriptedPasses(),
        cache=asked.out.parent / cache,
    )


def test_the_cheapest_trial_that_passes_ships_and_its_steps_are_the_recipe(
    place: Workshop,
) -> None:
    report = made(options(place))
    search = report.search
    assert search is not None
    assert report.recipe_used is not None
    chosen = next(trial for trial in search.trials if trial.name == search.chosen)
    assert chosen.share == min(trial.share or 1.0 for trial in search.trials)
    assert chosen.front
    assert report.chosen.recipe == "auto+int8-tf-minmax"
    assert [step.step for step in report.recipe_used.steps] == [
        step.step for step in report.steps[:-1]
    ]
    assert report.guard.verdict == "pass"
    check_guard(report)


def test_what_selects_does_not_judge(place: Workshop) -> None:
    report = made(options(place))
    assert report.search is not None
    assert report.search.selected_n == 750
    assert report.guard.n == 750
    assert report.chosen.quality.n == 750
    assert any("a search selected by 750 other evaluation samples" in n for n in report.notes)


def test_the_search_is_shown_in_the_report_and_on_the_terminal(place: Workshop) -> None:
    report = made(options(place))
    assert report.search is not None
    page, text = render(report), build_summary(Path("out"), report)
    for trial in report.search.trials:
        assert f"<title>{trial.name}</title>" in page
    assert f"* {report.search.chosen}" in text
    assert all(len(line) <= 80 for line in text.splitlines())


def test_where_every_trial_loses_too_much_the_unchanged_model_ships(place: Workshop) -> None:
    report = made(options(place), noise=BAD)
    assert report.search is not None
    assert report.search.chosen is None
    assert report.search.why.startswith("nothing better was found")
    assert report.chosen.recipe == "int8-tf-minmax"
    assert report.recipe_used is not None
    assert report.recipe_used.steps == ()
    assert report.guard.verdict == "pass"


def test_trials_that_cannot_be_made_end_no_search(place: Workshop) -> None:
    report = made(options(place), ScriptedPasses(refuses=("low-rank",)))
    assert report.search is not None
    errors = {trial.name: trial.error for trial in report.search.trials if trial.error}
    assert list(errors) == [name for name in errors if "low-rank" in name]
    assert "low-rank was not to be" in (errors["level-1-low-rank"] or "")
    assert report.search.chosen is not None


def test_a_replay_takes_the_steps_of_the_choice_alone_and_gives_its_bytes(
    place: Workshop,
) -> None:
    first = made(options(place))
    file = place.folder / "out" / "build-report.json"
    given = Request(
        model=place.folder / "dense.keras",
        targets=("host",),
        calibration=str(place.calibration),
        train=str(place.folder / "train.npz"),
        eval=str(place.labelled),
        out=place.folder / "again",
        replay=file,
    )
    asked = replace(options_of(given, place.folder), labels=options(place).labels)
    passes = ScriptedPasses()
    again = made(asked, passes, cache="other-cache")
    assert first.recipe_used is not None
    assert [request.taken for request in passes.asked] == list(first.recipe_used.steps)
    assert again.search == load_replay(file).search
    for name in ("dense.host.tflite", "dense.host.gedge"):
        assert (place.folder / "again" / name).read_bytes() == (
            place.folder / "out" / name
        ).read_bytes()


def test_an_interrupted_search_goes_on_without_doing_anything_twice(place: Workshop) -> None:
    whole = ScriptedPasses()
    expected = made(options(place, out=place.folder / "whole"), whole, cache="whole-cache")
    cut = ScriptedPasses(interrupts=("low-rank",))
    with pytest.raises(KeyboardInterrupt):
        made(options(place), cut)
    rest = ScriptedPasses()
    report = made(options(place), rest)
    done = [request.out.name for request in cut.asked[:-1]]
    assert done
    assert not set(done) & {request.out.name for request in rest.asked}
    assert report.search is not None
    assert expected.search is not None
    assert report.search.trials[0].name == expected.search.trials[0].name


def test_a_finished_search_is_not_made_again(place: Workshop) -> None:
    first = made(options(place))
    passes = ScriptedPasses()
    again = made(options(place), passes)
    assert passes.asked == []
    assert again.search == first.search


def test_a_changed_evaluation_set_is_searched_anew(place: Workshop) -> None:
    made(options(place), ScriptedPasses())
    with np.load(place.labelled) as arrays:
        x, y = arrays["x"][::-1], arrays["y"][::-1]
    np.savez(place.labelled, x=x, y=y)
    asked = options(place)
    journals = set((place.folder / "cache").glob("*.json"))
    made(asked, ScriptedPasses())
    assert set((place.folder / "cache").glob("*.json")) > journals


def test_the_measure_of_the_recipe_is_kept_where_a_target_has_prices(place: Workshop) -> None:
    search = Search(1.0, Prune(keep=0.5, measure="energy"))
    report = made(options(place, targets=("pi4",), recipe=replace(RECIPE, search=search)))
    assert report.search is not None
    assert (report.search.measure, report.search.target) == ("energy", "pi4")


def test_a_model_that_cannot_be_shrunk_is_quantized_alone(place: Workshop) -> None:
    passes = ScriptedPasses()
    asked = options(place, model=place.model, recipe=replace(RECIPE, quantizers=("aeq",)))
    report = made(asked, passes, {"minmax": 0.0})
    assert passes.asked == []
    assert report.search is None
    assert report.guard.n == 1500
    assert any("only Keras models can be shrunk" in note for note in report.notes)


def test_the_plan_says_how_long_it_searches(place: Workshop) -> None:
    asked = options(place)
    steps = summarize(asked, make_plan(asked)).steps
    assert any(step.startswith("search for 1 minutes") for step in steps)


def test_a_time_without_a_search_is_refused(place: Workshop) -> None:
    request = Request(model=place.model, recipe="quantize", budget_minutes=5.0)
    with pytest.raises(ConfigError, match="does not search"):
        options_of(request, place.folder)
    with pytest.raises(ConfigError, match="above 0"):
        options_of(replace(request, recipe="auto", budget_minutes=0.0), place.folder)


@pytest.mark.parametrize("content", ["", "{}", "[]", json.dumps({"recipe_used": {"name": "x"}})])
def test_a_replay_of_something_else_is_refused(place: Workshop, content: str) -> None:
    file = place.folder / "report.json"
    file.write_text(content)
    with pytest.raises(ConfigError, match="no report of a search"):
        load_replay(file)


def test_steps_and_a_search_in_one_file_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "both.toml"
    file.write_text('[search]\nbudget_minutes = 5\n[[steps]]\nstep = "prune"\nkeep = 0.5\n')
    with pytest.raises(ConfigError, match="a search finds the steps"):
        options_of(Request(model=tmp_path / "m.keras", recipe=str(file)), tmp_path)


def test_templates_of_the_search_come_from_the_recipe_file(place: Workshop) -> None:
    search = Search(1.0, Prune(keep=0.5, criterion="l1"), Recover(augment=("flip",)))
    passes = ScriptedPasses()
    made(options(place, recipe=replace(RECIPE, search=search)), passes)
    taken = [request.taken for request in passes.asked]
    assert {step.criterion for step in taken if isinstance(step, Prune)} == {"l1"}
    assert {step.augment for step in taken if isinstance(step, Recover)} == {("flip",)}
