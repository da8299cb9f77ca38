"""What a comparison of two models found, as values: what `compare --json` prints."""

from dataclasses import dataclass

from green_edge.core.gate import GateResult
from green_edge.core.report import Quality
from green_edge.evaluate.latency import LatencyRatio
from green_edge.evaluate.layers import LayerError
from green_edge.evaluate.matching import Unmatched
from green_edge.evaluate.score_record import ScoreRecord
from green_edge.targets.physics import Range

# Of the document; an earlier one of another number is no baseline.
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Both:
    """A count of both models."""

    a: int
    b: int


@dataclass(frozen=True, slots=True)
class Digests:
    """SHA-256 of both .tflite."""

    a: str
    b: str


@dataclass(frozen=True, slots=True)
class QualityDifference:
    """Quality of both models.

    Attributes:
        metric: as in a build report; without labels the baseline's outputs stand in for them.
        a: mean score of the baseline, 0..1.
        b: of the new model.
        difference: `b` less `a`: below 0 the new model is worse.
        low: its 95 % interval.
        high: likewise.
        n: samples of the new model.
        paired: whether they are the baseline's too, so that the interval is a paired one.
    """

    metric: str
    a: float
    b: float
    difference: float
    low: float
    high: float
    n: int
    paired: bool = True


@dataclass(frozen=True, slots=True)
class PredictedCost:
    """What a model is expected to cost on a target, one inference on one thread.

    Attributes:
        error_ratio: 95 % of the models that the cost model was tried on were off by at most this.
        energy_uj: of the whole board meanwhile.
        basis: digest of what the estimate rests on, the fitted cost model and the board's facts;
            estimates of another basis have another error and are not set against each other.
        partial: loops or branches run inner graphs too, which are in none of these figures.
    """

    instructions: int
    error_ratio: float
    latency_us: Range
    energy_uj: Range
    basis: str
    partial: bool = False


@dataclass(frozen=True, slots=True)
class PredictedPair:
    """Both models on a target; `a` is absent where an earlier comparison did not predict it."""

    target: str
    b: PredictedCost
    a: PredictedCost | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A baseline `a` and a new model `b`.

    Attributes:
        layers: worst first; none where the baseline is an earlier comparison.
        unmatched: operations that are in no layer.
        layer_samples: how many the layers were judged on.
        zip_bytes: size after zlib level 9.
        record: scores of `b`, for a later comparison with it.
        latency_ratio: latency of `b` over that of `a` on this machine, which is no device; absent
            when it was not measured.
        unjudged_outputs: outputs that the labels do not speak of.
        other_outputs: how they agree with the baseline's; absent where there are none, or where the
            baseline is an earlier comparison of another model.
        predicted: for the targets that a gate names.
        notes: what the figures need to be read.
    """

    a: str
    b: str
    sha256: Digests
    quality: QualityDifference
    layers: tuple[LayerError, ...]
    unmatched: tuple[Unmatched, ...]
    layer_samples: int
    size_bytes: Both
    zip_bytes: Both
    macs: Both
    record: ScoreRecord
    latency_ratio: LatencyRatio | None = None
    unjudged_outputs: int = 0
    other_outputs: Quality | None = None
    predicted: tuple[PredictedPair, ...] = ()
    gate: GateResult | None = None
    notes: tuple[str, ...] = ()
    schema: int = SCHEMA
