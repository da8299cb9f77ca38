"""What each pass, criterion and kind of training gives: the small ResNet, three epochs.

Every row starts from the same trained network, is built by `green-edge build` with one seed, and is
judged on the 10,000 test images, which no build sees. Passes that take out compute are all asked
for the same share of the plain int8 model's predicted instructions on the Pi 4.
"""

from collections.abc import Mapping
from typing import Any

from benchmarks.compression import building, rows
from benchmarks.compression.building import Builder
from benchmarks.compression.fashion import Files, files
from benchmarks.compression.rows import A72
from benchmarks.fashion import data
from benchmarks.fashion.data import Labelled
from benchmarks.peers import judging
from benchmarks.peers.judging import Counter, Drop, say
from benchmarks.tables import table

NEEDS: tuple[str, ...] = ()

Step = Mapping[str, Any]

_NETWORK = "fashion_resnet"
_SEED = 1
_KEEP = 0.4
# Comes to about the same MACs as _KEEP of the instructions.
_KEEP_MACS = 0.25
_EPOCHS, _ROUNDS = 3, 3
_KB = 1000


def variants(epochs: float = _EPOCHS) -> dict[str, tuple[Step, ...]]:
    """Steps of each row by its name; every row with a recovery has the same epochs in all."""
    recover = {"step": "recover", "epochs": epochs, "rate": 6e-3, "augment": ["flip"]}
    prune = {"step": "prune", "keep": _KEEP}
    low_rank = {"step": "low-rank", "keep": _KEEP}
    cluster, sparsify = {"step": "cluster"}, {"step": "sparsify", "sparsity": 0.5}
    part = {**recover, "epochs": epochs / _ROUNDS}
    del part["step"]
    # Half of the way, in equal ratios, by each of two.
    half = {**prune, "keep": round(_KEEP**0.5, 4)}
    return {
        "int8 alone": (),
        "recovery alone": (recover,),
        "prune": (prune, recover),
        "low-rank": (low_rank, recover),
        "cluster 16": (cluster, recover),
        "sparsify 50 %": (sparsify, recover),
        "sparsify 2:4": ({"step": "sparsify", "pattern": "2:4"}, recover),
        "prune + low-rank": (half, low_rank, recover),
        "prune + cluster": (prune, cluster, recover),
        "prune + sparsify": (prune, sparsify, recover),
        "prune + low-rank + sparsify + cluster": (half, low_rank, sparsify, cluster, recover),
        **{
            f"prune by {criterion}": ({**prune, "criterion": criterion}, recover)
            for criterion in ("l1", "l2", "bn-scale", "activation")
        },
        "prune by MACs": ({"step": "prune", "keep": _KEEP_MACS, "measure": "macs"}, recover),
        "prune in three rounds": ({**prune, "rounds": _ROUNDS, "recover": part},),
        "prune, no recovery": (prune,),
        "prune, least squares, no recovery": (prune, {"step": "reconstruct"}),
        "prune, least squares": (prune, {"step": "reconstruct"}, recover),
        "prune, labels alone": (prune, {**recover, "teacher": 0.0}),
        "prune, original's outputs alone": (prune, {**recover, "labels": 0.0}),
        "prune, and its inner tensors": (prune, {**recover, "features": 1.0}),
        "prune, not augmented": (prune, {**recover, "augment": []}),
        "prune, shifted too": (prune, {**recover, "augment": ["shift", "flip"]}),
    }


def measure() -> dict[str, Any]:
    """Build, judge and count every row."""
    return measured(files(_NETWORK), data.load().test, variants())


def measured(
    given: Files,
    judges: Labelled,
    asked: Mapping[str, tuple[Step, ...]],
    build: Builder = building.build,
    counter: Counter = judging.counted,
) -> dict[str, Any]:
    """As `measure`, of some rows; the first is what the others are compared with."""
    built = {}
    for i, (name, steps) in enumerate(asked.items()):
        say(f"{name}, {i + 1} of {len(asked)}")
        file = rows.recipe(f"ablation-{i}", steps)
        options = (*given.data, "--recipe", str(file), "--seed", str(_SEED))
        built[name] = build(f"ablation-{i}", given.model, options, (*given.inputs, file))
    plain = next(iter(built.values()))
    reference = judging.right(rows.beside(plain, "float"), judges)
    found = {name: rows.figures(each, judges, reference) for name, each in built.items()}
    counts = rows.instructions([each.model for each in built.values()], A72, counter)
    return {
        "judged_samples": len(judges.y),
        "float": judging.accuracy(reference),
        "keep": _KEEP,
        "seed": _SEED,
        "setting": str(A72),
        "rows": [
            {"name": name, "steps": [dict(step) for step in asked[name]], "instructions": count}
            | told
            for (name, told), count in zip(found.items(), counts, strict=True)
        ],
    }


def markdown(figures: Mapping[str, Any]) -> str:
    """One row a list of steps."""
    head = (
        "steps", "accuracy, %", "drop, pp", "95 % interval", "MMAC", ".tflite, kB", "zipped, kB",
        "A72 predicted", "A72 counted", "A72, thousands", "minutes",
    )  # fmt: skip
    whole = figures["rows"][0]["instructions"]
    cells = [
        (
            row["name"],
            f"{100 * row['accuracy']:.2f}",
            f"{row['drop']['drop_pp']:+.2f}",
            Drop(**row["drop"]).words,
            f"{row['macs'] / 1e6:.2f}",
            f"{row['size_bytes'] / _KB:.1f}",
            f"{row['zip_bytes'] / _KB:.1f}",
            f"{row['predicted']['instructions_ratio']:.1%}",
            f"{row['instructions'] / whole:.1%}",
            f"{row['instructions'] / 1e3:,.0f}",
            f"{row['wall_s'] / 60:.1f}",
        )
        for row in figures["rows"]
    ]
    told = (
        f"Int8 accuracy on {figures['judged_samples']:,} test images; the float model has"
        f" {100 * figures['float']['accuracy']:.2f} %, and the drop is to it, image by image. One"
        f" seed. `prune` is asked for {figures['keep']:.0%} of the predicted instructions, by"
        " first-order Taylor where no criterion is named; low-rank for as much, alone or after"
        " pruning has come half of the way. Predicted and counted: share of the first row's"
        f" instructions, {figures['setting']}. The recovery learns from labels and the original's"
        " outputs, with images mirrored, where the row does not say otherwise."
    )
    return f"{told}\n\n{table(head, cells)}"
