"""The repair ladder's decisions, without anything to decide about."""

import pytest

from green_edge.core.recipe import Method, Recipe, Repair, load_recipe
from green_edge.core.report import Guard, Verdict
from green_edge.search import ladder
from green_edge.search.choice import Figures, choose, improves
from green_edge.search.ladder import Means, Rung

TF, AEQ = Method("tf"), Method("aeq")


def figures(quality: float = 0.9, error: float = 0.1, size_bytes: int = 9) -> Figures:
    return Figures(quality, error, size_bytes)


def test_the_better_candidate_is_the_one_of_higher_quality() -> None:
    assert choose({TF: figures(0.9, size_bytes=1), AEQ: figures(0.91)}) == AEQ


def test_a_tie_goes_to_the_smaller_error_then_the_smaller_file_then_the_first() -> None:
    assert choose({TF: figures(error=0.1, size_bytes=10), AEQ: figures(error=0.2)}) == TF
    assert choose({TF: figures(size_bytes=10), AEQ: figures(size_bytes=9)}) == AEQ
    assert choose({TF: figures(), AEQ: figures()}) == TF


def test_a_rung_is_kept_when_it_improves_quality_or_brings_equal_quality_closer_to_float() -> None:
    best = figures(0.9, 0.1)
    assert improves(figures(0.91, 0.3), best, costs=False)
    assert improves(figures(0.9, 0.05), best, costs=False)
    assert not improves(figures(0.9, 0.1), best, costs=False)
    assert not improves(figures(0.89, 0.0), best, costs=False)


def test_equal_quality_is_no_reason_to_make_inferences_dearer() -> None:
    assert not improves(figures(0.9, 0.05), figures(0.9, 0.1), costs=True)
    assert improves(figures(0.91), figures(0.9), costs=True)


def guard(verdict: Verdict, drop_pp: float, half_pp: float = 1.0, n: int = 400) -> Guard:
    return Guard(2.0, drop_pp, drop_pp - half_pp, drop_pp + half_pp, n, verdict)


@pytest.mark.parametrize(
    ("verdict", "drop_pp", "needed"),
    [
        ("pass", 0.5, False),
        ("fail", 4.0, True),
        ("inconclusive", 2.5, True),
        ("inconclusive", 1.5, False),
    ],
)
def test_a_drop_that_is_allowed_but_not_yet_sure_needs_samples_and_no_repair(
    verdict: Verdict, drop_pp: float, *, needed: bool
) -> None:
    assert ladder.begins(guard(verdict, drop_pp)) == needed


def test_where_no_candidate_could_pass_a_drop_that_may_be_chance_is_not_repaired() -> None:
    # Without any sample judged differently the interval still reaches 2 pp up to n = 188.
    one_of_thirty = guard("inconclusive", 3.3, 12.0, n=30)
    assert not ladder.begins(one_of_thirty)
    assert ladder.begins(guard("inconclusive", 3.3, 12.0, n=189))
    assert not ladder.begins(guard("inconclusive", 3.3, 12.0, n=188))
    sure = guard("inconclusive", 8.0, 7.0, n=100)
    assert ladder.begins(sure)


def test_a_ladder_that_has_begun_goes_on_while_there_is_a_drop_to_win_back() -> None:
    assert ladder.wanted("mixed", guard("fail", 4.0))
    assert ladder.wanted("fine-tune", guard("inconclusive", 1.5))
    # Too few samples for a pass are no reason to leave a model spoilt half way.
    assert ladder.wanted("mse", guard("inconclusive", 3.3, 12.0, n=30))
    assert not ladder.wanted("mse", guard("inconclusive", 0.0))


def test_after_a_pass_only_what_is_free_on_the_device_is_wanted_down_to_half_a_point() -> None:
    everything = ladder.rungs(Recipe())
    left = [rung for rung in everything if ladder.wanted(rung, guard("pass", 1.2))]
    assert set(everything) - set(left) == {"fine-tune", "mixed"}
    assert not any(ladder.wanted(rung, guard("pass", 0.5)) for rung in everything)


def test_calibrations_and_fine_tuning_stand_on_the_float_model() -> None:
    tuned = Method("tf", repairs=("fine-tune",))
    assert ladder.stands_on("fine-tune", tuned) is None
    assert ladder.stands_on("mse", Method("aeq", "mse")) is None
    wide = ladder.mixed(Method("aeq", "mse", ("equalisation",)), ("a", "b"), "float32")
    assert ladder.stands_on("mixed", wide) == Method("aeq", "mse", ("equalisation",))


