"""What a model is worth: which images it gets right, its size and work, its instructions."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.fashion.data import Labelled
from green_edge.data.dataset import Dataset
from green_edge.emulate import Result, Setting, cache_folder, count
from green_edge.evaluate.intervals import tango, wilson
from green_edge.evaluate.predict import predict
from green_edge.tflite.read import read

Right = NDArray[np.bool_]
Counter = Callable[[Sequence[bytes], Setting], tuple[Result, ...]]

SETTINGS = tuple(
    Setting(runtime, version, core, "aarch64")
    for core in ("cortex-a72", "cortex-a76")
    for runtime, version in (("ai-edge-litert", "2.3.0"), ("tflite-runtime", "2.14.0"))
)

_PP = 100.0
_DIGITS = 5


@dataclass(frozen=True, slots=True)
class Drop:
    """Accuracy lost to a reference on the same images, in percentage points; 95 % interval."""

    drop_pp: float
    low_pp: float
    high_pp: float

    @property
    def words(self) -> str:
        """The interval."""
        return f"{self.low_pp:+.2f} to {self.high_pp:+.2f}"


def right(model: bytes, judges: Labelled) -> Right:
    """Which images a .tflite gets right."""
    (outputs,) = predict(model, Dataset({"image": judges.x}))
    return np.asarray(np.argmax(outputs, axis=1) == judges.y)


def accuracy(found: Right) -> dict[str, float]:
    """Share of images that are right, with its interval."""
    told = wilson(int(found.sum()), len(found))
    return {
        "accuracy": told.value,
        "low": round(told.low, _DIGITS),
        "high": round(told.high, _DIGITS),
    }


def drop(reference: Right, found: Right) -> dict[str, float]:
    """`Drop` of a model to a reference, as plain values."""
    lost, won = int((reference & ~found).sum()), int((found & ~reference).sum())
    told = tango(lost, won, len(found))
    ends = (round(_PP * end, _DIGITS) for end in (told.value, told.low, told.high))
    return asdict(Drop(*ends))


def facts(model: bytes) -> dict[str, int]:
    """Size and work of a .tflite."""
    found = read(model)
    return {
        "size_bytes": found.size_bytes,
        "zip_bytes": found.zip_bytes,
        "params": found.params,
        "macs": found.macs,
    }


def counted(models: Sequence[bytes], setting: Setting) -> tuple[Result, ...]:
    """Instructions of each model, by emulation."""
    return count(models, setting, cache=cache_folder(), progress=say)


def say(doing: str, share: float | None = None) -> None:
    """Tell what is being done."""
    del share
    print(doing, file=sys.stderr, flush=True)
