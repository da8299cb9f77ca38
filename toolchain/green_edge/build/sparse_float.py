"""The float model with its zeros stored away, beside the int8 ones: some kernels skip them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from green_edge.build.measure import Court, Judged
from green_edge.targets.registry import Target
from green_edge.tflite.sparse import Sparse, with_sparse_weights

_FORM = "sparse-float"


@dataclass(frozen=True, slots=True, eq=False)
class SparseCandidate:
    """The .tflite, judged as any candidate; it is never chosen, as what ships is int8."""

    name: str
    content: bytes
    judged: Judged


@dataclass(frozen=True, slots=True, eq=False)
class SparseFloat:
    """What zeros are good for on the targets.

    Attributes:
        candidate: None where no target runs faster by it.
        lines: what is expected on each target and why, a sentence each.
    """

    candidate: SparseCandidate | None
    lines: tuple[str, ...]


def sparse_float(dense: bytes, targets: Sequence[Target], court: Court) -> SparseFloat:
    """Store the zeros of a float model away, where a target's float kernels then skip them.

    Args:
        dense: the main model's float .tflite.
        targets: of the build.
        court: judges the same form of every model.

    Raises:
        ModelError: the runtime does not run it.
    """
    stored = with_sparse_weights(dense)
    lines = tuple(line for target in targets for line in _expected(target, stored))
    if not stored.kernels or not any(target.skips_zeros for target in targets):
        return SparseFloat(None, lines)
    judged = court.floats(lambda content: with_sparse_weights(content).content)
    return SparseFloat(SparseCandidate(court.named(_FORM), stored.content, judged), lines)


def note(candidate: SparseCandidate, targets: Sequence[Target]) -> str:
    """What to know of the candidate before it is used."""
    first = next(target.ref.text for target in targets if target.skips_zeros)
    return (
        f"the float file with its zeros stored away, {candidate.name}, was not put to the choice: "
        "the cost model knows no kernels that skip zeros, and int8 may take less all the same; "
        f"count both files: green-edge estimate FILE --target {first}"
    )


def _expected(target: Target, stored: Sparse) -> Iterator[str]:
    nothing = f"no speed gain expected on {target.ref.text}"
    reasons = "; ".join(stored.reasons)
    if not target.skips_zeros:
        runtime = f"{target.runtime} {target.runtime_version}" if target.runtime else "its runtime"
        yield f"{nothing}: float kernels of {runtime} are not known to skip zeros there"
    elif not stored.kernels:
        yield f"{nothing}: {reasons}"
    else:
        kernels = "1 kernel" if stored.kernels == 1 else f"{stored.kernels} kernels"
        yield f"on {target.ref.text} float skips the zeros of {kernels}" + (
            f"; not of others: {reasons}" if reasons else ""
        )
