"""Time per operation of a model: the profiler's steps, given back to the model's operations."""

from collections.abc import Sequence
from dataclasses import dataclass

from green_edge.build.profile_steps import operations_of
from green_edge.tflite.model import Op
from green_edge_wire.bench import MAX_PROFILED_RUNS, ProfileRow, ProfileRows

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


def profile_of(rows: ProfileRows, ops: Sequence[Op]) -> Profile:
    """Give the steps of a profile their operations and shares.

    Args:
        rows: as the profiler gave them.
        ops: all of the model, in its order.
    """
    found = operations_of(rows.rows, ops)
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
        notes=_notes(layers, steps_us, rows),
    )


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


def _notes(layers: Sequence[ProfileLayer], steps_us: float, rows: ProfileRows) -> tuple[str, ...]:
    notes = [
        f"each time is up to {_RESOLUTION_US:g} us short: the profiler cuts off fractions",
        "XNNPACK's steps are matched with the model's operations by their order",
    ]
    if rows.runs == MAX_PROFILED_RUNS:
        notes.append(f"under the profiler it ran {rows.runs:,} times, which is the most")
    if steps_us < rows.total_us / 2:
        notes.append("most steps are too short to be timed here: the shares say little")
    homeless = [layer for layer in layers if layer.index is None]
    if homeless:
        share = sum(layer.share for layer in homeless)
        steps = "1 step" if len(homeless) == 1 else f"{len(homeless)} steps"
        notes.append(f"of {steps} ({share:.1%} of the time) the kernel is known, not the operation")
    return tuple(notes)
