"""The rules of a build, one by one and without a converter."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from green_edge.build import version
from green_edge.build.charts import Estimate, chart
from green_edge.build.folds import find_folds
from green_edge.build.outcome import check_guard
from green_edge.build.plan import make_plan, summarize
from green_edge.build.record import record_of
from green_edge.build.report_html import render
from green_edge.build.request import Request, options_of
from green_edge.build.sets import Sets, doubts, pick, short
from green_edge.build.words import change, guard_sentence, latency, metric, points, size
from green_edge.cli.summaries import build_summary
from green_edge.core.recipe import FineTune, Recipe, load_recipe
from green_edge.core.report import (
    BuildReport,
    Candidate,
    Guard,
    ModelRef,
    Quality,
    Skip,
    StepReport,
    TargetArtefact,
)
from green_edge.data.dataset import Dataset
from green_edge.evaluate.guard import guard as judge_drop
from green_edge.evaluate.guard import samples_needed
from green_edge.evaluate.intervals import Interval, tango
from green_edge.evaluate.quality import Scores
from green_edge_wire import codec
from green_edge_wire.errors import BudgetError, ConfigError, InconclusiveError
from support.small_builds import workshop


def test_versions_grow_by_one_for_other_bytes_and_are_kept_by_name(tmp_path: Path) -> None:
    state = version.with_build(version.Versions(), "a", version.LastBuild(7, "old"))
    assert version.next_version(state, "a", "old", None) == 7
    assert version.next_version(state, "a", "new", None) == 8
    assert version.next_version(state, "b", "old", None) == 1
    assert version.next_version(state, "a", "old", 3) == 3
    assert version.load_versions(tmp_path) == version.Versions()


def test_a_damaged_version_file_stops_the_build_and_says_how_to_go_on(tmp_path: Path) -> None:
    (tmp_path / version.FILE_NAME).write_text("{")
    with pytest.raises(ConfigError, match=r"model-versions\.json") as caught:
        version.load_versions(tmp_path)
    assert "--model-version" in str(caught.value.hint)


def numbered(n: int) -> Dataset:
    return Dataset({"x": np.arange(n, dtype=np.float32)[:, None]}, y=np.zeros(n, np.int64))


@given(n=st.integers(2, 900), samples=st.integers(1, 300), seed=st.integers(0, 5))
def test_held_back_samples_judge_and_never_calibrate(n: int, samples: int, seed: int) -> None:
    sets = pick(
        lambda _: numbered(n),
        calibration="c.npz",
        train=None,
        evaluation=None,
        samples=samples,
        seed=seed,
    )
    calibrating = set(sets.calibration.inputs["x"].ravel())
    judging = set(sets.evaluation.inputs["x"].ravel())
    assert calibrating
    assert judging
    assert not calibrating & judging
    assert len(calibrating) <= samples
    assert not sets.labelled
    assert sets.evaluation.y is None


def test_one_sample_cannot_calibrate_and_judge() -> None:
    with pytest.raises(ConfigError, match="cannot both"):
        pick(
            lambda _: numbered(1),
            calibration=None,
            train="t.npz",
            evaluation=None,
            samples=9,
            seed=0,
        )


def test_calibration_wins_over_train_and_a_given_evaluation_set_is_used_whole() -> None:
    sizes = {"c.npz": 10, "t.npz": 20, "e.npz": 30}
    sets = pick(
        lambda ref: numbered(sizes[ref]),
        calibration="c.npz",
        train="t.npz",
        evaluation="e.npz",
        samples=8,
        seed=0,
    )
    assert (sets.calibration.n, sets.evaluation.n, sets.labelled) == (8, 30, True)
    assert sets.notes[0] == "calibrated on 8 of 10 samples of c.npz"


def test_the_calibration_set_is_drawn_evenly_from_its_classes_and_the_note_says_so() -> None:
    rare = Dataset({"x": np.zeros((100, 1))}, y=np.repeat([0, 1, 2], [90, 7, 3]))
    sets = pick(
        lambda _: rare, calibration="c.npz", train=None, evaluation="e.npz", samples=12, seed=3
    )
    assert sets.calibration.classes is not None
    assert np.bincount(sets.calibration.classes).tolist() == [5, 4, 3]
    assert sets.notes[0] == ("calibrated on 12 of 100 samples of c.npz, balanced over 3 classes")


def judged_sets(calibration: object, evaluation: object) -> Sets:
    """Sets of one input."""
    given, judged = (Dataset({"x": np.asarray(values)}) for values in (calibration, evaluation))
    return Sets(given, judged, labelled=False, training="none", notes=())


def test_an_input_that_never_changes_while_calibrating_is_doubted() -> None:
    numbers = np.linspace(0, 1, 100, dtype=np.float32).reshape(20, 5)
    assert doubts(judged_sets(numbers, numbers)) == ()
    for same in (np.zeros((20, 5), np.float32), np.repeat(numbers[:1], 20, axis=0)):
        (doubt,) = doubts(judged_sets(same, numbers))
        assert doubt.startswith("warning: input 'x' is the same in all 20 calibration samples")
    # One sample of many values is little, but it is no constant.
    assert doubts(judged_sets(numbers[:1], numbers[:1])) == ()
    assert len(doubts(judged_sets(np.zeros((1, 5), np.int32), np.ones((9, 5), np.int32)))) == 1


def test_evaluation_samples_far_outside_of_the_calibration_are_doubted_but_not_outliers() -> None:
    numbers = np.linspace(0, 1, 1000, dtype=np.float32).reshape(200, 5)
    (doubt,) = doubts(judged_sets(numbers, numbers * 255))
    assert "199 of 200 evaluation samples of input 'x' lie far outside of 0 to 1" in doubt
    spiked = numbers.copy()
    spiked[7, 2] = 400.0
    assert doubts(judged_sets(numbers, spiked)) == ()
    assert doubts(judged_sets(numbers, numbers * 1.5)) == ()


def test_a_reference_is_shown_without_the_folders_of_this_machine() -> None:
    assert short("/home/me/data/train.npz") == "train.npz"
    assert short("data.sets:validation") == "data.sets:validation"


def test_a_folder_of_images_is_no_folder_of_folds(tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "image.png").touch()
    assert find_folds(str(tmp_path)) == ()
    assert find_folds(str(tmp_path / "absent.npz")) == ()


def test_folds_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for k in (10, 2, 1):
        made = workshop(tmp_path / str(k), samples=3)
        made.model.rename(made.folder / "model.tflite")
        made.labelled.rename(made.folder / "eval.npz")
    folds = find_folds(str(tmp_path))
    assert [fold.number for fold in folds] == [1, 2, 10]
    assert folds[0].train is None
    assert folds[0].calibration == str(tmp_path / "1" / "calibration.npz")


def test_a_plan_names_its_steps_and_files_and_refuses_a_target_twice(tmp_path: Path) -> None:
    options = workshop(tmp_path, samples=3).options(targets=("host", "pi4"))
    summary = summarize(options, make_plan(options))
    assert summary.candidates == ("int8-aeq-minmax",)
    assert "dense.pi4.gedge" in summary.files
    assert "judge on labelled.npz" in summary.steps
    with pytest.raises(ConfigError, match="once"):
        make_plan(replace(options, targets=("pi4", "pi4")))
    with pytest.raises(ConfigError, match="versions begin at 1"):
        make_plan(replace(options, model_version=0))
    for wrong_s in (0.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="--timeout"):
            make_plan(replace(options, timeout_s=wrong_s))
    for wrong_pp in (-1.0, 101.0, float("nan")):
        with pytest.raises(ConfigError, match="--max-drop: must be 0 to 100"):
            make_plan(replace(options, max_drop_pp=wrong_pp))
    with pytest.raises(ConfigError, match="--seed: must not be negative"):
        make_plan(replace(options, seed=-1))
    with pytest.raises(ConfigError, match=r"none\.npz: no such file or folder"):
        make_plan(replace(options, eval="none.npz"))
    with pytest.raises(ConfigError, match="model name"):
        make_plan(replace(options, name="my model"))


def test_the_command_line_wins_over_the_project_file(tmp_path: Path) -> None:
    (tmp_path / "pipeline.json").write_text('{"pre":[{"op":"scale","factor":0.5}]}')
    (tmp_path / "green-edge.toml").write_text(
        '[model]\npath = "m.keras"\nname = "given"\npipeline = "pipeline.json"\n'
        '[build]\ntargets = ["pi4"]\ntrain = "t.npz"\nmax_drop_pp = 0.5\nout = "made"\n'
    )
    project = tmp_path / "green-edge.toml"
    found = options_of(Request(), tmp_path)
    assert (found.model, found.name) == (tmp_path / "m.keras", "given")
    assert (found.train, found.out) == (str(tmp_path / "t.npz"), tmp_path / "made")
    assert found.pipeline.pre
    asked = Request(config=project, targets=("pi5",), max_drop_pp=0.0, seed=4, train="own.npz")
    found = options_of(asked, Path("elsewhere"))
    assert (found.targets, found.max_drop_pp, found.seed, found.train) == (
        ("pi5",),
        0.0,
        4,
        "own.npz",
    )
    assert found.recipe.calibration_samples == 200
    few = options_of(Request(config=project, calibration_samples=20), tmp_path)
    assert (few.recipe.name, few.recipe.calibration_samples) == ("quantize", 20)
    project.write_text('[model]\npath = "m.keras"\n[build]\ncalibration_samples = 30\n')
    assert options_of(Request(), tmp_path).recipe.calibration_samples == 30
    with pytest.raises(ConfigError, match="--calibration-samples: needs one sample"):
        make_plan(
            replace(
                workshop(tmp_path / "w", samples=3).options(),
                recipe=replace(found.recipe, calibration_samples=0),
            )
        )
    alone = options_of(Request(model=Path("other.h5")), tmp_path)
    assert (alone.name, alone.train, alone.out) == ("other", None, Path("build"))
    with pytest.raises(ConfigError, match="no model is named"):
        options_of(Request(), tmp_path / "empty")


def guard(verdict: str = "pass", drop_pp: float = 0.0, high_pp: float = 1.0) -> Guard:
    return Guard(2.0, drop_pp, -1.0, high_pp, 400, verdict, samples_needed=970)  # type: ignore[arg-type]


def report(**changes: object) -> BuildReport:
    quality = Quality("accuracy", 0.9, 0.88, 0.92, 400)
    model = Candidate("float", "candidates/m.float.tflite", 12, 34, 5678, 4567, quality, 12.5)
    int8 = replace(model, recipe="int8-tf-minmax", size_bytes=1800, latency_us=None)
    made = BuildReport(
        tool_version="1",
        seed=0,
        model=ModelRef("m", 3, "ab" * 32, "keras"),
        targets=(TargetArtefact("pi4", "m.pi4.tflite", "m.pi4.gedge", "cd" * 32),),
        float_model=model,
        int8_baseline=int8,
        chosen=int8,
        candidates=(int8,),
        guard=guard(),
        steps=(StepReport("quantize", 1, 2, 3, 4, 5, 6, wall_s=9.5),),
        wall_s=7.25,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def test_the_record_is_the_report_without_times_and_digests_of_what_holds_it() -> None:
    record = json.loads(record_of(report()))
    assert record["chosen"]["size_bytes"] == 1800
    assert record["steps"][0]["step"] == "quantize"
    text = json.dumps(record)
    recipe = Recipe("own", calibrations=("mse",), repair=("mixed",), fine_tune=FineTune(7))
    kept = json.loads(record_of(report(recipe_used=recipe)))["recipe_used"]
    assert codec.decode(Recipe, kept, strict=True) == recipe
    for word in ("wall_s", "latency_us", "targets", "cdcd"):
        assert word not in text
    assert record_of(report(wall_s=1.0)) == record_of(report())


def test_the_verdict_becomes_the_error_of_its_exit_code() -> None:
    check_guard(report())
    with pytest.raises(BudgetError, match="more than the allowed 2"):
        check_guard(report(guard=guard("fail", 5.0, 6.0)))
    with pytest.raises(InconclusiveError, match="some 970 evaluation samples should do"):
        check_guard(report(guard=guard("inconclusive", 0.0, 3.1)))
    with pytest.raises(InconclusiveError) as caught:
        check_guard(report(guard=guard("inconclusive", 2.5, 3.1)))
    assert caught.value.hint == (
        "the files are written; give more evaluation samples, or allow more (--max-drop)"
    )


def test_to_accept_the_loss_is_no_advice_while_repairs_are_left() -> None:
    undecided = report(guard=guard("inconclusive", 2.5, 3.1), recipe_used=Recipe())
    with pytest.raises(InconclusiveError) as caught:
        check_guard(undecided)
    hint = str(caught.value.hint)
    assert "percentile, mse, entropy, bias-correction" in hint
    assert "were not tried, as so few samples cannot show that they help" in hint
    assert "--max-drop" not in hint
    plain = report(guard=guard("inconclusive", 2.5, 3.1), recipe_used=load_recipe("int8"))
    with pytest.raises(InconclusiveError) as caught:
        check_guard(plain)
    assert str(caught.value.hint).endswith("the recipe int8 has no repairs: try --recipe quantize")
    skip = (Skip("fine-tune", "no --train is given"),)
    climbed = (*report().steps, StepReport("fine-tune", 1, 1, 1, 1, 1, 1, skipped=skip))
    for verdict, error in (("inconclusive", InconclusiveError), ("fail", BudgetError)):
        left = report(guard=guard(verdict, 2.5, 3.1), steps=climbed, recipe_used=Recipe())
        with pytest.raises(error) as caught_too:
            check_guard(left)
        assert "fine-tune was not taken: no --train is given" in str(caught_too.value.hint)
        assert "--max-drop" not in str(caught_too.value.hint)


def test_the_number_of_samples_needed_is_what_the_interval_itself_says() -> None:
    def at(samples: int) -> Interval:
        return tango(14 * samples / 1275, 0, samples)

    # Twice as narrow by the square root would be too few: few pairs differ.
    needed = samples_needed(1275, 0.01055, at)
    assert needed is not None
    assert at(needed).low > 0.01055
    assert at(needed * 9 // 10).low < 0.01055
    assert samples_needed(1275, 14 / 1275, at) is None


def test_an_undecided_guard_says_how_many_samples_decide() -> None:
    right = Scores("accuracy", np.ones(400), binary=True)
    worse = Scores("accuracy", np.r_[np.zeros(4), np.ones(396)], binary=True)
    found = judge_drop(right, worse, 2.0)
    assert (found.verdict, found.n) == ("inconclusive", 400)
    assert found.samples_needed is not None
    times = -(-found.samples_needed // 400)
    first, second = (
        replace(scores, per_sample=np.tile(scores.per_sample, times)) for scores in (right, worse)
    )
    assert judge_drop(first, second, 2.0).verdict == "pass"
    assert judge_drop(right, right, 2.0).samples_needed is None


def test_figures_read_as_people_write_them() -> None:
    assert [size(n) for n in (900, 18_384, 3_000_000)] == ["900 B", "18.0 KiB", "2.86 MiB"]
    assert [latency(us) for us in (4.11, 1234.5, None)] == ["4.1 us", "1.23 ms", "-"]
    assert [points(pp) for pp in (-0.001, 0.256)] == ["+0.00", "+0.26"]
    assert change(200, 100) == "2.00x smaller"
    assert change(100, 150) == "1.50x larger"
    assert change(1000, 1001) == change(0, 5) == "same"
    assert metric("unheard").title == "unheard"
    assert "-1.00 to +1.00" in guard_sentence(guard())


def test_a_long_name_in_a_note_is_not_broken_by_the_terminal(tmp_path: Path) -> None:
    name = "int8-aeq-percentile+bias-correction+equalisation+adaptive-rounding"
    shown = build_summary(tmp_path, report(notes=(f"the recipe that was shipped is {name}",)))
    assert name in shown


def test_a_chart_keeps_order_and_encloses_every_interval_and_the_limit() -> None:
    estimates = [Estimate("a", 1.0, 0.5, 1.5), Estimate("b", 1.2, 1.1, 1.4)]
    made = chart(estimates, limit=3.0, zero=True)
    assert made.limit_x is not None
    assert made.zero_x is not None
    xs = [made.zero_x, made.marks[0].low_x, made.marks[0].x, made.marks[0].high_x, made.limit_x]
    assert xs == sorted(xs)
    assert made.left < xs[0]
    assert xs[-1] < made.right
    assert 3 <= len(made.ticks) <= 7
    point = chart([Estimate("a", 1.0, 1.0, 1.0)])
    assert point.marks[0].x == point.marks[0].low_x


def test_the_page_needs_nothing_else_and_escapes_what_it_shows() -> None:
    odd = report(
        notes=("calibrated on <b>all</b> samples",),
        steps=(replace(report().steps[0], skipped=(Skip("lstm", "WHILE stays in float"),)),),
        record_sha256="ef" * 32,
        tools={"numpy": "2"},
        folds=5,
    )
    page = render(odd)
    assert "http" not in page
    assert "<script" not in page
    assert "Calibrated on &lt;b&gt;all&lt;/b&gt; samples." in page
    for words in (
        'm <span class="soft">version 3</span>',
        "90.00 %",
        "88.00 to 92.00 %",
        "Wilson&#39;s score interval",
        "Pooled over 5 cross-fitted folds",
        "WHILE stays in float",
        "efef",
        "m.pi4.gedge",
    ):
        assert words in page
