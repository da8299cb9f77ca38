"""What the user asked a build to do, and what it says while it works."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from green_edge.core.metric import Metric
from green_edge.core.recipe import Recipe
from green_edge.core.report import SearchReport
from green_edge_wire.manifest import Pipeline


class Progress(Protocol):
    """Told of each step: what is being done and, where known, the share done."""

    def __call__(self, doing: str, share: float | None = None) -> None:
        """Take note."""
        ...


def quietly(doing: str, share: float | None = None) -> None:
    """Progress that nobody watches."""
    del doing, share


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """A build as it was asked for.

    Attributes:
        name: of the model, for files, bundles and telemetry.
        targets: as the user wrote them.
        out: folder for the results; made when it is missing.
        calibration: data reference; a seeded sample of `train` when absent.
        train: data reference.
        eval: data reference, or a folder of folds (see `folds`).
        labels: class names in the order of the first output; empty for none.
        model_version: None for one more than the last one of this name, unless nothing changed.
        timeout_s: limit for one conversion, and for a shrinking step without a sign of life.
        custom: modules that register the model's own Keras objects.
        metric: what quality is; None for what the labels suggest.
        replay: the search whose choice is built again, without searching.
    """

    model: Path
    name: str
    targets: tuple[str, ...]
    out: Path
    calibration: str | None = None
    train: str | None = None
    eval: str | None = None
    labels: tuple[str, ...] = ()
    pipeline: Pipeline = field(default_factory=Pipeline)
    recipe: Recipe = field(default_factory=Recipe)
    max_drop_pp: float = 2.0
    model_version: int | None = None
    seed: int = 0
    timeout_s: float = 600.0
    custom: tuple[str, ...] = ()
    metric: Metric | None = None
    replay: SearchReport | None = None
