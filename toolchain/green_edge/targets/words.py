"""Names operations for people."""

from collections.abc import Sequence

from green_edge.tflite.model import Op

_LISTED = 4


def where(ops: Sequence[Op]) -> str:
    """Operations by number: one with its name, many by the first few."""
    if len(ops) == 1:
        (op,) = ops
        # A fused layer carries the names of all that went into it.
        return f"#{op.index} {kind(op)} {op.name.partition(';')[0]}".rstrip()
    numbers = ", ".join(f"#{op.index}" for op in ops[:_LISTED])
    return numbers if len(ops) <= _LISTED else f"{numbers} and {len(ops) - _LISTED} more"


def kind(op: Op) -> str:
    """Type of an operation; of a custom one its own name."""
    return op.op if op.custom_code is None else f"{op.op} {op.custom_code}"
