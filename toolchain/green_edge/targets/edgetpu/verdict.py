"""The verdict on one operation by itself, and what a rule sees of it."""

from dataclasses import dataclass
from typing import Literal

from green_edge.tflite.model import Op, Options, Tensor, TfliteModel

Confidence = Literal["proven", "documented", "bracket", "guess"]

# The compiler's own words.
MAPPED = "Mapped to Edge TPU"
SECOND_SUBGRAPH = "More than one subgraph is not supported"
LIMITATION = "Operation is otherwise supported, but not mapped due to some unspecified limitation"
DATA_TYPE = "Operation is working on an unsupported data type"
NOT_SUPPORTED = "Operation not supported"
VERSION = "Operation version not supported"
RANK = "Tensor has unsupported rank (up to 3 innermost dimensions mapped)"
# Ours: the compiler always decides.
NO_DATA = "Not known"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where an operation could run if it stood alone."""

    placement: Literal["tpu", "cpu", "unknown"]
    status: str
    reason: str
    confidence: Confidence


@dataclass(frozen=True, slots=True)
class Site:
    """An operation with its tensors.

    Attributes:
        operands: inputs in order; None for an optional one that is left out.
        activations: inputs that are computed or fed, without an operation's own state.
        results: outputs.
    """

    op: Op
    operands: tuple[Tensor | None, ...]
    activations: tuple[Tensor, ...]
    results: tuple[Tensor, ...]

    @property
    def options(self) -> Options:
        """Settings; all absent where the type has none."""
        return self.op.options or Options()

    @property
    def constants(self) -> tuple[Tensor, ...]:
        """Operands whose content is in the file."""
        return tuple(t for t in self.operands if t is not None and t.constant)

    def constant(self, index: int) -> tuple[int, ...] | None:
        """Whole numbers of a small constant operand; None when it is no such."""
        tensor = self.operands[index] if index < len(self.operands) else None
        return None if tensor is None else tensor.values


def site(model: TfliteModel, op: Op) -> Site:
    """An operation of a model with its tensors."""
    operands = tuple(model.tensors[i] if i >= 0 else None for i in op.inputs)
    return Site(
        op=op,
        operands=operands,
        activations=tuple(
            t for t in operands if t is not None and not t.constant and not t.variable
        ),
        results=tuple(model.tensors[i] for i in op.outputs),
    )


def tpu(confidence: Confidence, reason: str = "") -> Verdict:
    """It maps."""
    return Verdict("tpu", MAPPED, reason, confidence)


def cpu(status: str, reason: str, confidence: Confidence) -> Verdict:
    """It stays on the CPU."""
    return Verdict("cpu", status, reason, confidence)


def unknown(reason: str) -> Verdict:
    """Nobody has been seen to compile such."""
    return Verdict("unknown", NO_DATA, reason, "guess")
