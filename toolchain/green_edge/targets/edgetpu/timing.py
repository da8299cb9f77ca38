"""Latency of a model on an Edge TPU as a range, and where the time goes.

What is sent at every inference (inputs, outputs, the chip's code and the parameters that it does
not keep) and what the chip computes are two terms; a third is the driver's and the runtime's
launch, a fourth what stays on the processor. The shortest latency takes the best of each, with
compute and sending at the same time; the longest takes the worst of each, one after the other.
Published latencies bound the rates (`accelerators.toml`); the largest errors on models that were
not fitted bound cycles and code (`cycles.toml`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from green_edge.targets.edgetpu.accelerators import Link, LinkName, facts
from green_edge.targets.edgetpu.compiled import CUSTOM_OP, Compiled
from green_edge.targets.edgetpu.cycles import UNSEEN, code_bytes, cycles, fit
from green_edge.targets.edgetpu.memory import layer_bytes, streamed_bytes
from green_edge.targets.edgetpu.predict import Placement
from green_edge.targets.edgetpu.verdict import site
from green_edge.targets.physics import Bounds, Range
from green_edge.tflite.model import TfliteModel
from green_edge_wire.errors import ModelError

_LINKS = {"usb3": "USB 3", "usb2": "USB 2", "pcie": "PCIe"}
_ELEMENT_BYTES = {"float32": 4, "int32": 4, "float16": 2, "int16": 2, "int64": 8}


@dataclass(frozen=True, slots=True)
class LayerShare:
    """Share of the time of one inference that an operation takes, 0..1, at the middle of ranges.

    They add up to less than 1: launch, inputs, outputs and code belong to no operation.
    """

    index: int
    op: str
    share: float


@dataclass(frozen=True, slots=True)
class Timing:
    """Where the time of one inference goes, after the first, which loads the parameters.

    Attributes:
        link: how the chip is attached.
        cycles: of the chip, as its compiler counts.
        transfer_bytes: inputs, outputs and code.
        streamed_bytes: parameters that the chip does not keep.
        compute_us: on the chip.
        transfer_us: inputs to it, outputs back, and its code.
        streaming_us: parameters that do not stay on it.
        launch_us: driver and runtime, of each subgraph.
        host_us: operations that stay on the processor.
        latency_us: all together; its low end is less than the sum, because the chip may compute
            while it is sent to.
        layers: shares of the operations, in the model's order.
        notes: what is assumed, a sentence each.
    """

    link: LinkName
    cycles: int
    transfer_bytes: Range
    streamed_bytes: Range
    compute_us: Range
    transfer_us: Range
    streaming_us: Range
    launch_us: Range
    host_us: Range
    latency_us: Range
    layers: tuple[LayerShare, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Parts:
    """Middles of the terms."""

    compute_us: float
    streaming_us: float
    flat_us: float


def timing(
    model: TfliteModel,
    placements: Sequence[Placement],
    link_name: LinkName,
    *,
    host_us: Sequence[Range | None],
    compiled: Compiled | None = None,
) -> Timing:
    """Time of one inference of a model.

    Args:
        model: before compilation.
        placements: where each operation runs, from `predict`.
        link_name: how the chip is attached.
        host_us: what each operation takes on the host's processor, in the model's order; None for
            one of which no cost is known. Only those that stay on the processor are looked at.
        compiled: the same model compiled; its code and streamed bytes then count. Where `model` is
            the compiled file itself, its compiler must have stored an estimate of the cycles.

    Raises:
        ModelError: a compiled file alone, of a compiler that stores no cycles.
    """
    link = facts().links[link_name]
    stored = None if compiled is None else compiled.estimated_cycles
    spent = _spent(model, placements, compiled)
    total = stored or sum(spent)
    moved = _transferred(model, placements, compiled)
    streamed = _streamed(model, placements, compiled)
    segments = _segments(placements) if compiled is None else compiled.subgraphs
    compute = _compute(total, 0 if stored else _unseen(model, spent), link, exact=bool(stored))
    transfer, streaming = _sent(moved, link.mb_s), _sent(streamed, link.streaming_mb_s)
    launch = Bounds(link.launch_us.low * segments, link.launch_us.high * segments)
    host = _on_host(placements, host_us)
    low = max(compute.low, transfer.low + streaming.low) + launch.low + host.low
    high = sum(part.high for part in (compute, transfer, streaming, launch, host))
    parts = _Parts(_middle(compute), _middle(streaming), _middle(transfer) + _middle(launch))
    return Timing(
        link=link_name,
        cycles=total,
        transfer_bytes=_range(moved),
        streamed_bytes=_range(streamed),
        compute_us=_range(compute),
        transfer_us=_range(transfer),
        streaming_us=_range(streaming),
        launch_us=_range(launch),
        host_us=_range(host),
        latency_us=_range(Bounds(low, high)),
        layers=_layers(model, placements, spent, host_us, parts),
        notes=_notes(link_name, placements, host_us, compiled),
    )


def _spent(
    model: TfliteModel, placements: Sequence[Placement], compiled: Compiled | None
) -> list[int]:
    """Cycles of each operation; of a compiled file its parts alike."""
    parts = sum(op.custom_code == CUSTOM_OP for op in model.ops)
    if not parts:
        return [op.cycles for op in cycles(model, placements)]
    if compiled is None or compiled.estimated_cycles is None:
        raise ModelError(
            "a compiled file of this release does not tell how long the Edge TPU computes",
            hint="estimate the model as it was before compilation",
        )
    each = compiled.estimated_cycles // parts
    return [each if op.custom_code == CUSTOM_OP else 0 for op in model.ops]


def _unseen(model: TfliteModel, spent: Sequence[int]) -> int:
    """Cycles of operations of which the array's formula was never seen to hold."""
    return sum(count for op, count in zip(model.ops, spent, strict=True) if op.op in UNSEEN)


