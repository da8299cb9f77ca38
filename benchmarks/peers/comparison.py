"""The table of peers on one subject: quality, size, work, instructions, time to build."""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.fashion.data import Labelled
from benchmarks.peers.environment import PACKAGES
from benchmarks.peers.methods import Peer
from benchmarks.peers.subjects import CALIBRATION, Subject
from benchmarks.tables import table
from green_edge.data.dataset import Dataset
from green_edge.emulate import Count, Refusal, Result, Setting, Uncounted, cache_folder, count
from green_edge.evaluate.intervals import wilson
from green_edge.evaluate.predict import predict
from green_edge.tflite.read import read

Counter = Callable[[Sequence[bytes], Setting], tuple[Result, ...]]

SETTINGS = tuple(
    Setting(runtime, version, core, "aarch64")
    for core in ("cortex-a72", "cortex-a76")
    for runtime, version in (("ai-edge-litert", "2.3.0"), ("tflite-runtime", "2.14.0"))
)


def compare(
    subject: Subject, peers: Sequence[Peer], counter: Counter | None = None
) -> dict[str, Any]:
    """Build and judge every peer's model; emulation counts its instructions if nobody else does."""
    rows: list[dict[str, Any]] = []
    models = []
    for peer in peers:
        _say(f"{subject.network}: {peer.tool}, {peer.how}")
        built = peer.build(subject)
        models.append(built[0].model)
        right = np.concatenate(
            [_right(each.model, fold.test) for each, fold in zip(built, subject.folds, strict=True)]
        )
        rows.append({"tool": peer.tool, "how": peer.how} | _judged(right) | _facts(models[-1]))
        rows[-1]["build_s"] = round(sum(each.wall_s for each in built) / len(built), 1)
        _say(f"  accuracy {rows[-1]['accuracy']:.4f}, {rows[-1]['build_s']} s")
    userlands: dict[str, str] = {}
    for setting in SETTINGS:
        for row, told in zip(rows, (counter or _counted)(models, setting), strict=True):
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
    return {
        "network": subject.network,
        "judged_samples": int(sum(len(fold.test.y) for fold in subject.folds)),
        "folds": len(subject.folds),
        "calibration_samples": CALIBRATION,
        "fine_tuning_epochs": subject.fine_tuning_epochs,
        "peers_environment": list(PACKAGES),
        "userlands": userlands,
        "training": dict(subject.training),
        "rows": rows,
    }


def _counted(models: Sequence[bytes], setting: Setting) -> tuple[Result, ...]:
    return count(models, setting, cache=cache_folder(), progress=_progress)


def _right(model: bytes, judges: Labelled) -> NDArray[np.bool_]:
    (outputs,) = predict(model, Dataset({"image": judges.x}))
    return np.asarray(np.argmax(outputs, axis=1) == judges.y)


def _judged(right: NDArray[np.bool_]) -> dict[str, float]:
    found = wilson(int(right.sum()), len(right))
    return {"accuracy": found.value, "low": round(found.low, 5), "high": round(found.high, 5)}


def _facts(model: bytes) -> dict[str, int]:
    facts = read(model)
    return {
        "size_bytes": facts.size_bytes,
        "zip_bytes": facts.zip_bytes,
        "params": facts.params,
        "macs": facts.macs,
    }


def markdown(figures: Mapping[str, Any]) -> str:
    """How it was made, one row a peer, and what a runtime says of a model that it refuses."""
    head = (
        "tool", "", "accuracy, %", "95 % interval", ".tflite", "zipped", "params", "MMAC",
        *(_short(str(setting)) for setting in SETTINGS), "build, s",
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
    return "\n\n".join([_told(figures), table(head, rows), *_refusals(figures)])


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
    return (
        f"{judged}. Calibration with {figures['calibration_samples']} training images. TF-MOT"
        f" ({environment}) fine-tunes for {figures['fine_tuning_epochs']} epochs, its learning rate"
        " falling from 5e-4 to nothing. Instructions of one inference in thousands, counted on the"
        f" emulated core. Sizes in bytes; zipped: zlib level 9. {_trained(figures['training'])}"
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


def _short(setting: str) -> str:
    runtime, _, _, core, *_ = setting.split()
    return f"{core.removeprefix('cortex-').upper()} {runtime}"


def _thousands(value: int | str) -> str:
    return f"{value / 1e3:,.0f}" if isinstance(value, int) else "-"


def _progress(doing: str, share: float | None = None) -> None:
    del share
    _say(doing)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
