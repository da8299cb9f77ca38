"""Whose steps a profile's steps are: the runtime's names matched with a model's operations.

What the runtime ran itself names its operation. What its delegate XNNPACK ran is only named by its
kernel, and not one to one: a 1x1 convolution becomes a `Fully Connected`, a fused activation may
become a `Clamp`, a dense layer may begin with a `Static Reshape`.

So the steps between two operations that the runtime ran itself are taken together, with the
operations that the delegate was given for that time. There the steps of a family, such as all
products of matrices, are matched in order, and only where there are as many operations of the
family as steps. What then has an operation run before one that it depends on is wrong, and is
taken back. Every other step stays without an operation.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from green_edge.tflite.model import Op
from green_edge_wire.bench import ProfileRow


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
_CLAMP = "Clamp"
# Their kernels cut off by themselves; a fused activation of all others may be a step of its own.
_CUT_THEMSELVES = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"})
# Position of a step, and what was matched there.
_Matches = dict[int, Op]


def operations_of(rows: Sequence[ProfileRow], ops: Sequence[Op]) -> list[int | None]:
    """Index of the operation of each step, where it can be told.

    Args:
        rows: as the profiler gave them.
        ops: all of the model, in its order.
    """
    certain = {
        position: ops[row.node]
        for position, row in enumerate(rows)
        if row.node is not None and row.node < len(ops)
    }
    groups = [
        group
        for steps, members in _stretches(rows, ops)
        for family in _FAMILIES
        if (group := _matched(family, rows, steps, members))
    ]
    doubtful = groups
    while doubtful:
        wrong = _out_of_order([certain, *groups], ops)
        doubtful = [group for group in groups if wrong & {op.index for op in group.values()}]
        groups = [group for group in groups if group not in doubtful]
    whole = certain | {position: op for group in groups for position, op in group.items()}
    return [whole[position].index if position in whole else None for position in range(len(rows))]


# --- what ran together ---------------------------------------------------------------------------


def _stretches(
    rows: Sequence[ProfileRow], ops: Sequence[Op]
) -> Iterator[tuple[list[int], list[Op]]]:
    """Steps between two that the runtime ran itself, with the delegate's operations of that time.

    None where the runtime ran its own in another order than is known of it.
    """
    own = {row.node for row in rows if row.node is not None}
    steps: list[list[int]] = [[]]
    members: list[list[Op]] = [[]]
    nodes, expected = [], []
    for position, row in enumerate(rows):
        if row.node is None:
            steps[-1].append(position)
        else:
            nodes.append(row.node)
            steps.append([])
    for op in _running_order(ops, own):
        if op.index not in own:
            members[-1].append(op)
        else:
            expected.append(op.index)
            members.append([])
    if nodes == expected:
        yield from zip(steps, members, strict=True)


def _running_order(ops: Sequence[Op], own: set[int]) -> list[Op]:
    """The order in which the runtime runs a model of which a delegate takes a part.

    As tensorflow/lite/graph_info.cc has it: all that is ready of the one, then all of the other.
    """
    waiting, order = list(ops), list[Op]()
    made = {tensor for op in ops for tensor in op.outputs}
    turn: bool | None = None
    while waiting:
        left = []
        before = len(order)
        for op in waiting:
            ready = made.isdisjoint(op.inputs)
            turn = (op.index in own) if ready and turn is None else turn
            if ready and (op.index in own) == turn:
                order.append(op)
                made.difference_update(op.outputs)
            else:
                left.append(op)
        waiting = left
        if len(order) == before:
            if turn is None:
                # A loop, which no converter writes.
                return order
            turn = None
    return order


# --- which of them -------------------------------------------------------------------------------


def _matched(
    family: _Family, rows: Sequence[ProfileRow], steps: Sequence[int], members: Sequence[Op]
) -> _Matches:
    """Steps of a family with their operations; empty where that cannot be told."""
    if _CLAMP in family.kernels and any(_may_clamp(op) for op in members):
        return {}
    own = [position for position in steps if _is_of(rows[position], family)]
    wanted = [op for op in members if op.op in family.ops]
    fits = all(_fits(rows[p].kernel, op.op) for p, op in zip(own, wanted, strict=False))
    return dict(zip(own, wanted, strict=True)) if len(own) == len(wanted) and fits else {}


def _is_of(row: ProfileRow, family: _Family) -> bool:
    return row.kernel.partition(" (")[0] in family.kernels


def _fits(kernel: str, op: str) -> bool:
    """Whether a step can be an operation, where a family has several kinds."""
    if kernel.startswith("Fully Connected"):
        return op != "DEPTHWISE_CONV_2D"
    return op == "DEPTHWISE_CONV_2D" if kernel.endswith("DWConv") else True


def _may_clamp(op: Op) -> bool:
    fused = None if op.options is None else op.options.fused_activation
    return fused not in (None, "NONE") and op.op not in _CUT_THEMSELVES


def _out_of_order(groups: Sequence[_Matches], ops: Sequence[Op]) -> set[int]:
    """Operations of which one ran before another that it depends on; by index."""
    position = {op.index: at for group in groups for at, op in group.items()}
    makers = {tensor: op.index for op in ops for tensor in op.outputs}
    # The last step that an operation has to wait for.
    last: dict[int, int] = {}
    wrong: set[int] = set()
    for op in ops:
        before = [makers[tensor] for tensor in op.inputs if tensor in makers]
        waits = [last[i] for i in before if i in last] + [i for i in before if i in position]
        if not waits:
            continue
        last[op.index] = latest = max(waits, key=lambda index: position[index])
        if op.index in position and position[op.index] < position[latest]:
            wrong |= {op.index, latest}
    return wrong
