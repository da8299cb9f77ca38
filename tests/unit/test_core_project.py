import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from green_edge.core.project import (
    FILE_NAME,
    find_project,
    is_hook,
    load_labels,
    load_pipeline,
    load_project,
)
from green_edge.core.recipe import Budget, FineTune, Recipe, Search, load_recipe
from green_edge.core.steps import (
    BatchNorm,
    Cluster,
    LowRank,
    Prune,
    Reconstruct,
    Recover,
    Sparsify,
)
from green_edge_wire.errors import ConfigError
from green_edge_wire.manifest import Pipeline, Scale, Softmax


def _project(folder: Path, text: str) -> Path:
    file = folder / FILE_NAME
    file.write_text(text, encoding="utf-8")
    return file


def test_a_project_file_gives_what_it_says_and_the_defaults_of_the_rest(tmp_path: Path) -> None:
    file = _project(
        tmp_path,
        '[model]\npath = "m.keras"\n[build]\ntargets = ["pi4"]\ntrain = "t.npz"\n'
        '[fleet]\nsite = "home"\n',
    )
    project = load_project(file)
    assert project.model is not None
    assert project.path(project.model.path) == tmp_path / "m.keras"
    assert project.build.targets == ("pi4",)
    assert (project.build.max_drop_pp, project.build.recipe) == (None, "quantize")
    assert project.data("t.npz") == str(tmp_path / "t.npz")
    assert project.data("sets:train") == "sets:train"
    assert (project.fleet.site, project.fleet.broker) == ("home", None)
    assert find_project(tmp_path) == project


