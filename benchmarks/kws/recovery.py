"""The network shrunk with nothing but inputs without labels, and how well it then does."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.kws.data import Spoken
from green_edge.core.steps import BatchNorm, Prune, Reconstruct, Recover, Step
from green_edge.targets.registry import find

_TARGET = "pi4"
_HELD_SHARE = 10
_BATCH = 128
_LEAST_SHARE = 1e-7


@dataclass(frozen=True, slots=True)
class Way:
    """What is done about the channels that are gone.

    Attributes:
        name: for the table.
        reconstruct: least squares.
        steps: of distillation; none for 0.
        augment: the inputs of the distillation change from step to step.
    """

    name: str
    reconstruct: bool
    steps: int = 0
    augment: bool = False


@dataclass(frozen=True, slots=True)
class Judged:
    """What a shrunk network does on inputs that it did not learn from.

    Attributes:
        channels: of the five groups.
        macs_ratio: of what the original has to what is left.
        instructions_ratio: the same, as predicted for the target.
        inputs: that judged.
        right: of them, in float.
        right_int8: of them, in int8 by TensorFlow's converter; calibrated by what was learned from.
        agreed: of them, the same word as the original in float.
        divergence: sum over them of that from the original's outputs.
    """

    channels: tuple[int, ...]
    macs_ratio: float
    instructions_ratio: float
    inputs: int
    right: int
    right_int8: int
    agreed: int
    divergence: float


def steps_of(way: Way, keep: float, inputs: int) -> tuple[Step, ...]:
    """The recipe: channels go in two rounds, for what the first leaves is mended by the second.

    Args:
        way: what is done about it.
        keep: share of the multiply-accumulates that is left.
        inputs: to learn from.
    """
    mend: tuple[Step, ...] = (Reconstruct(),) if way.reconstruct else (BatchNorm(),)
    rounds = tuple(
        step
        for share in (keep**0.5, keep)
        for step in (Prune(share, measure="macs", multiple=4, least=0.25), *mend)
    )
    if not way.steps:
        return rounds
    trained = Recover(
        epochs=way.steps * min(_BATCH, inputs) / inputs,
        rate=2e-3,
        batch=_BATCH,
        labels=0.0,
        features=0.5,
        # Not moved: along the coefficients that would be another sound.
        augment=("noise", "mix") if way.augment else (),
    )
    return (*rounds, trained)


def judged(
    teacher: Any,
    spoken: Spoken,
    split: tuple[NDArray[np.intp], NDArray[np.intp]],
    way: Way,
    keep: float,
    seed: int,
) -> Judged:
    """Shrink the network by some inputs, judge it by others.

    Args:
        teacher: the network as it is.
        spoken: inputs; their labels only judge.
        split: rows to learn from and rows to judge.
        way: what is done about the missing channels.
        keep: share of the multiply-accumulates that is left.
        seed: of all draws.
    """
    from green_edge.compress.graph.read import read  # noqa: PLC0415 - imports Keras
    from green_edge.compress.price import TargetPrices  # noqa: PLC0415 - beside it
    from green_edge.compress.scene import Samples, Scene  # noqa: PLC0415 - beside it
    from green_edge.compress.steps import take  # noqa: PLC0415 - imports TensorFlow

    learned, judging = split
    held = len(learned) // _HELD_SHARE
    graph = read(teacher)
    prices = TargetPrices(graph, (find(_TARGET),))
    with tempfile.TemporaryDirectory() as folder:
        scene = Scene(
            Samples((spoken.x[learned[held:]],)),
            Samples((spoken.x[learned[:held]],)),
            prices,
            teacher,
            seed,
            Path(folder),
            _unheard,
        )
        for step in steps_of(way, keep, scene.train.n):
            graph, _ = take(graph, step, scene)
    wanted = np.asarray(teacher(spoken.x[judging], training=False))
    given = np.asarray(graph.model(spoken.x[judging], training=False))
    rounded = _int8(graph.model, spoken.x[learned], spoken.x[judging])
    y = spoken.y[judging]
    return Judged(
        graph.sizes,
        1 / prices.share(graph, graph.sizes, "macs"),
        1 / prices.share(graph, graph.sizes, "instructions"),
        len(judging),
        int(np.sum(given.argmax(axis=1) == y)),
        int(np.sum(rounded.argmax(axis=1) == y)),
        int(np.sum(given.argmax(axis=1) == wanted.argmax(axis=1))),
        _divergence(wanted, given),
    )


def original(teacher: Any, spoken: Spoken) -> dict[str, int]:
    """How many inputs the network as it is gets right, in float and in int8."""
    rounded = _int8(teacher, spoken.x, spoken.x)
    given = np.asarray(teacher(spoken.x, training=False))
    return {
        "right": int(np.sum(given.argmax(axis=1) == spoken.y)),
        "right_int8": int(np.sum(rounded.argmax(axis=1) == spoken.y)),
    }


def _divergence(wanted: NDArray[Any], given: NDArray[Any]) -> float:
    logs = [np.log(np.maximum(each, _LEAST_SHARE)) for each in (wanted, given)]
    return float(np.sum(wanted * (logs[0] - logs[1])))


def _int8(model: Any, calibration: NDArray[Any], x: NDArray[Any]) -> NDArray[Any]:
    """Outputs of the full int8 model."""
    import tensorflow as tf  # noqa: PLC0415 - seconds of import, in the process that trains

    from green_edge.convert.signature import names  # noqa: PLC0415 - beside it
    from green_edge.data.dataset import Dataset  # noqa: PLC0415 - beside it
    from green_edge.evaluate.predict import predict  # noqa: PLC0415 - beside it

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([x[None]] for x in calibration)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    made = bytes(converter.convert())
    (name,) = names(made).inputs
    (outputs,) = predict(made, Dataset({name: x}))
    return np.asarray(outputs)


def total(parts: Sequence[Judged]) -> Judged:
    """Several splits as one; counts add up, ratios are the middle one's."""
    middle = sorted(parts, key=lambda part: part.macs_ratio)[len(parts) // 2]
    return Judged(
        middle.channels,
        min(part.macs_ratio for part in parts),
        min(part.instructions_ratio for part in parts),
        sum(part.inputs for part in parts),
        sum(part.right for part in parts),
        sum(part.right_int8 for part in parts),
        sum(part.agreed for part in parts),
        sum(part.divergence for part in parts),
    )


def _unheard(doing: str, share: float | None = None) -> None:
    del doing, share
