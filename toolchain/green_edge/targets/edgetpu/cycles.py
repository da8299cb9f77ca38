"""Cycles that the Edge TPU computes for each operation, as its compiler estimates them.

The estimate stands in files of older compilers. Single convolutions among them show how it comes
about: the chip is an array of tiles; each takes a block of rows and columns of the output, or, if
there is one position alone, a block of its channels. Within a tile each lane holds an output
channel, and every input of that channel's window takes a cycle. What is no product of matrices is
free: it is done on the way. The constants are in `cycles.toml` with the error that they leave.

The code that the chip runs is sent with every inference, so its length counts too.
"""

import functools
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from math import prod

from green_edge.targets.edgetpu.predict import Placement
from green_edge.targets.edgetpu.verdict import Site, site
from green_edge.tflite.model import TfliteModel
from green_edge_wire import codec

_FILE = "cycles.toml"
# No compiled file with stored cycles holds one, so that nothing tells how they are placed.
UNSEEN = frozenset({"UNIDIRECTIONAL_SEQUENCE_LSTM"})


@dataclass(frozen=True, slots=True)
class Array:
    """What the estimate is made from.

    Attributes:
        rows: tiles over the height of the output.
        columns: tiles over its width.
        lanes: output channels that a tile computes at once.
        inputs_per_cycle: products that a lane adds up in a cycle.
        least_cycles: of one position, however few its inputs are.
        depthwise_least_cycles: the same for depthwise convolutions.
    """

    rows: int
    columns: int
    lanes: int
    inputs_per_cycle: int
    least_cycles: int
    depthwise_least_cycles: int


@dataclass(frozen=True, slots=True)
class FitError:
    """How far the estimate is off on models that were not fitted, as |predicted / stored - 1|."""

    median_ratio: float
    max_ratio: float
    n: int


@dataclass(frozen=True, slots=True)
class Code:
    """Length of the chip's code.

    Attributes:
        op_bytes: of each mapped operation.
        part_bytes: of each further part that an output is computed in, because a tile holds no
            more of it.
        tile_bytes: of an output that a tile holds at once.
        low_ratio: smallest stored over predicted length of any file, its family of models left out
            of the fit.
        high_ratio: the largest.
    """

    op_bytes: int
    part_bytes: int
    tile_bytes: int
    low_ratio: float
    high_ratio: float


@dataclass(frozen=True, slots=True)
class Fit:
    """The fitted constants."""

    array: Array
    error: FitError
    code: Code
    date: str
    command: str


@dataclass(frozen=True, slots=True)
class OpCycles:
    """Compute of one operation on the chip; `cycles` is 0 for what stays on the CPU."""

    index: int
    op: str
    cycles: int


@functools.cache
def fit() -> Fit:
    """The fitted constants, read once."""
    file = resources.files("green_edge.targets.edgetpu").joinpath(_FILE)
    return codec.decode(Fit, tomllib.loads(file.read_text(encoding="utf-8")), strict=True)


def cycles(
    model: TfliteModel, placements: Sequence[Placement], *, array: Array | None = None
) -> tuple[OpCycles, ...]:
    """Cycles of every operation of the main graph, in its order.

    Args:
        model: before compilation.
        placements: where each operation runs, from `predict`.
        array: other constants than the fitted ones.
    """
    wanted = array or fit().array
    return tuple(
        OpCycles(
            op.index,
            op.op,
            op_cycles(site(model, op), wanted) if place.placement == "tpu" else 0,
        )
        for op, place in zip(model.ops, placements, strict=True)
    )


def code_bytes(
    model: TfliteModel, placements: Sequence[Placement], *, code: Code | None = None
) -> float:
    """Expected length of the chip's code for what maps."""
    wanted, array = code or fit().code, fit().array
    ops = [op for op, place in zip(model.ops, placements, strict=True) if place.placement == "tpu"]
    share = array.rows * array.columns * wanted.tile_bytes
    parts = sum(max(0.0, prod(model.tensors[op.outputs[0]].shape) / share - 1) for op in ops)
    return wanted.op_bytes * len(ops) + wanted.part_bytes * parts


def op_cycles(at: Site, array: Array) -> int:
    """Cycles of one operation; 0 where it multiplies no matrices."""
    window = _WINDOWS.get(at.op.op)
    if window is None or not at.results or not at.results[0].shape:
        return 0
    inputs = window(at)
    # Of a transposed convolution each position of the input is spread over its window.
    spread = at.activations if at.op.op == "TRANSPOSE_CONV" else at.results
    shape = (1, 1, 1, *spread[0].shape[1:]) if spread else (1, 1, 1)
    height, width, channels = prod(shape[:-2]), shape[-2], at.results[0].shape[-1]
    depthwise = at.op.op == "DEPTHWISE_CONV_2D"
    least = array.depthwise_least_cycles if depthwise else array.least_cycles
    each = max(least, _up(inputs, array.inputs_per_cycle))
    return each * _turns(height, width, channels, array)


def _turns(height: int, width: int, channels: int, array: Array) -> int:
    """Positions of the busiest tile times the blocks of channels that it takes one by one."""
    spatial = _up(height, array.rows) * _up(width, array.columns) * _up(channels, array.lanes)
    tiles = array.rows * array.columns
    by_channel = height * width * _up(channels, array.lanes * tiles)
    return min(spatial, by_channel)


def _full_window(at: Site) -> int:
    weights = at.operands[1]
    return prod(weights.shape[1:]) if weights is not None else 0


def _own_window(at: Site) -> int:
    """Of a depthwise convolution, whose channels see themselves alone."""
    weights = at.operands[1]
    return prod(weights.shape[1:3]) if weights is not None else 0


def _gates(at: Site) -> int:
    """Of one step of a recurrent layer: both matrices of each of its four gates."""
    weights = (t for t in at.constants if len(t.shape) == 2)
    return sum(t.shape[-1] for t in weights)


def _up(count: int, step: int) -> int:
    return -(-count // step)


_WINDOWS: Mapping[str, Callable[[Site], int]] = {
    "CONV_2D": _full_window,
    "DEPTHWISE_CONV_2D": _own_window,
    "FULLY_CONNECTED": _full_window,
    "TRANSPOSE_CONV": _full_window,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _gates,
}