def test_a_folder_without_a_project_file_has_no_project(tmp_path: Path) -> None:
    assert find_project(tmp_path) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[build]\ntarget = ['pi4']\n", "build: unknown key 'target'; did you mean 'targets'?"),
        ("[build]\nseed = 'x'\n", "build.seed: expected a whole number"),
        ("[build]\nmax_drop_pp = -1\n", "build.max_drop_pp must not be negative"),
        ("[model]\nname = 'm'\n", "model.path: missing"),
        ("[build\n", "not TOML"),
    ],
)
def test_a_mistake_in_the_project_file_is_named_with_its_place(
    tmp_path: Path, text: str, message: str
) -> None:
    file = _project(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_project(file)
    assert message in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_project_file_that_is_missing_or_no_text_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read it: No such file"):
        load_project(tmp_path / "none.toml")
    (tmp_path / FILE_NAME).write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        find_project(tmp_path)


def test_only_a_module_and_a_function_make_a_hook() -> None:
    assert is_hook("package.sets:train")
    assert not is_hook("folder/file.npz")
    assert not is_hook("folder/file:name")
    assert not is_hook("sets:")


def test_labels_are_one_a_line_and_distinct(tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_text("ant\nbee\n\n", encoding="utf-8")
    assert load_labels(file) == ("ant", "bee")
    for wrong in ("", "ant\n\nbee\n", "ant\nant\n"):
        file.write_text(wrong, encoding="utf-8")
        with pytest.raises(ConfigError, match="labels are empty or repeat"):
            load_labels(file)


def test_a_pipeline_is_read_strictly(tmp_path: Path) -> None:
    file = tmp_path / "pipeline.json"
    file.write_text(
        '{"pre": [{"op": "scale", "factor": 0.5}], "post": [{"op": "softmax"}]}', encoding="utf-8"
    )
    assert load_pipeline(file) == Pipeline(pre=(Scale(0.5),), post=(Softmax(),))
    file.write_text('{"prae": []}', encoding="utf-8")
    with pytest.raises(ConfigError, match="did you mean 'pre'"):
        load_pipeline(file)


def test_a_recipe_is_a_name_or_a_file(tmp_path: Path) -> None:
    assert load_recipe("quantize").quantizers == ("tf", "aeq")
    file = tmp_path / "small.toml"
    file.write_text('quantizers = ["aeq"]\n', encoding="utf-8")
    assert load_recipe(str(file)) == Recipe(name="small", quantizers=("aeq",))
    file.write_text('calibrations = ["mse"]\nrepair = []\n[fine_tune]\nsteps = 9\n')
    assert load_recipe(str(file)) == Recipe(
        "small", calibrations=("mse",), repair=(), fine_tune=FineTune(9)
    )


DOCS = Path(__file__).parents[2] / "docs"
# Told of on a page of their own.
SHRINKING = {"seed", "budget", "steps"}


def test_the_shrinking_recipe_of_the_documentation_names_every_key(tmp_path: Path) -> None:
    page = (DOCS / "compression.md").read_text(encoding="utf-8")
    example = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)[0]
    file = tmp_path / "example.toml"
    file.write_text(example, encoding="utf-8")
    assert load_recipe(str(file)).steps
    document = tomllib.loads(example)
    assert set(document) == SHRINKING | {"name"}
    assert set(document["budget"]) == {field.name for field in fields(Budget)}
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (.*) \|$", page, re.MULTILINE))
    for kind in (Prune, LowRank, Sparsify, Cluster, Reconstruct, BatchNorm, Recover):
        (name,) = (f.default for f in fields(kind) if f.name == "step")
        keys = re.findall(r"`([a-z_]+)(?: = [^`]*)?`", rows[str(name)])
        assert {f.name for f in fields(kind)} - {"step"} <= set(keys), name


def test_the_search_of_the_documentation_names_every_key(tmp_path: Path) -> None:
    page = (DOCS / "compression.md").read_text(encoding="utf-8")
    (example,) = (e for e in re.findall(r"```toml\n(.*?)```", page, re.DOTALL) if "[search]" in e)
    file = tmp_path / "example.toml"
    file.write_text(example, encoding="utf-8")
    assert load_recipe(str(file)).search is not None
    assert set(tomllib.loads(example)["search"]) == {field.name for field in fields(Search)}


def test_the_recipe_of_the_documentation_names_every_key(tmp_path: Path) -> None:
    page = (DOCS / "quantization.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    file = tmp_path / "example.toml"
    file.write_text(example, encoding="utf-8")
    recipe = load_recipe(str(file))
    assert recipe != Recipe()
    keys = {field.name for field in fields(Recipe)} - SHRINKING - {"search"}
    assert set(tomllib.loads(example)) == keys
    table = page.partition("## Recipes")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `([a-z_.]+)` \| `(.*?)` \|", table, re.MULTILINE))
    lines = [f"{key} = {value}" for key, value in rows.items() if key != "name"]
    file.write_text("\n".join(lines), encoding="utf-8")
    assert {key.partition(".")[0] for key in rows} == keys
    assert load_recipe(str(file)) == Recipe(name="example")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('quantisers = ["tf"]', "did you mean 'quantizers'"),
        ("quantizers = []", "one quantizer"),
        ("calibrations = []", "one quantizer, one calibration"),
        ("calibration_samples = 0", "one calibration sample"),
        ('repair = ["bias"]', "expected one of"),
        ('repair = ["mixed", "mixed"]', "repair names one of them twice"),
        ("[fine_tune]\nsteps = 0", "fine_tune.steps must be 1 at least"),
        ("quantizers = [", "not TOML"),
        ('name = "x\\u001b[31m"', "name: .* cannot be a name"),
        ('name = ""', "cannot be a name"),
    ],
)
def test_a_mistake_in_a_recipe_is_named(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "r.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        load_recipe(str(file))


def test_an_unknown_recipe_says_which_there_are() -> None:
    with pytest.raises(
        ConfigError, match=r"did you mean 'int8'.*recipes are auto, quantize, int8, prune, low-rank"
    ):
        load_recipe("int9")


def test_a_negative_seed_is_refused_with_the_file(tmp_path: Path) -> None:
    file = _project(tmp_path, "[build]\nseed = -1\n")
    with pytest.raises(ConfigError, match=r"build\.seed must not be negative") as caught:
        load_project(file)
    assert caught.value.place == str(file)
