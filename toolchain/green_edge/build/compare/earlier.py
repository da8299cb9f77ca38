"""An earlier comparison whose new model is the baseline now: no model file, but its figures."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from green_edge.build.compare.values import (
    SCHEMA,
    Both,
    Digests,
    PredictedCost,
    PredictedPair,
    QualityDifference,
)
from green_edge.evaluate.quality import Scores
from green_edge.evaluate.score_record import ROUNDING, ScoreRecord, restore
from green_edge.targets import registry
from green_edge.targets.physics import Range
from green_edge.targets.registry import Target
from green_edge_wire import codec
from green_edge_wire.errors import ConfigError, DecodeError

_HEAD_BYTES = 64
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class _Head:
    """What tells whether the rest can be read."""

    schema: int = 0


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

    def predicted_for(self, target: Target) -> PredictedCost | None:
        """What that model was expected to cost on a target; None where it was not asked."""
        return next((pair.b for pair in self.predicted if _is(pair.target, target)), None)


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
        content = path.read_bytes()
        _check_schema(codec.loads(_Head, content, strict=False).schema)
        found = codec.loads(Earlier, content, strict=False)
        _check(found)
    except OSError as error:
        raise ConfigError(f"cannot read it: {error.strerror}", place=str(path)) from None
    except DecodeError as error:
        raise ConfigError(
            error.message,
            place=str(path),
            hint="a baseline is a model, or what compare --json of this version wrote: do it again",
        ) from None
    if found.quality.metric.startswith("fidelity"):
        raise ConfigError(
            "judged without labels, by a baseline whose outputs are not in it",
            place=str(path),
            hint="give that baseline as a model, or compare with a labelled set",
        )
    return found


def _is(name: str, target: Target) -> bool:
    """Whether a target is meant, however it is spelt."""
    try:
        found = registry.find(name)
    except ConfigError:
        # One that this version does not have any more.
        return False
    return replace(found, ref=target.ref) == target


def _check_schema(schema: int) -> None:
    if schema != SCHEMA:
        raise DecodeError(f"schema: {schema or 'none'}, this version reads {SCHEMA}")


def _check(found: Earlier) -> None:
    """Refuse figures that no comparison writes.

    Raises:
        DecodeError: names the first one.
    """
    # Refuses a record that does not hold the scores.
    mean = float(restore(found.record, found.quality.metric, found.quality.n).per_sample.mean())
    plausible = {
        "sha256.b": _SHA256.fullmatch(found.sha256.b) is not None,
        "record.set_sha256": _SHA256.fullmatch(found.record.set_sha256) is not None,
        "quality.b": 0 <= found.quality.b <= 1,
        "size_bytes.b": found.size_bytes.b >= 1,
        "zip_bytes.b": found.zip_bytes.b >= 1,
        "macs.b": found.macs.b >= 0,
        "predicted": all(_is_cost(pair.b) for pair in found.predicted),
    }
    for name, holds in plausible.items():
        if not holds:
            raise DecodeError(f"{name}: no comparison writes that")
    if not abs(mean - found.quality.b) <= ROUNDING:
        raise DecodeError(f"quality.b: {found.quality.b:g}, but record.scores gives {mean:g}")


def _is_cost(cost: PredictedCost) -> bool:
    ranges = (cost.latency_us, cost.energy_uj)
    return cost.instructions >= 1 and cost.error_ratio >= 0 and all(map(_is_range, ranges))


def _is_range(span: Range) -> bool:
    return 0 <= span.low <= span.high
