"""Keyword spotting made smaller with 500 inputs without labels.

Reads kws_saved_model, kws_inputs_public.npz and kws_int8.tflite from the folder `mlperf_tiny` of
GREEN_EDGE_TEST_DATA (github.com/mlcommons/tiny, Apache-2.0). The network is rebuilt in Keras 3 with
the published weights. Channels go in two rounds, then what is missing is made good: by least
squares, by distillation from the original, or both.

Every input judges once, by a network that did not learn from it: of each split the other part
recovers the network, a tenth of it chooses the state that is kept. Labels only judge.

`python -m benchmarks.kws_unlabelled` measures one split of one row in a process of its own.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.kws import data, twin
from benchmarks.kws.recovery import Judged, Way, judged, original, total
from benchmarks.record import ROOT
from benchmarks.tables import table

NEEDS = ("GREEN_EDGE_TEST_DATA",)

_SEED = 1
# Shares of the multiply-accumulates that so many channels in every layer would leave.
_SHARES = {56: 0.790, 48: 0.605, 40: 0.444, 32: 0.307}
_STEPS = 1_500
_WAYS = (
    Way("channels alone", reconstruct=False),
    Way("and least squares", reconstruct=True),
    Way("distillation", reconstruct=False, steps=_STEPS, augment=True),
    Way("least squares, distillation on the inputs alone", reconstruct=True, steps=_STEPS),
    Way("least squares, distillation", reconstruct=True, steps=_STEPS, augment=True),
)
_LONG = Way("least squares, distillation", reconstruct=True, steps=4_000, augment=True)
_FEW, _MANY = 2, 5


def measure() -> dict[str, Any]:
    """Every way at every share on two splits; the one that is asked for, longer, on five."""
    rows = [_row(way, channels, _FEW) for channels in _SHARES for way in _WAYS]
    rows.append(_row(_LONG, 48, _MANY))
    return {
        "seed": _SEED,
        "inputs": rows[0]["inputs"],
        "original": _apart("original"),
        "rows": rows,
    }


def markdown(figures: Mapping[str, Any]) -> str:
    """One row a share and way."""
    n, whole = figures["inputs"], figures["original"]
    rows = [("original", "", "", "", *_shares(whole["right"], whole["right_int8"], n, n), "0.000")]
    rows += [
        (
            f"{row['way']}, {row['steps']:,} steps" if row["steps"] else row["way"],
            f"{n - n // row['splits']}",
            f"{row['macs_ratio']:.2f}",
            f"{row['instructions_ratio']:.2f}",
            *_shares(row["right"], row["right_int8"], row["agreed"], n),
            f"{row['divergence'] / n:.3f}",
        )
        for row in figures["rows"]
    ]
    head = (
        "what makes good", "inputs", "MACs /", "A72 /", "float", "int8", "same word", "divergence",
    )  # fmt: skip
    return (
        f"Accuracy on {n} inputs, each judged by a network that did not learn from it. `inputs`:"
        " how many recover it, without labels. `A72 /`: predicted instructions of the plain int8"
        " model over those left. `same word`: as the original's. int8 by TensorFlow's converter."
        f"\n\n{table(head, rows)}"
    )


def _shares(right: int, right_int8: int, agreed: int, n: int) -> tuple[str, str, str]:
    return f"{right / n:.1%}", f"{right_int8 / n:.1%}", f"{agreed / n:.1%}"


def _row(way: Way, channels: int, splits: int) -> dict[str, Any]:
    parts = [Judged(**_apart("split", way, channels, splits, split)) for split in range(splits)]
    found = asdict(total(parts)) | {"way": way.name, "steps": way.steps, "splits": splits}
    print(f"{channels} channels, {way.name}: {found}", file=sys.stderr, flush=True)
    return found | {"channels_of_each": [part.channels for part in parts]}


def _apart(what: str, *arguments: Any) -> dict[str, Any]:
    """A process of its own: TensorFlow never gives its memory back."""
    told = [json.dumps(asdict(a) if isinstance(a, Way) else a) for a in arguments]
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"}
    command = [sys.executable, "-m", "benchmarks.kws_unlabelled", what, *told]
    done = subprocess.run(
        command, check=True, cwd=ROOT, env=quiet, stdout=subprocess.PIPE, text=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _found(what: str, *told: Any) -> Mapping[str, Any]:
    import keras  # noqa: PLC0415 - seconds of import, in the process of its own

    folder = Path(os.environ["GREEN_EDGE_TEST_DATA"]).absolute() / "mlperf_tiny"
    spoken, network = data.load(folder), twin.load(keras, folder / "kws_saved_model")
    if what == "original":
        return original(network, spoken)
    way, channels, splits, split = told
    rows = data.folds(len(spoken.y), splits, _SEED)[split]
    return asdict(judged(network, spoken, rows, Way(**way), _SHARES[channels], _SEED))


def main(arguments: Sequence[str]) -> None:
    """Print what one process finds as a line of JSON."""
    what, told = arguments[0], [json.loads(each) for each in arguments[1:]]
    print(json.dumps(_found(what, *told)))


if __name__ == "__main__":
    main(sys.argv[1:])
