"""An earlier comparison whose new model is the baseline now: no model file, but its figures."""

from dataclasses import dataclass
from pathlib import Path

from green_edge.build.compare.values import (
    Both,
    Digests,
    PredictedCost,
    PredictedPair,
    QualityDifference,
)
from green_edge.evaluate.quality import Scores
from green_edge.evaluate.score_record import ScoreRecord, restore
from green_edge_wire import codec
from green_edge_wire.errors import ConfigError, DecodeError

_HEAD_BYTES = 64


@dataclass(frozen=True, slots=True)
class Earlier:
    """What `compare --json` wrote, as far as it speaks of the new model of that time."""

    b: str
    sha256: Digests
    quality: QualityDifference
    size_bytes: Both
    zip_bytes: Both
    macs: Both
    record: ScoreRecord
    predicted: tuple[PredictedPair, ...] = ()

    @property
    def scores(self) -> Scores:
        """Of that model, sample by sample."""
        return restore(self.record, self.quality.metric, self.quality.n)

    def predicted_for(self, target: str) -> PredictedCost | None:
        """What that model was expected to cost on a target; None where it was not asked."""
        return next((pair.b for pair in self.predicted if pair.target == target), None)


def is_document(path: Path) -> bool:
    """Whether a file is JSON by its first character; no model begins with a brace."""
    try:
        with path.open("rb") as stream:
            return stream.read(_HEAD_BYTES).lstrip().startswith(b"{")
    except OSError:
        # A folder, or nothing at all: what reads models tells what is wrong.
        return False


def load_earlier(path: Path) -> Earlier:
    """Read an earlier comparison.

    Raises:
        ConfigError: it is none, or it was judged without labels, so that no other model can be.
    """
    try:
        found = codec.loads(Earlier, path.read_bytes(), strict=False)
        # Refuses a record that does not hold the scores.
        restore(found.record, found.quality.metric, found.quality.n)
    except OSError as error:
        raise ConfigError(f"cannot read it: {error.strerror}", place=str(path)) from None
    except DecodeError as error:
        raise ConfigError(
            error.message,
            place=str(path),
            hint="a baseline is a model, or what this version's compare --json wrote",
        ) from None
    if found.quality.metric.startswith("fidelity"):
        raise ConfigError(
            "judged without labels, by a baseline whose outputs are not in it",
            place=str(path),
            hint="give that baseline as a model, or compare with a labelled set",
        )
    return found
