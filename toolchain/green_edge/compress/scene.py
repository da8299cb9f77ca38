"""What a pass may look at beside the graph: samples, the target's price, the original model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from green_edge.compress.graph.values import Graph
from green_edge.core.steps import Measure

Array = NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Samples in memory.

    Attributes:
        x: of each input, in the order of the model's inputs, sample first.
        y: class index (integers) or target array (float) of each sample; None without labels.
    """

    x: tuple[Array, ...]
    y: Array | None = None

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.x[0])

    def take(self, rows: slice | NDArray[Any]) -> "Samples":
        """Some of the samples."""
        return Samples(
            tuple(each[rows] for each in self.x), None if self.y is None else self.y[rows]
        )


class Prices(Protocol):
    """What a graph costs on the target, as a share of what the original model costs there."""

    def share(self, graph: Graph, kept: Sequence[int], measure: Measure) -> float:
        """Share of the original's int8 cost that is left with so many units of each group."""
        ...

    def multiple(self) -> int:
        """Multiple to which the target's kernels like channels rounded; 1 where it is unknown."""
        ...


class Tell(Protocol):
    """Told of progress: what is being done and, where known, the share done."""

    def __call__(self, doing: str, share: float | None = None) -> None:
        """Take note."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """The surroundings of a pass.

    Attributes:
        train: samples to learn from; those of the calibration set, without labels, where no
            training set is given.
        held: some of the training set that are not learned from; they choose, such as the epoch.
        prices: of the target.
        teacher: the model that came in, as `keras.Model` with the same inputs.
        seed: of every draw.
        folder: where a long step keeps its checkpoints; belongs to this step alone and survives an
            interruption.
        tell: progress.
    """

    train: Samples
    held: Samples
    prices: Prices
    teacher: Any
    seed: int
    folder: Path
    tell: Tell
