"""Steps, budget and seed of a recipe file, and what of a recipe a report keeps."""

import json
from pathlib import Path

import pytest

from green_edge.core.recipe import BUILT_IN, Budget, Recipe, load_recipe
from green_edge.core.steps import Cluster, LowRank, Prune, Recover, Sparsify
from green_edge_wire import codec
from green_edge_wire.errors import ConfigError

EVERYTHING = """
seed = 3
[budget]
max_drop_pp = 0.5
max_instructions_ratio = 0.4
[[steps]]
step = "prune"
keep = 0.4
measure = "energy"
rounds = 3
[steps.recover]
epochs = 1
augment = ["shift", "flip"]
[[steps]]
step = "low-rank"
[[steps]]
step = "sparsify"
pattern = "2:4"
[[steps]]
step = "cluster"
clusters = 8
per = "channel"
[[steps]]
step = "reconstruct"
[[steps]]
step = "batch-norm"
samples = 100
[[steps]]
step = "recover"
"""


def read(folder: Path, text: str) -> Recipe:
    file = folder / "own.toml"
    file.write_text(text, encoding="utf-8")
    return load_recipe(str(file))


def test_steps_are_read_in_their_order_each_by_its_name(tmp_path: Path) -> None:
    recipe = read(tmp_path, EVERYTHING)
    assert (recipe.seed, recipe.budget) == (3, Budget(0.5, max_instructions_ratio=0.4))
    recover = Recover(epochs=1.0, augment=("shift", "flip"))
    assert recipe.steps[0] == Prune(0.4, measure="energy", rounds=3, recover=recover)
    assert recipe.steps[1:4] == (LowRank(), Sparsify(pattern="2:4"), Cluster(8, "channel"))
    assert [step.step for step in recipe.steps[4:]] == ["reconstruct", "batch-norm", "recover"]


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_report_keeps_all_that_repeats_a_recipe(name: str) -> None:
    recipe = load_recipe(name)
    kept = json.loads(codec.dumps(recipe))
    assert codec.decode(Recipe, kept, strict=True) == recipe
    assert recipe.name == name


def test_a_recipe_of_every_step_is_kept_too(tmp_path: Path) -> None:
    recipe = read(tmp_path, EVERYTHING)
    assert codec.decode(Recipe, json.loads(codec.dumps(recipe)), strict=True) == recipe


def test_what_shrinks_also_recovers_and_can_be_repaired() -> None:
    for name in ("prune", "low-rank", "cluster"):
        recipe = load_recipe(name)
        assert recipe.steps[0].step == name
        assert isinstance(recipe.steps[-1], Recover)
        assert recipe.repair == Recipe().repair
    for name in ("quantize", "int8"):
        assert load_recipe(name).steps == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '[[steps]]\nstep = "prun"',
            r"steps\[0\]\.step: unknown step 'prun'; did you mean 'prune'",
        ),
        ("[[steps]]\nkeep = 0.5", r"steps\[0\]\.step: missing; one of prune, low-rank"),
        ('[[steps]]\nstep = "prune"', r"steps\[0\]\.keep: missing"),
        ('[[steps]]\nstep = "prune"\nkep = 1', "unknown key 'kep'; did you mean 'keep'"),
        ('[[steps]]\nstep = "prune"\nkeep = 1.5', r"keep: must be above 0 and at most 1, got 1\.5"),
        ('[[steps]]\nstep = "prune"\nkeep = 0.5\ncriterion = "l3"', "expected one of taylor, l1"),
        (
            '[[steps]]\nstep = "prune"\nkeep = 0.5\n[steps.recover]\nepochs = 0',
            r"steps\[0\]\.recover\.epochs: must be above 0",
        ),
        ('[[steps]]\nstep = "cluster"\nclusters = 1', "clusters: must be 2 at least"),
        ('[[steps]]\nstep = "low-rank"\nforms = []', "forms: names none"),
        ('[[steps]]\nstep = "recover"\nlabels = 0\nteacher = 0', "nothing to learn from"),
        ('[[steps]]\nstep = "recover"\n[[steps]]\nstep = "x"', r"steps\[1\]\.step: unknown step"),
        ('steps = "prune"', r"steps: expected tables \[\[steps\]\]"),
        ("[budget]\nmax_mac = 1", "did you mean 'max_macs_ratio'"),
        ("[budget]\nmax_macs_ratio = 0", r"budget\.max_macs_ratio must be above 0"),
        ("seed = -1", "seed must not be negative"),
    ],
)
def test_a_mistake_in_a_step_is_named_with_its_place(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read(tmp_path, text)
    assert caught.value.place == str(tmp_path / "own.toml")


def test_no_drop_at_all_is_a_budget(tmp_path: Path) -> None:
    assert read(tmp_path, "[budget]\nmax_drop_pp = 0").budget.max_drop_pp == 0.0
