"""Scores of a model as text, so that a later model can be compared with it sample by sample."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from green_edge.data.dataset import Array, Dataset
from green_edge.evaluate.quality import Scores
from green_edge_wire.errors import DecodeError

# A graded score is rounded to 1/65535, which is 0.0015 percentage points.
_STEPS = 65535
# By how much a mean of rounded scores may be off, with what sums of floats add.
ROUNDING = 1 / _STEPS
_STEP_BYTES = 2


@dataclass(frozen=True, slots=True)
class ScoreRecord:
    """Scores of one model on an evaluation set.

    Attributes:
        set_sha256: digest of the samples and labels, as the model's float version takes them.
        scores: hexadecimal. Of binary scores a bit each, the first in the highest bit of the first
            byte, 1 for a hit; else 16 bits each, the highest first: the score times 65535.
        binary: which of the two.
    """

    set_sha256: str
    scores: str
    binary: bool


def record(scores: Scores, set_sha256: str) -> ScoreRecord:
    """Write scores down."""
    if scores.binary:
        packed = np.packbits(scores.per_sample > 0.5).tobytes()
    else:
        packed = np.rint(scores.per_sample * _STEPS).astype(">u2").tobytes()
    return ScoreRecord(set_sha256, packed.hex(), scores.binary)


def restore(written: ScoreRecord, metric: str, n: int) -> Scores:
    """Read scores back.

    Args:
        written: by `record`.
        metric: what they are.
        n: how many.

    Raises:
        DecodeError: the text does not hold `n` scores.
    """
    try:
        packed = np.frombuffer(bytes.fromhex(written.scores), dtype=np.uint8)
    except ValueError:
        raise DecodeError("record.scores: not hexadecimal") from None
    length = -(-n // 8) if written.binary else n * _STEP_BYTES
    if n < 1 or len(packed) != length:
        raise DecodeError(f"record.scores: not the scores of {n} samples")
    if written.binary and np.unpackbits(packed)[n:].any():
        raise DecodeError(f"record.scores: more than {n} samples")
    return Scores(metric, _unpacked(packed, n, binary=written.binary), binary=written.binary)


def _unpacked(packed: NDArray[np.uint8], n: int, *, binary: bool) -> NDArray[np.float64]:
    if binary:
        return np.unpackbits(packed, count=n).astype(np.float64)
    return packed.view(">u2").astype(np.float64) / _STEPS


def set_digest(dataset: Dataset) -> str:
    """SHA-256 of a set: its arrays with their types and shapes; the inputs' names do not count."""
    digest = hashlib.sha256()
    labels: tuple[Array, ...] = () if dataset.y is None else (dataset.y,)
    for array in (*dataset.inputs.values(), *labels):
        digest.update(f"{array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