def _compute(total: int, unseen: int, link: Link, *, exact: bool) -> Bounds:
    array, error = fit().array, 0.0 if exact else fit().error.max_ratio
    # The formula has all tiles at work; at worst one is, after the other.
    most = total + unseen * (array.rows * array.columns - 1)
    # MHz are cycles a microsecond.
    low = total * (1 - error) / link.clock_mhz.high
    return Bounds(low, most * (1 + error) / link.clock_mhz.low)


def _sent(count: Bounds, mb_s: Bounds) -> Bounds:
    # 10^6 bytes a second are bytes a microsecond.
    return Bounds(count.low / mb_s.high, count.high / mb_s.low)


def _transferred(
    model: TfliteModel, placements: Sequence[Placement], compiled: Compiled | None
) -> Bounds:
    """Bytes that cross the link beside parameters."""
    data = _boundary_bytes(model, placements)
    if compiled is not None:
        return Bounds(data + compiled.instruction_bytes, data + compiled.instruction_bytes)
    expected, code = code_bytes(model, placements), fit().code
    return Bounds(data + expected * code.low_ratio, data + expected * code.high_ratio)


def _boundary_bytes(model: TfliteModel, placements: Sequence[Placement]) -> int:
    """Bytes of the activations that go to the chip or come back."""
    made: dict[bool, set[int]] = {True: set(), False: set()}
    taken: dict[bool, set[int]] = {True: set(), False: set()}
    for op, place in zip(model.ops, placements, strict=True):
        made[_mapped(place)].update(op.outputs)
        taken[_mapped(place)].update(i for i in op.inputs if i >= 0)
    sent = {i for i in taken[True] - made[True] if not model.tensors[i].constant}
    results = set(model.output_indices) or made[True] - taken[True]
    fetched = made[True] & (taken[False] | results)
    return sum(_tensor_bytes(model, i) for i in sent | fetched)


def _tensor_bytes(model: TfliteModel, index: int) -> int:
    tensor = model.tensors[index]
    return prod(tensor.shape) * _ELEMENT_BYTES.get(tensor.dtype, 1)


def _streamed(
    model: TfliteModel, placements: Sequence[Placement], compiled: Compiled | None
) -> Bounds:
    if compiled is not None:
        return Bounds(compiled.streamed_bytes, compiled.streamed_bytes)
    return Bounds(*streamed_bytes(model, placements))


def _mapped(place: Placement) -> bool:
    return place.placement == "tpu"


def _on_host(placements: Sequence[Placement], host_us: Sequence[Range | None]) -> Bounds:
    own = [
        cost
        for place, cost in zip(placements, host_us, strict=True)
        if not _mapped(place) and cost is not None
    ]
    return Bounds(sum(cost.low for cost in own), sum(cost.high for cost in own))


def _layers(
    model: TfliteModel,
    placements: Sequence[Placement],
    spent: Sequence[int],
    host_us: Sequence[Range | None],
    parts: _Parts,
) -> tuple[LayerShare, ...]:
    """Split the middle of each term over the operations that cause it.

    Compute goes by cycles, streaming by the bytes of parameters. The rest is nobody's.
    """
    ops = list(zip(model.ops, placements, spent, host_us, strict=True))
    stored = [layer_bytes(site(model, op)) if _mapped(place) else 0 for op, place, _, _ in ops]
    cycle_us = parts.compute_us / max(sum(spent), 1)
    byte_us = parts.streaming_us / max(sum(stored), 1)
    times = [
        _middle(Bounds(host.low, host.high)) if not _mapped(place) and host is not None
        else count * cycle_us + size * byte_us
        for (_, place, count, host), size in zip(ops, stored, strict=True)
    ]  # fmt: skip
    whole = (sum(times) + parts.flat_us) or 1.0
    return tuple(
        LayerShare(op.index, op.op, round(time / whole, 4))
        for (op, *_), time in zip(ops, times, strict=True)
    )


def _notes(
    link: LinkName,
    placements: Sequence[Placement],
    host_us: Sequence[Range | None],
    compiled: Compiled | None,
) -> tuple[str, ...]:
    found = [f"the Edge TPU stands behind {_LINKS[link]}"]
    if link != "pcie":
        found.append("its library may be the one for 250 MHz (std) or for 500 MHz (max)")
    if compiled is None:
        found.append("how long its code is, and which parameters stream, is predicted")
        if any(place.op in UNSEEN for place in placements if _mapped(place)):
            found.append("no cycles of a recurrent layer are known: from all tiles at work to one")
    unknown = sum(place.placement == "unknown" for place in placements)
    if unknown:
        found.append(f"{unknown} operations of unknown placement count as the processor's")
    free = [
        place.op
        for place, cost in zip(placements, host_us, strict=True)
        if not _mapped(place) and cost is None
    ]
    if free:
        names = ", ".join(sorted(set(free)))
        found.append(f"on the processor, of unknown cost and counted as nothing: {names}")
    return tuple(found)


def _segments(placements: Sequence[Placement]) -> int:
    """Subgraphs that the compiler makes: one, or none where nothing maps."""
    return int(any(map(_mapped, placements)))


def _middle(part: Bounds) -> float:
    return (part.low + part.high) / 2


def _range(part: Bounds) -> Range:
    return Range(int(part.low), -int(-part.high // 1))
