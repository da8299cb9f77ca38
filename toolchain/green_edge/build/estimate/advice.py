"""What would help a model most on a target: each proposal is put to the cost model.

A proposal is a model with other shapes or types, and its gain is the difference between two
predictions of the same cost model. Whether it keeps the quality is not known here.
"""

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod

from green_edge.build.estimate.report import Advice, Coral, RuntimeEstimate
from green_edge.build.estimate.what_if import (
    ChannelGroup,
    channel_groups,
    factored,
    folded,
    with_channels,
    with_dtype,
)
from green_edge.build.estimate.words import latency, share, times
from green_edge.build.words import short_name
from green_edge.targets.cost.model import CostModel, OpCost
from green_edge.targets.cost.shape import OpShape, shapes_of
from green_edge.targets.physics import Board, Dtype, Range
from green_edge.targets.prediction import ranges_of
from green_edge.tflite.model import Op, Tensor, TfliteModel

# Less is within the error of the cost model.
_LEAST_RATIO = 0.03
# Of one layer's channels; to remove more is another model.
_MOST_REMOVED_RATIO = 0.5
# No kernel has a wider tile.
_STEP_CHANNELS = 16
_MOST_REMOVED = 2 * _STEP_CHANNELS
_SAME_RATIO = 0.002
_MUCH_RATIO = 0.1
# A factored layer of this share of its ranks keeps most of what a dense head knows.
_RANK_SHARE = 4
_RANK_STEP = 8
_DENSE_BYTES_RATIO = 0.25
_MOST = 5
_STEPS = 2
_NEARLY = 0.95
# Of a ratio: whole percents.
_PERCENT_DIGITS = 2
_NAME_CHARS = 24
_WHOLE = "the whole model"
_OTHERS: tuple[tuple[Dtype, Dtype], ...] = (("float32", "int8"), ("int8", "float32"))
_WIDTHS = {"int8": 1, "float32": 4}
_PRODUCTS = frozenset({
    "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "CONV_3D", "BATCH_MATMUL",
    "UNIDIRECTIONAL_SEQUENCE_LSTM", "UNIDIRECTIONAL_SEQUENCE_RNN", "LSTM", "RNN",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Step:
    """From `now` channels to `fewer`."""

    now: int
    fewer: int
    saves_ratio: float
    remark: str


def advise(model: TfliteModel, cost: CostModel, board: Board) -> tuple[Advice, ...]:
    """Proposals that change the model, the one that saves most first.

    Args:
        model: as it is.
        cost: of the runtime and core that it would run on.
        board: that has the core.
    """
    model = folded(model)
    before = cost.predict(shapes_of(model))
    found = [
        *_other_type(model, cost, board),
        *_channels(model, cost, before.instructions),
        *_without_products(model, before.per_op, before.instructions),
        *_dense(model, cost, before.instructions),
    ]
    found.sort(key=lambda each: each.saves_ratio, reverse=True)
    return tuple(found[:_MOST])


def other_runtimes(entries: Sequence[RuntimeEstimate]) -> tuple[Advice, ...]:
    """Runtimes that take the same file with fewer instructions than the target's own."""
    own, *others = entries
    found = []
    for each in others:
        saved = 1 - each.instructions / own.instructions
        if saved >= _LEAST_RATIO:
            fewer = times(own.instructions / each.instructions)
            what = f"{each.runtime} {each.version} takes {fewer} fewer instructions"
            found.append(Advice(f"{what} than {own.runtime} {own.version}", _WHOLE, saved))
    return tuple(found)


def with_edgetpu(coral: Coral) -> tuple[Advice, ...]:
    """What keeps a model on an Edge TPU from being faster, at the middle of the ranges."""
    parts = {
        f"{coral.cpu_ops} operations stay on the processor and take {{}} of the time: green-edge "
        "check tells why": coral.host_us,
        "parameters that do not stay on the chip are sent at every inference and take {} of the "
        "time: fewer weights": coral.streaming_us,
        "inputs, outputs and code take {} of the time on their way: a smaller input, or a faster "
        "port": coral.transfer_us,
    }
    whole = _middle(coral.latency_us) or 1.0
    found = [(what, _middle(span) / whole) for what, span in parts.items()]
    found.sort(key=lambda each: each[1], reverse=True)
    much = [each for each in found if each[1] >= _MUCH_RATIO]
    return tuple(Advice(what.format(share(part)), _WHOLE, part) for what, part in much)


def _middle(span: Range) -> float:
    return (span.low + span.high) / 2


def _geometric_middle(span: Range) -> float:
    """As many times above the low end as below the high one: ends here are products of ratios."""
    return math.sqrt(max(span.low, 1) * max(span.high, 1))


def _other_type(model: TfliteModel, cost: CostModel, board: Board) -> Iterator[Advice]:
    """Int8 where float32 runs, and the other way round, where that is faster.

    A core ends more instructions of one type in a cycle than of the other, so time decides.
    """
    types = {tensor.dtype for op in model.ops for tensor in _activations(op, model)}
    for now, other in _OTHERS:
        if now not in types or other in types:
            continue
        before, after = shapes_of(model), shapes_of(with_dtype(model, other))
        slow, fast = _latency(before, now, cost, board), _latency(after, other, cost, board)
        saved = 1 - _geometric_middle(fast) / _geometric_middle(slow)
        if saved < _LEAST_RATIO:
            continue
        bytes_ratio = _bytes_ratio(model, other)
        overlap = "; the ranges overlap" if fast.high >= slow.low else ""
        yield Advice(
            what=f"{other} in place of {now} takes {latency(fast)} in place of {latency(slow)} "
            f"(estimate, predicted{overlap}) and {bytes_ratio:.2g} times the bytes of weights",
            where=_WHOLE,
            saves_ratio=saved,
            saves_bytes_ratio=1 - bytes_ratio,
        )


def _latency(shapes: Sequence[OpShape], dtype: Dtype, cost: CostModel, board: Board) -> Range:
    found = cost.predict(shapes)
    return ranges_of(found.instructions, shapes, dtype=dtype, board=board).latency_us


def _bytes_ratio(model: TfliteModel, dtype: Dtype) -> float:
    """Bytes of the weights in a type, over what they take in the file."""
    held = [model.tensors[op.inputs[1]] for op in model.ops if op.op in _PRODUCTS]
    weights = [tensor for tensor in held if tensor.constant]
    now = sum(tensor.constant_bytes for tensor in weights)
    return sum(prod(tensor.shape) for tensor in weights) * _WIDTHS[dtype] / max(1, now)


def _channels(model: TfliteModel, cost: CostModel, before: float) -> Iterator[Advice]:
    """Groups of channels that pay most for being narrower; alike ones in one piece of advice."""
    alike: dict[_Step, list[ChannelGroup]] = {}
    for group in channel_groups(model):
        step = _step_down(model, group, cost, before)
        if step is not None:
            alike.setdefault(step, []).append(group)
    for step in sorted(alike, key=lambda step: step.saves_ratio, reverse=True)[:_STEPS]:
        groups = alike[step]
        each = " each" if len(groups) > 1 else ""
        tied = " together" if any(len(group.makers) > 1 for group in groups) else ""
        yield Advice(
            what=f"{step.fewer} channels in place of {step.now}{tied} save "
            f"{share(step.saves_ratio)} of the instructions{each}{step.remark}",
            where=_where([model.ops[i] for group in groups for i in group.makers]),
            saves_ratio=step.saves_ratio,
        )


def _step_down(
    model: TfliteModel, group: ChannelGroup, cost: CostModel, before: float
) -> _Step | None:
    """The nearest narrower group that saves as much a channel as any; None where none pays."""
    # Of the operations around it alone: the cost of the others does not change.
    around = replace(
        model, ops=tuple(op for op in model.ops if group.tensors & {*op.inputs, *op.outputs})
    )

    @functools.cache
    def saved_ratio(channels: int) -> float:
        narrower = with_channels(around, group, channels)
        return (as_it_is - cost.predict(shapes_of(narrower)).instructions) / before

    as_it_is = cost.predict(shapes_of(around)).instructions
    now = group.channels
    fewest = max(1, math.ceil(now * (1 - _MOST_REMOVED_RATIO)), now - _MOST_REMOVED)
    worth = {n: saved_ratio(n) / (now - n) for n in range(fewest, now)}
    best = max(worth.values(), default=0.0)
    good = [n for n in worth if worth[n] >= _NEARLY * best and saved_ratio(n) >= _LEAST_RATIO]
    if not good:
        return None
    # The rest of the tile that the last channels began.
    full = now
    while full < now + _STEP_CHANNELS and saved_ratio(full + 1) > -_SAME_RATIO:
        full += 1
    remark = f"; {now} cost what {full} do" if full > now else ""
    return _Step(now, max(good), round(saved_ratio(max(good)), _PERCENT_DIGITS), remark)


def _without_products(
    model: TfliteModel, per_op: Sequence[OpCost], before: float
) -> Iterator[Advice]:
    """Types of operations that take much though they multiply nothing with weights."""
    by_type: dict[str, list[OpCost]] = {}
    for each in per_op:
        if each.op not in _PRODUCTS:
            by_type.setdefault(each.op, []).append(each)
    for op, costs in by_type.items():
        part = sum(each.instructions for each in costs) / before
        if part >= _MUCH_RATIO:
            yield Advice(
                what=f"{op} takes {share(part)} of the instructions and holds no weights: do "
                "without, or put it where the data is smaller",
                where=_where([model.ops[each.index] for each in costs]),
                saves_ratio=part,
            )


def _dense(model: TfliteModel, cost: CostModel, before: float) -> Iterator[Advice]:
    """Fully connected layers that hold much of the file, as two thin ones."""
    total_bytes = sum(op.weight_bytes for op in model.ops)
    for op, shape in zip(model.ops, shapes_of(model), strict=True):
        if op.op != "FULLY_CONNECTED" or len(shape.weights) != 2:
            continue
        out, taken = shape.weights
        rank = min(out, taken) // _RANK_SHARE // _RANK_STEP * _RANK_STEP
        if rank == 0 or op.weight_bytes < _DENSE_BYTES_RATIO * total_bytes:
            continue
        now = cost.predict([shape]).instructions
        saved = (now - cost.predict(factored(shape, rank)).instructions) / before
        saved_bytes = (1 - rank * (out + taken) / (out * taken)) * op.weight_bytes / total_bytes
        yield Advice(
            what=f"this dense layer holds {share(op.weight_bytes / total_bytes)} of the weights; "
            f"as two of rank {rank} the file loses {share(saved_bytes)} of them, and "
            f"{_change(saved)}",
            where=_where([op]),
            saves_ratio=saved,
            saves_bytes_ratio=saved_bytes,
        )


def _change(saved: float) -> str:
    if abs(saved) < _SAME_RATIO:
        return "the instructions stay the same"
    return f"{share(abs(saved))} of the instructions are {'saved' if saved > 0 else 'added'}"


def _activations(op: Op, model: TfliteModel) -> Iterator[Tensor]:
    """What an operation with products computes on and makes."""
    if op.op in _PRODUCTS:
        yield from (model.tensors[i] for i in (op.inputs[0], *op.outputs))


def _where(ops: Sequence[Op]) -> str:
    """Layers by number and name; of many the first."""
    first = ops[0]
    named = f"#{first.index} {first.op} {short_name(first.name, _NAME_CHARS)}".rstrip()
    return named if len(ops) == 1 else f"{named} and {len(ops) - 1} more"
