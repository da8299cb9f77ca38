"""Where each operation of a model will run, predicted as the Edge TPU compiler would place it.

The compiler makes one subgraph for the chip. Walking in the order of execution: an operation that
fails by itself is left to the CPU; one that is fine is left there too when some path leads to it
from the chip through the CPU. What stands on the CPU before anything mapped, such as a QUANTIZE of
the float input, spoils nothing behind it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from green_edge.targets.edgetpu.rules import local
from green_edge.targets.edgetpu.verdict import (
    SECOND_SUBGRAPH,
    Confidence,
    Verdict,
    cpu,
    site,
    unknown,
)
from green_edge.tflite.model import Op, TfliteModel


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one operation runs.

    Attributes:
        status: in the compiler's own words; `Not known` where nobody has seen such compiled.
        reason: what decided, for people; empty where the status says it all.
        confidence: how the rule is known: `proven` by compiled files or logs, `documented`,
            `bracket` by a size beyond one seen mapped or refused, or `guess`.
        custom_code: name of a custom operation.
    """

    index: int
    op: str
    version: int
    placement: Literal["tpu", "cpu", "none", "unknown"]
    status: str
    reason: str
    confidence: Confidence
    custom_code: str | None = None


class _Sure(IntEnum):
    NO = 0
    MAYBE = 1
    YES = 2


@dataclass(frozen=True, slots=True)
class _Past:
    """What lies before a tensor.

    Attributes:
        chip: an operation on the chip.
        left: an operation on the chip with one on the CPU behind it.
    """

    chip: _Sure = _Sure.NO
    left: _Sure = _Sure.NO


def predict(model: TfliteModel, *, multiple_subgraphs: bool = False) -> tuple[Placement, ...]:
    """Place every operation of the main graph, in its order.

    Args:
        model: the model before compilation.
        multiple_subgraphs: as the compiler's experimental `-a` does: every operation that is fine
            by itself maps, however many subgraphs that makes.
    """
    pasts: dict[int, _Past] = {}
    placements = []
    for op in model.ops:
        alone = local(site(model, op))
        past = _joined(pasts[i] for i in op.inputs if i in pasts)
        verdict = alone if multiple_subgraphs else _behind(past, alone)
        placements.append(_placement(op, verdict))
        pasts.update(dict.fromkeys(op.outputs, _after(past, verdict)))
    return tuple(placements)


def _joined(pasts: Iterable[_Past]) -> _Past:
    found = [*pasts, _Past()]
    return _Past(chip=max(p.chip for p in found), left=max(p.left for p in found))


def _behind(past: _Past, alone: Verdict) -> Verdict:
    """Verdict on an operation where it stands in the graph."""
    if alone.placement == "cpu" or past.left is _Sure.NO:
        return alone
    if past.left is _Sure.YES:
        confidence: Confidence = "proven" if alone.placement == "tpu" else "guess"
        return cpu(SECOND_SUBGRAPH, "behind an operation that left the Edge TPU", confidence)
    return alone if alone.placement == "unknown" else unknown("behind an operation not known")


def _after(past: _Past, verdict: Verdict) -> _Past:
    match verdict.placement:
        case "tpu":
            return _Past(_Sure.YES, past.left)
        case "cpu":
            return _Past(past.chip, max(past.left, past.chip))
        case "unknown":
            left = max(past.left, min(past.chip, _Sure.MAYBE))
            return _Past(max(past.chip, _Sure.MAYBE), left)


def _placement(op: Op, verdict: Verdict) -> Placement:
    return Placement(
        index=op.index,
        op=op.op,
        version=op.version,
        placement=verdict.placement,
        status=verdict.status,
        reason=verdict.reason,
        confidence=verdict.confidence,
        custom_code=op.custom_code,
    )
