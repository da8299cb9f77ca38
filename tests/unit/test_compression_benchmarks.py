"""Rows of the compression's benchmarks, with builds that are written by hand."""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from benchmarks import compression_ablation, compression_auto, compression_tabular
from benchmarks.compression import rows, tabular
from benchmarks.compression.building import REPORT, Build
from benchmarks.compression.fashion import RECIPES, Files
from benchmarks.fashion.data import Labelled
from benchmarks.peers import green_edge
from benchmarks.peers.subjects import FASHION_EPOCHS

from green_edge.core.recipe import load_recipe
from green_edge.core.steps import Prune, Recover, expanded
from green_edge.emulate import Count, Refusal, Result, Setting
from green_edge_wire.errors import GreenEdgeError
from support.tiny_models import dense_weights, tiny_float_dense, tiny_int8_dense

FILES = Files(Path("network.keras"), Path("train.npz"), Path("validation.npz"))


def judges() -> Labelled:
    """Samples that the models of seed 1 get right."""
    x = np.random.default_rng(3).uniform(-1, 1, (200, 4)).astype(np.float32)
    return Labelled(x, np.argmax(x @ dense_weights(seed=1).T, axis=1).astype(np.int64))


class Bench:
    """Writes what a build would, and remembers what was asked of it."""

    def __init__(self, folder: Path, *seeds: int) -> None:
        self.folder = folder
        self.asked: list[tuple[str, ...]] = []
        self._seeds = [*seeds]

    def __call__(
        self, name: str, model: Path, options: Sequence[str], inputs: Sequence[Path]
    ) -> Build:
        assert model == FILES.model
        assert {*FILES.inputs} <= {*inputs}
        self.asked.append(tuple(options))
        folder = self.folder / name
        folder.mkdir()
        (folder / "float.tflite").write_bytes(tiny_float_dense(seed=1))
        (folder / "int8.tflite").write_bytes(tiny_int8_dense(seed=1))
        (folder / REPORT).write_text("{}")
        guard = {"n": 7, "verdict": "pass", "drop_pp": 0.1, "low_pp": -0.2, "high_pp": 0.4}
        report = {
            "float": {"file": "float.tflite"},
            "int8_baseline": {"file": "int8.tflite"},
            "guard": guard,
            "predicted": {"share": {"instructions_ratio": 0.5}},
            "recipe_used": {"steps": [{"step": "prune", "keep": 0.4}]},
            "search": {"trials": [{}, {}], "spent_s": 90.0, "chosen": "level-2-prune"},
        }
        return Build(tiny_int8_dense(seed=self._seeds.pop(0)), report, 120.0, folder)


def counted(models: Sequence[bytes], setting: Setting) -> tuple[Result, ...]:
    return tuple(
        Count(sha256(model).hexdigest(), setting, 1000 * (i + 1), cached=False, userland="")
        for i, model in enumerate(models)
    )


def refused(models: Sequence[bytes], setting: Setting) -> tuple[Result, ...]:
    return tuple(Refusal(sha256(model).hexdigest(), setting, "no such op") for model in models)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GREEN_EDGE_CACHE", str(tmp_path / "cache"))


def test_steps_written_as_a_file_are_read_as_they_were_meant() -> None:
    recover = {"epochs": 1.5, "augment": ["flip"]}
    file = rows.recipe("some", [{"step": "prune", "keep": 0.4, "recover": recover}])
    read = load_recipe(str(file))
    assert read.steps == (Prune(keep=0.4, recover=Recover(epochs=1.5, augment=("flip",))),)
    assert read.repair == ()


def epochs(file: Path) -> float:
    steps = expanded(load_recipe(str(file)).steps)
    return sum(step.epochs for step in steps if isinstance(step, Recover))


@pytest.mark.parametrize("file", sorted(RECIPES.glob("*.toml")), ids=lambda file: file.stem)
def test_green_edges_rows_train_for_as_long_as_the_peers(file: Path) -> None:
    assert epochs(file) == FASHION_EPOCHS


def test_each_network_has_its_recipe_and_its_control_for_two_seeds() -> None:
    assert [peer.how for peer in green_edge.peers("fashion_cnn")] == [
        "shrunk, int8, seed 1",
        "shrunk, int8, seed 2",
        "control: unpruned, int8, seed 1",
        "control: unpruned, int8, seed 2",
    ]
    names = {file.stem for file in RECIPES.glob("*.toml")}
    assert names == {
        f"fashion_{network}{kind}" for network in ("cnn", "resnet") for kind in ("", "_control")
    }


def test_every_row_of_the_ablation_is_a_recipe_and_those_that_train_train_alike() -> None:
    lengths = {}
    for name, steps in compression_ablation.variants().items():
        lengths[name] = epochs(rows.recipe("some", steps))
    without = {name for name, length in lengths.items() if length == 0}
    assert without == {
        "int8 alone",
        "prune, no recovery",
        "prune, least squares, no recovery",
    }
    assert {length for length in lengths.values() if length} == {3.0}


