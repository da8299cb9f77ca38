"""A small tabular network pruned, factorised, clustered and quantized, five seeds.

1,000 rows of scikit-learn's make_classification, 200 of them for the test; what is built is judged
on these, which nothing has seen. 100 of the training rows are --eval, the others --train. The steps
were chosen on splits of the training rows.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from benchmarks import cache
from benchmarks.compression import building, rows, tabular
from benchmarks.compression.building import Builder
from benchmarks.compression.rows import A72
from benchmarks.compression.tabular import Rows
from benchmarks.peers import judging
from benchmarks.peers.judging import Counter
from benchmarks.tables import table
from green_edge.data.dataset import Dataset
from green_edge.evaluate.predict import predict

NEEDS: tuple[str, ...] = ()

_SEEDS = (1, 2, 3, 4, 5)
_HELD = 100
_HALF = 0.5
_RECOVER = {"step": "recover", "epochs": 300, "batch": 64, "augment": ["mix", "noise"]}
_PRUNE = {"step": "prune", "keep": 0.12, "measure": "macs", "multiple": 16}
_SPLIT = {"step": "low-rank", "keep": 0.08, "measure": "macs"}
_VARIANTS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "pruned, int8": (_PRUNE, _RECOVER),
    "pruned, SVD, int8": (_PRUNE, _SPLIT, _RECOVER),
    "pruned, SVD, clustered, int8": (_PRUNE, _SPLIT, {"step": "cluster"}, _RECOVER),
}


def measure() -> dict[str, Any]:
    """Train, build and judge all seeds."""
    return measured(tabular.files(_SEEDS))


def measured(
    models: Sequence[Path], build: Builder = building.build, counter: Counter = judging.counted
) -> dict[str, Any]:
    """As `measure`, of networks that are trained, one a seed."""
    train, test = tabular.load()
    held, left = Rows(train.x[:_HELD], train.y[:_HELD]), Rows(train.x[_HELD:], train.y[_HELD:])
    folder = cache.folder("tabular")
    sets = (left.save(folder / "train.npz"), held.save(folder / "held.npz"))
    found: dict[str, list[dict[str, Any]]] = {}
    for seed, model in enumerate(models, 1):
        for name, content, wall_s in _built(model, seed, sets, build):
            right = judged(content, test)
            found.setdefault(name, []).append(
                {"accuracy": right, "wall_s": wall_s}
                | judging.facts(content)
                | {"instructions": rows.instructions([content], A72, counter)[0]}
            )
    return {
        "test_rows": len(test.y),
        "train_rows": len(left.y),
        "held_rows": len(held.y),
        "setting": str(A72),
        "epochs": tabular.EPOCHS,
        "recovery": dict(_RECOVER),
        "rows": [{"name": name, "seeds": seeds} for name, seeds in found.items()],
    }


def judged(model: bytes, test: Rows) -> float:
    """Share of rows that a .tflite puts on the right side of a half."""
    (outputs,) = predict(model, Dataset({"features": test.x}))
    return float(np.mean((outputs[:, 0] > _HALF) == test.y))


def _built(
    model: Path, seed: int, sets: tuple[Path, Path], build: Builder
) -> list[tuple[str, bytes, float]]:
    """Name, .tflite and seconds of each row; float and plain int8 are beside every build."""
    made: list[tuple[str, bytes, float]] = []
    for i, (name, steps) in enumerate(_VARIANTS.items()):
        file = rows.recipe(f"tabular-{i}", steps)
        given = ("--train", str(sets[0]), "--eval", str(sets[1]))
        options = (*given, "--recipe", str(file), "--seed", str(seed))
        found = build(f"tabular-{i}-{seed}", model, options, (*sets, file))
        if not made:
            made += [("float", rows.beside(found, "float"), 0.0)]
            made += [("int8", rows.beside(found, "int8_baseline"), 0.0)]
        made.append((name, found.model, found.wall_s))
    return made


def markdown(figures: Mapping[str, Any]) -> str:
    """One row a kind of model: means over the seeds, and the range of the accuracy."""
    whole = _means(figures["rows"][0])
    plain = _means(next(row for row in figures["rows"] if row["name"] == "int8"))
    cells = [_cells(row, whole, plain) for row in figures["rows"]]
    head = (
        "model", "accuracy, %", "of seeds", "drop, pp", "parameters", "MACs", "MACs /",
        ".tflite", ".tflite /", "zipped", "A72 /", "build, s",
    )  # fmt: skip
    recovery = figures["recovery"]
    told = (
        f"Means of {len(figures['rows'][0]['seeds'])} seeds on {figures['test_rows']} test rows."
        f" Float: {figures['epochs']} epochs on {figures['train_rows'] + figures['held_rows']}"
        f" training rows. Recovery: {recovery['epochs']} epochs on {figures['train_rows']} of them"
        f" ({', '.join(recovery['augment'])}), from labels and the float model's outputs. The"
        f" other {figures['held_rows']} are --eval, which float has learned from, so that the"
        " builds' own verdicts say little. Drop: to the float models, negative is better. `/`: how"
        f" many times smaller than plain int8; instructions counted, {figures['setting']}."
    )
    return f"{told}\n\n{table(head, cells)}"


def _means(row: Mapping[str, Any]) -> dict[str, float]:
    return {key: fmean(seed[key] for seed in row["seeds"]) for key in row["seeds"][0]}


def _cells(
    row: Mapping[str, Any], whole: Mapping[str, float], plain: Mapping[str, float]
) -> tuple[str, ...]:
    means, each = _means(row), [100 * seed["accuracy"] for seed in row["seeds"]]
    return (
        row["name"],
        f"{100 * means['accuracy']:.1f}",
        f"{min(each):.1f} to {max(each):.1f}",
        f"{100 * (whole['accuracy'] - means['accuracy']):+.1f}",
        f"{means['params']:,.0f}",
        f"{means['macs']:,.0f}",
        f"{plain['macs'] / means['macs']:.1f}",
        f"{means['size_bytes']:,.0f}",
        f"{plain['size_bytes'] / means['size_bytes']:.1f}",
        f"{means['zip_bytes']:,.0f}",
        f"{plain['instructions'] / means['instructions']:.2f}",
        f"{means['wall_s']:.0f}" if means["wall_s"] else "-",
    )