def test_the_rungs_are_the_other_calibrations_and_then_the_repairs() -> None:
    assert ladder.rungs(Recipe()) == (
        *("percentile", "mse", "entropy"),
        *("bias-correction", "equalisation", "adaptive-rounding", "fine-tune", "mixed"),
    )
    assert ladder.rungs(load_recipe("int8")) == ()


def test_a_rung_stands_on_the_best_and_goes_over_to_the_other_quantizer_where_it_must() -> None:
    corrected = Method("tf", repairs=("bias-correction",))
    assert ladder.climbed("bias-correction", TF) == corrected
    assert ladder.climbed("percentile", corrected) == Method(
        "aeq", "percentile", ("bias-correction",)
    )
    assert ladder.climbed("equalisation", corrected).name == (
        "int8-aeq-minmax+bias-correction+equalisation"
    )
    assert ladder.climbed("fine-tune", Method("aeq", "mse")).name == "int8-tf-minmax+fine-tune"
    assert ladder.mixed(Method("aeq", "mse"), ("a", "b"), "int16") == Method(
        "aeq", "mse", ("mixed",), ("a", "b"), "int16"
    )


def test_a_name_tells_how_many_layers_stay_wide_wherever_that_rung_stood() -> None:
    wide = ladder.mixed(Method("aeq", "mse"), ("a", "b"), "float32")
    corrected = ladder.climbed("bias-correction", wide)
    assert corrected.name == "int8-aeq-mse+mixed-2+bias-correction"
    assert ladder.narrow(corrected).name == "int8-aeq-mse+bias-correction"


def test_mixed_precision_doubles_its_layers_and_leaves_one_in_int8() -> None:
    assert [ladder.wide_counts(n) for n in (0, 1, 2, 4, 5, 16)] == [
        *((), (), (1,), (1, 2), (1, 2, 4), (1, 2, 4, 8)),
    ]


def test_once_equalised_every_calibration_is_looked_at_again_with_the_repairs_so_far() -> None:
    base = Method("aeq", "entropy", ("bias-correction",))
    assert [m.name for m in ladder.starts("equalisation", base, Recipe())] == [
        "int8-aeq-entropy+bias-correction",
        "int8-aeq-minmax+bias-correction",
        "int8-aeq-percentile+bias-correction",
        "int8-aeq-mse+bias-correction",
    ]
    assert ladder.starts("equalisation", TF, Recipe(calibrations=("minmax",))) == (TF,)


def test_mixed_precision_looks_at_the_first_calibration_again_without_repairs_of_int8() -> None:
    base = Method("aeq", "mse", ("equalisation", "bias-correction"))
    afresh = Method("aeq", "minmax", ("equalisation",))
    assert ladder.starts("mixed", base, Recipe()) == (base, afresh)
    assert ladder.starts("mixed", TF, Recipe()) == (TF,)
    assert ladder.starts("bias-correction", base, Recipe()) == (base,)


def test_what_a_build_lacks_leaves_out_the_rungs_that_need_it() -> None:
    everything = ladder.rungs(Recipe())
    assert not any(ladder.missing(rung, Means()) for rung in everything)

    def left(means: Means) -> set[Rung]:
        return {rung for rung in everything if ladder.missing(rung, means) is None}

    on_int8: set[Rung] = {"bias-correction", "adaptive-rounding"}
    assert left(Means(no_aeq="failed")) == {*on_int8, "fine-tune"}
    assert set(everything) - left(Means(no_training="no set")) == {"fine-tune"}
    assert set(everything) - left(Means(no_wide="coral")) == {"mixed"}
    assert ladder.missing("mixed", Means(no_aeq="failed", no_wide="coral")) == "coral"


def test_the_named_recipes_try_both_quantizers_with_min_max_ranges_at_once() -> None:
    for name in ("quantize", "int8"):
        assert [m.name for m in load_recipe(name).methods] == ["int8-tf-minmax", "int8-aeq-minmax"]
    chosen: tuple[Repair, ...] = ("mixed",)
    own = Recipe(quantizers=("aeq",), calibrations=("mse", "minmax"), repair=chosen)
    assert [m.name for m in own.methods] == ["int8-aeq-mse"]
    assert ladder.rungs(own) == ("minmax", "mixed")
