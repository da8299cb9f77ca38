"""Trained weights of the two networks, kept in the user's cache: trained once, used by every row.

    python -m benchmarks.fashion.trained NAME

trains what is not there yet, in a process of its own. The test images are not looked at. The digest
in the files' names is that of everything that training depends on, but for the libraries.
"""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import cache, record
from benchmarks.fashion import data, networks, weights
from benchmarks.fashion.training import Schedule, train

SEED = 1
SCHEDULE = Schedule()
NETWORKS = {"fashion_resnet": networks.small_resnet, "fashion_cnn": networks.dense_cnn}


@dataclass(frozen=True, slots=True)
class Trained:
    """A network's weights and how they came to be.

    Attributes:
        weights: .npz with "layer/i" for each array of each layer.
        record: seed, schedule, epochs, which epoch was kept and why training ended.
    """

    weights: Path
    record: dict[str, Any]


def subject(name: str) -> Trained:
    """The network's weights, trained now where the cache does not hold them."""
    path = _path(name)
    if not path.with_suffix(".json").is_file():
        # A process of its own: TensorFlow never gives its memory back.
        command = [sys.executable, "-m", "benchmarks.fashion.trained", name]
        quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"}
        subprocess.run(command, check=True, cwd=record.ROOT, env=quiet)
    return Trained(path, json.loads(path.with_suffix(".json").read_text()))


def _path(name: str) -> Path:
    told = json.dumps([name, SEED, asdict(SCHEDULE)], sort_keys=True)
    digest = hashlib.sha256(told.encode()).hexdigest()[:12]
    return cache.folder("weights") / f"{name}-{digest}.npz"


def _train_into(path: Path, name: str, images: data.FashionMnist) -> None:
    import keras  # noqa: PLC0415 - seconds of import, in this script's own process alone

    keras.utils.set_random_seed(SEED)
    model = NETWORKS[name](keras)
    curve = train(
        keras,
        model,
        images,
        SCHEDULE,
        SEED,
        lambda text: print(f"{name}: {text}", file=sys.stderr, flush=True),
    )
    weights.save(model, path)
    told = {
        "seed": SEED,
        "schedule": asdict(SCHEDULE),
        "validation_images": data.VALIDATION,
        "validation_accuracy": curve.epochs[curve.best].validation_accuracy,
        "best_epoch": curve.best + 1,
        "ended": curve.ended,
        "seconds": round(sum(epoch.seconds for epoch in curve.epochs)),
        "epochs": [asdict(epoch) for epoch in curve.epochs],
        "keras": keras.__version__,
    }
    path.with_suffix(".json").write_text(json.dumps(told, indent=2) + "\n")


def main() -> None:
    """Train the networks named, as far as they are not there."""
    images = data.load()
    for name in sys.argv[1:]:
        path = _path(name)
        if not path.with_suffix(".json").is_file():
            _train_into(path, name, images)


if __name__ == "__main__":
    main()
