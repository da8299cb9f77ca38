"""The table of peers on one subject: quality, size, work, instructions, time to build."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.peers import beside, judging
from benchmarks.peers.beside import OURS, short
from benchmarks.peers.environment import PACKAGES
from benchmarks.peers.judging import SETTINGS, Counter, Right, say
from benchmarks.peers.methods import Peer
from benchmarks.peers.subjects import CALIBRATION, Subject
from benchmarks.tables import table
from green_edge.emulate import Count, Refusal, Uncounted


def compare(
    subject: Subject, peers: Sequence[Peer], counter: Counter = judging.counted
) -> dict[str, Any]:
    """Build and judge every peer's model, and count its instructions.

    The drop of accuracy is that to the first peer, image by image.
    """
    rows: list[dict[str, Any]] = []
    models = []
    first: Right | None = None
    for peer in peers:
        say(f"{subject.network}: {peer.tool}, {peer.how}")
        built = peer.build(subject)
        models.append(built[0].model)
        right = np.concatenate(
            [
                judging.right(each.model, fold.test)
                for each, fold in zip(built, subject.folds, strict=True)
            ]
        )
        first = right if first is None else first
        rows.append({"tool": peer.tool, "how": peer.how} | judging.accuracy(right))
        rows[-1] |= {"drop": judging.drop(first, right)} | judging.facts(models[-1])
        rows[-1]["build_s"] = round(sum(each.wall_s for each in built) / len(built), 1)
        say(f"  accuracy {rows[-1]['accuracy']:.4f}, {rows[-1]['build_s']} s")
    return {
        "network": subject.network,
        "judged_samples": int(sum(len(fold.test.y) for fold in subject.folds)),
        "folds": len(subject.folds),
        "calibration_samples": CALIBRATION,
        "fine_tuning_epochs": subject.fine_tuning_epochs,
        "peers_environment": list(PACKAGES),
        "userlands": _count(rows, models, counter),
        "training": dict(subject.training),
        "rows": rows,
    }


def _count(
    rows: Sequence[dict[str, Any]], models: Sequence[bytes], counter: Counter
) -> dict[str, str]:
    """Write each model's instructions into its row; returns the userland of each setting."""
    userlands: dict[str, str] = {}
    for setting in SETTINGS:
        for row, told in zip(rows, counter(models, setting), strict=True):
            instructions = row.setdefault("instructions", {})
            match told:
                case Count():
                    instructions[str(setting)] = told.instructions
                    userlands[str(setting)] = told.userland
                case Refusal(message=words):
                    instructions[str(setting)] = words
                case Uncounted(message=why):
                    # It says nothing of the model, so it is no figure for a table.
                    raise RuntimeError(f"{row['tool']} {row['how']}, {setting}: {why}")
    return userlands


def markdown(figures: Mapping[str, Any]) -> str:
    """How it was made, one row a peer, and what a runtime says of a model that it refuses."""
    head = (
        "tool", "", "accuracy, %", "95 % interval", ".tflite", "zipped", "params", "MMAC",
        *(short(str(setting)) for setting in SETTINGS), "build, s",
    )  # fmt: skip
    rows = [
        (
            row["tool"],
            row["how"],
            f"{100 * row['accuracy']:.2f}",
            f"{100 * row['low']:.2f} to {100 * row['high']:.2f}",
            f"{row['size_bytes']:,}",
            f"{row['zip_bytes']:,}",
            f"{row['params']:,}",
            f"{row['macs'] / 1e6:.2f}",
            *(_thousands(row["instructions"][str(setting)]) for setting in SETTINGS),
            f"{row['build_s']:.0f}",
        )
        for row in figures["rows"]
    ]
    parts = [_told(figures), table(head, rows), *_refusals(figures)]
    return "\n\n".join([*parts, *beside.markdown(figures["rows"])])


def _refusals(figures: Mapping[str, Any]) -> list[str]:
    said = [
        f"{setting} refuses {row['tool']} {row['how']}: {_line(words)}"
        for row in figures["rows"]
        for setting, words in row["instructions"].items()
        if isinstance(words, str)
    ]
    return ["\n".join(f"- {each}" for each in said)] if said else []


def _line(words: str) -> str:
    """The first sentence or line of a runtime's words."""
    return words.strip().partition("\n")[0]


def _told(figures: Mapping[str, Any]) -> str:
    folds = figures["folds"]
    judged = f"Accuracy on {figures['judged_samples']:,} images"
    if folds > 1:
        judged += (
            f", each judged by the one of {folds} models that was not trained on it; sizes and"
            " instructions of the first of them, build time their mean"
        )
    environment = ", ".join(figures["peers_environment"])
    ours = (
        " green-edge takes as many epochs in all, by `benchmarks/compression/recipes`."
        if any(row["tool"] == OURS for row in figures["rows"])
        else ""
    )
    return (
        f"{judged}. Calibration with {figures['calibration_samples']} training images. TF-MOT"
        f" ({environment}) fine-tunes for {figures['fine_tuning_epochs']} epochs, its learning rate"
        f" falling from 5e-4 to nothing.{ours} Instructions of one inference in thousands,"
        " counted on the emulated core. Sizes in bytes; zipped: zlib level 9."
        f" {_trained(figures['training'])}"
    )


def _trained(training: Mapping[str, Any]) -> str:
    if "schedule" not in training:
        return "The float model is that of models/digits."
    return (
        f"The float model was trained without augmentation for {len(training['epochs'])} epochs"
        f" (seed {training['seed']}; ended by: {training['ended']}), epoch"
        f" {training['best_epoch']} kept, with {training['validation_accuracy']:.2%} on"
        f" {training['validation_images']:,} validation images."
    )


def _thousands(value: int | str) -> str:
    return f"{value / 1e3:,.0f}" if isinstance(value, int) else "-"