def test_the_ablation_compares_each_row_with_the_float_model_on_unseen_images(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path, 1, 2)
    asked = {name: compression_ablation.variants()[name] for name in ("int8 alone", "prune")}
    figures = compression_ablation.measured(FILES, judges(), asked, bench, counted)
    assert figures["float"]["accuracy"] == 1.0
    plain, pruned = figures["rows"]
    assert plain["drop"]["drop_pp"] < 5
    # Another model: it is right by chance.
    assert pruned["drop"]["drop_pp"] == pytest.approx(100 * (1 - pruned["accuracy"]))
    assert pruned["drop"]["low_pp"] > 20
    assert [row["instructions"] for row in figures["rows"]] == [1000, 2000]
    assert bench.asked[0][:4] == ("--train", "train.npz", "--eval", "validation.npz")
    last = compression_ablation.markdown(figures).splitlines()[-1]
    assert last.startswith("| prune | ")
    assert last.endswith(" | 50.0% | 200.0% | 2 | 2.0 |")


def test_a_model_that_cannot_be_counted_gives_no_row(tmp_path: Path) -> None:
    asked = {"int8 alone": ()}
    with pytest.raises(GreenEdgeError, match="no such op"):
        compression_ablation.measured(FILES, judges(), asked, Bench(tmp_path, 1), refused)


def test_the_search_is_told_its_time_and_its_report_is_replayed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, 1, 1)
    figures = compression_auto.measured(FILES, judges(), 0.5, bench, counted)
    first, second = bench.asked
    assert first[-4:] == ("--recipe", "auto", "--budget-minutes", "0.5")
    assert second[-2:] == ("--replay", str(tmp_path / "auto" / REPORT))
    assert "--recipe" not in second
    assert figures["replay"]["equal"]
    text = compression_auto.markdown(figures)
    assert "2 trials in 1.5 minutes; chosen: level-2-prune." in text
    assert "gave the same bytes" in text


def test_a_replay_that_gives_other_bytes_is_said_to(tmp_path: Path) -> None:
    figures = compression_auto.measured(FILES, judges(), 0.5, Bench(tmp_path, 1, 2), counted)
    assert not figures["replay"]["equal"]
    assert "gave other bytes" in compression_auto.markdown(figures)


def test_the_shortfall_of_the_search_to_the_best_recipe_is_told(tmp_path: Path) -> None:
    figures = compression_auto.measured(FILES, judges(), 0.5, Bench(tmp_path, 1, 1), counted)
    auto = figures["auto"]
    best = {
        "how": "shrunk, int8, seed 1",
        "accuracy": auto["accuracy"] + 0.01,
        "macs": auto["macs"],
        "size_bytes": auto["size_bytes"],
        "instructions": dict.fromkeys(auto["instructions"], 800),
    }
    text = compression_auto.markdown(figures | {"best": best})
    assert "auto's instructions are +25% on the A72 and +25% on the A76" in text
    assert "its accuracy -1.00 percentage points" in text
    assert "| best recipe (shrunk, int8, seed 1) |" in text


def test_a_row_of_green_edge_is_built_by_its_recipe_and_seed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, 1)
    made = green_edge.built(FILES, "fashion_cnn", 2, bench)
    assert made[0].wall_s == 120.0
    recipe = str(RECIPES / "fashion_cnn.toml")
    assert bench.asked == [(*FILES.data, "--recipe", recipe, "--seed", "2")]
    assert made[0].model == tiny_int8_dense(seed=1)


def test_the_tabular_table_gives_the_mean_and_the_range_of_the_seeds() -> None:
    def row(name: str, right: Sequence[float], macs: int) -> dict[str, object]:
        sizes = {"size_bytes": 4000, "zip_bytes": 2000, "params": 90, "instructions": 10_000}
        seeds = [{"accuracy": each, "wall_s": 3.0, "macs": macs} | sizes for each in right]
        return {"name": name, "seeds": seeds}

    figures = {
        "test_rows": 200,
        "train_rows": 700,
        "held_rows": 100,
        "setting": "somewhere",
        "epochs": 50,
        "recovery": {"epochs": 300, "augment": ["mix"]},
        "rows": [
            row("float", (0.85, 0.87), 9_000),
            row("int8", (0.84, 0.86), 9_000),
            row("pruned, int8", (0.83, 0.88), 900),
        ],
    }
    last = compression_tabular.markdown(figures).splitlines()[-1]
    assert last.startswith(
        "| pruned, int8 | 85.5 | 83.0 to 88.0 | +0.5 | 90 | 900 | 10.0 | 4,000 |"
    )


def test_tabular_models_are_judged_on_rows_that_no_build_is_given(tmp_path: Path) -> None:
    _, test = tabular.load()
    content = tiny_float_dense(10, 1, seed=2)
    given: list[tuple[Path, ...]] = []

    def build(name: str, model: Path, options: Sequence[str], inputs: Sequence[Path]) -> Build:
        assert {str(path) for path in inputs} < {*options, str(model)}
        given.append(tuple(inputs))
        folder = tmp_path / name
        folder.mkdir()
        (folder / "other.tflite").write_bytes(content)
        report = {key: {"file": "other.tflite"} for key in ("float", "int8_baseline")}
        return Build(content, report, 4.0, folder)

    figures = compression_tabular.measured((Path("a"), Path("b")), build, counted)
    right = float(np.mean((test.x @ dense_weights(10, 1, seed=2).T > 0.5)[:, 0] == test.y))
    assert [row["name"] for row in figures["rows"]][:2] == ["float", "int8"]
    for row in figures["rows"]:
        assert [seed["accuracy"] for seed in row["seeds"]] == [right, right]
    unseen = {row.tobytes() for row in test.x}
    for train, held, *_ in given:
        seen = np.concatenate([np.load(train)["x"], np.load(held)["x"]])
        assert len(seen) == 800
        assert not unseen & {row.tobytes() for row in seen}
