"""Time per operation of a model: the profiler's steps, given back to the model's operations.

What the runtime ran itself names its operation. What its delegate XNNPACK ran is only named by its
kernel, and not one to one: a 1x1 convolution becomes a `Fully Connected`, a fused activation may
become a `Clamp`, a dense layer may begin with a `Static Reshape`. So the steps of a family, such as
all products of matrices, are matched in order, and only where the model has as many operations of
the family as there are steps; every other step stays without an operation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from green_edge.tflite.model import Op
from green_edge_wire.bench import ProfileRow, ProfileRows

_SLOWEST = 5
# The profiler cuts off what is below a microsecond.
_RESOLUTION_US = 1.0


@dataclass(frozen=True, slots=True)
class ProfileLayer:
    """A step of an inference.

    Attributes:
        us: mean of the middle half of its runs; up to `resolution_us` short.
        share: of all steps together.
        ran_by: `xnnpack`, or `runtime` where that has no kernel for it.
        index: of the operation; absent where it cannot be told.
        op: likewise.
        name: likewise, of the operation's first output.
    """

    kernel: str
    us: float
    share: float
    ran_by: str
    index: int | None = None
    op: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """Time per operation (`bench --profile`).

    Attributes:
        total_us: of an inference under the profiler, with what is between the steps.
        steps_us: of all steps together.
        layers: in the order in which they ran.
        slowest: positions in `layers`, slowest first.
    """

    runs: int
    threads: int
    total_us: float
    steps_us: float
    resolution_us: float
    layers: tuple[ProfileLayer, ...]
    slowest: tuple[int, ...]
    notes: tuple[str, ...]


class _Family(NamedTuple):
    """Operations that a delegate runs by kernels of some names."""

    kernels: tuple[str, ...]
    ops: frozenset[str]


def _one(kernel: str, *ops: str) -> _Family:
    return _Family((kernel,), frozenset(ops))


# XNNPACK's operator names (`xnn_operator_type_to_string`) as ai-edge-litert 2.3.0 gives them.
# Left out are kernels that one operation may need none or several of: Static Reshape, Copy, Slice.
_FAMILIES = (
    _Family(
        ("Convolution", "Fully Connected"),
        frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}),
    ),
    _one("Deconvolution", "TRANSPOSE_CONV"),
    _one("Batch Matrix Multiply", "BATCH_MATMUL"),
    _one("Average Pooling", "AVERAGE_POOL_2D"),
    _one("Max Pooling", "MAX_POOL_2D"),
    _one("Mean", "MEAN"),
    _one("Sum", "SUM"),
    _one("Add", "ADD"),
    _one("Subtract", "SUB"),
    _one("Multiply", "MUL"),
    _one("Divide", "DIV"),
    _one("Maximum", "MAXIMUM"),
    _one("Minimum", "MINIMUM"),
    _one("Squared Difference", "SQUARED_DIFFERENCE"),
    _one("Softmax", "SOFTMAX"),
    _one("Sigmoid", "LOGISTIC"),
    _one("TanH", "TANH"),
    _one("HardSwish", "HARD_SWISH"),
    _one("LeakyReLU", "LEAKY_RELU"),
    _one("PReLU", "PRELU"),
    _one("ELU", "ELU"),
    _one("Clamp", "RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1"),
    _one("Constant Pad", "PAD", "PADV2"),
    _one("Resize Bilinear", "RESIZE_BILINEAR"),
    _one("Transpose", "TRANSPOSE"),
    _one("Convert", "QUANTIZE", "DEQUANTIZE"),
)


def profile_of(rows: ProfileRows, ops: Sequence[Op]) -> Profile:
    """Give the steps of a profile their operations and shares.

    Args:
        rows: as the profiler gave them.
        ops: all of the model, in its order.
    """
    found = _operations(rows.rows, ops)
    steps_us = sum(row.us for row in rows.rows)
    layers = tuple(
        _layer(row, None if index is None else ops[index], steps_us)
        for row, index in zip(rows.rows, found, strict=True)
    )
    slowest = sorted(range(len(layers)), key=lambda position: -layers[position].us)[:_SLOWEST]
    return Profile(
        runs=rows.runs,
        threads=1,
        total_us=rows.total_us,
        steps_us=steps_us,
        resolution_us=_RESOLUTION_US,
        layers=layers,
        slowest=tuple(slowest),
        notes=_notes(layers, steps_us, rows.total_us),
    )


def _operations(rows: Sequence[ProfileRow], ops: Sequence[Op]) -> list[int | None]:
    """Index of the operation of each step, where it can be told."""
    found = [row.node if row.node is None or row.node < len(ops) else None for row in rows]
    own = {row.node for row in rows if row.node is not None}
    for family in _FAMILIES:
        steps = [i for i, row in enumerate(rows) if row.node is None and _is_of(row, family)]
        wanted = [op for op in ops if op.op in family.ops and op.index not in own]
        pairs = list(zip(steps, wanted, strict=False))
        fits = all(_fits(rows[position].kernel, op.op) for position, op in pairs)
        if len(steps) == len(wanted) and fits:
            for position, op in pairs:
                found[position] = op.index
    return found


def _is_of(row: ProfileRow, family: _Family) -> bool:
    return row.kernel.partition(" (")[0] in family.kernels


def _fits(kernel: str, op: str) -> bool:
    """Whether a step can be an operation, where a family has several kinds."""
    if kernel.startswith("Fully Connected"):
        return op != "DEPTHWISE_CONV_2D"
    return op == "DEPTHWISE_CONV_2D" if kernel.endswith("DWConv") else True


def _layer(row: ProfileRow, op: Op | None, steps_us: float) -> ProfileLayer:
    return ProfileLayer(
        kernel=row.kernel,
        us=row.us,
        share=row.us / steps_us if steps_us else 0.0,
        ran_by="xnnpack" if row.node is None else "runtime",
        index=None if op is None else op.index,
        op=None if op is None else op.op,
        name=None if op is None else op.name,
    )


def _notes(layers: Sequence[ProfileLayer], steps_us: float, total_us: float) -> tuple[str, ...]:
    notes = [
        f"each time is up to {_RESOLUTION_US:g} us short: the profiler cuts off fractions",
        "XNNPACK's steps are matched with the model's operations by their order",
    ]
    if steps_us < total_us / 2:
        notes.append("most steps are too short to be timed here: the shares say little")
    homeless = [layer for layer in layers if layer.index is None]
    if homeless:
        share = sum(layer.share for layer in homeless)
        notes.append(
            f"{len(homeless)} steps ({share:.1%} of the time) belong to no operation alone"
        )
    return tuple(notes)
