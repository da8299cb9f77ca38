"""Comparisons with figures of one's own choice."""

from green_edge.build.compare.values import (
    Both,
    Comparison,
    Digests,
    PredictedCost,
    PredictedPair,
    QualityDifference,
)
from green_edge.core.report import Quality
from green_edge.evaluate.score_record import ScoreRecord
from green_edge.targets.physics import Range


def own(value: float = 0.9, low: float = 0.88, high: float = 0.92, n: int = 1000) -> Quality:
    """Quality of a new model by itself."""
    return Quality("accuracy", value, low, high, n)


def cost(instructions: int, *, energy_uj: tuple[int, int] = (100, 300)) -> PredictedCost:
    """An estimate that may be off by a tenth."""
    return PredictedCost(instructions, 0.1, Range(1_000, 3_000), Range(*energy_uj), "d" * 64)


def comparison(
    *,
    drop_pp: tuple[float, float, float] = (0.5, -0.5, 1.5),
    n: int = 1000,
    predicted: tuple[PredictedPair, ...] = (),
    macs: tuple[int, int] = (1000, 800),
    a: str = "float.tflite",
    b: str = "int8.tflite",
) -> Comparison:
    """A comparison of a model of 40 kB with one of 10 kB.

    Args:
        drop_pp: of the accuracy, with its interval.
    """
    value, low, high = (v / 100 for v in drop_pp)
    return Comparison(
        a=a,
        b=b,
        sha256=Digests("a" * 64, "b" * 64),
        quality=QualityDifference("accuracy", 0.9, 0.9 - value, -value, -high, -low, n),
        layers=(),
        unmatched=(),
        layer_samples=0,
        size_bytes=Both(40_000, 10_000),
        zip_bytes=Both(30_000, 9_000),
        macs=Both(*macs),
        record=ScoreRecord("c" * 64, "00", binary=True),
        predicted=predicted,
    )
