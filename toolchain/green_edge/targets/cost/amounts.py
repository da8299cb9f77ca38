"""Amounts of work of which an operation's cost is a weighted sum, from its geometry alone.

A product of matrices is cut into tiles of `mr` rows, `nr` channels and `kr` of depth, and a tile
that is not full costs what a full one does. Weights and tiles are fitted (`model.py`).
"""

from collections.abc import Callable
from math import prod

from green_edge.targets.cost.geometry import group_count, position_count, taps_inside
from green_edge.targets.cost.shape import OpShape
from green_edge.tflite.macs import macs_of

Tile = tuple[int, ...]
Amounts = dict[str, float]
MATMUL_TILE = (4, 8, 8)
LANES = (8,)
_NO_TILE: Tile = ()


def amounts(shape: OpShape, tile: Tile) -> Amounts:
    """Amounts of work by their names, which are those of a rule's constants."""
    return _AMOUNTS.get(shape.op, _elementwise)(shape, tile)


def generic(shape: OpShape) -> Amounts:
    """Amounts for an operation of which nothing is known but what it reads and writes."""
    products = macs_of(shape.op, (shape.data, shape.weights or None), (shape.output,))
    return {"bytes": float(shape.moved_bytes), "products": float(products)}


def default_tile(shape: OpShape) -> Tile:
    """Tile to begin a fit from; empty where the kernel has none."""
    if shape.op in {"CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "BATCH_MATMUL"}:
        return MATMUL_TILE
    return LANES if shape.op in _CHANNELWISE else _NO_TILE


def _conv(shape: OpShape, tile: Tile) -> Amounts:
    groups = group_count(shape)
    depth = shape.weights[-1] if len(shape.weights) == 4 else 1
    rows, columns = position_count(shape.output), shape.output[-1] // groups
    found = _matmul(rows, columns, depth, prod(shape.window), tile)
    return found if groups == 1 else {name: groups * value for name, value in found.items()}


def _transpose_conv(shape: OpShape, tile: Tile) -> Amounts:
    # XNNPACK: a stride of s makes s x s products with a part of the window each, line by line.
    mr, nr, kr = tile
    down, right = shape.stride
    taps, channels, depth = prod(shape.window), shape.output[-1], shape.data[-1]
    lines = shape.output[1] * right
    line = _matmul(-(-shape.output[2] // right), channels, depth, taps / (down * right), tile)
    # TFLite's own: one product for all taps, whose parts are then added up.
    positions = position_count(shape.data)
    tiles = -(-positions // mr) * -(-taps * channels // nr)
    return {name: lines * value for name, value in line.items()} | {
        "call": 1.0,
        "lines": float(lines),
        "joined": float(tiles * -(-depth // kr)),
        "joined tiles": float(tiles),
        "scattered": float(positions * taps * channels),
        "scattered rest": float(positions * taps * (channels % 4)),
        "scattered pieces": float(positions * taps),
        "weights": float(taps * channels * depth),
        "inputs": float(positions * depth),
        "outputs": float(prod(shape.output)),
    }


def _dense(shape: OpShape, tile: Tile) -> Amounts:
    depth = shape.weights[-1] if shape.weights else shape.data[-1]
    rows = max(1, prod(shape.data) // max(1, depth))
    return _matmul(rows, shape.output[-1], depth, 1, tile)


def _batch_matmul(shape: OpShape, tile: Tile) -> Amounts:
    rows, columns = (*shape.output[-2:],) if len(shape.output) > 1 else (1, shape.output[-1])
    batches = prod(shape.output[:-2])
    depth = prod(shape.data[-2:]) // max(1, rows)
    found = _matmul(rows, columns, depth, 1, tile)
    return {name: batches * value for name, value in found.items()} | {"call": 1.0}


def _matmul(rows: int, columns: int, depth: int, taps: float, tile: Tile) -> Amounts:
    """Amounts of a product of (rows, taps * depth) with (taps * depth, columns)."""
    mr, nr, kr = tile
    strips, across = -(-rows // mr), -(-columns // nr)
    tiles = strips * across
    return {
        "call": 1.0,
        "rows": float(rows),
        "strips": float(strips),
        "tiles": float(tiles),
        "taps": tiles * taps,
        "blocks": tiles * taps * (depth // kr),
        "rest": tiles * taps * (depth % kr),
        "ragged depth": tiles * taps * (depth % kr > 0),
        "joined": float(tiles * -(-int(taps * depth) // kr)),
        "ragged columns": float(strips * (columns % nr > 0)),
        "outputs": float(rows * columns),
        "row tiles": float(rows * across),
        "row taps": rows * across * taps,
        "row blocks": rows * across * taps * (depth // kr),
        "inputs": rows * taps * depth,
        "row pieces": rows * taps,
        "weights": columns * taps * depth,
        "products": rows * columns * taps * depth,
    }


def _depthwise(shape: OpShape, tile: Tile) -> Amounts:
    positions, channels, taps = position_count(shape.output), shape.output[-1], prod(shape.window)
    down, right = (taps_inside(shape, axis) for axis in (1, 2))
    return _channelwise(positions, channels, taps, tile) | {
        "inside": float(down * right),
        "inside sixteens": float(down * right * (channels // 16)),
        "inside eights": float(down * right * (channels // 8)),
        "inside rest of 8": float(down * right * (channels % 8)),
        "rest of 8": float(positions * (channels % 8)),
        "lines": float(shape.output[1]),
        "line taps": float(down * shape.window[1]),
        "products": float(down * right * channels),
        "outputs": float(positions * channels),
    }


def _pool(shape: OpShape, tile: Tile) -> Amounts:
    return _channelwise(position_count(shape.output), shape.output[-1], prod(shape.window), tile)


def _channelwise(positions: int, channels: int, taps: int, tile: Tile) -> Amounts:
    (lanes,) = tile
    vectors, rest = positions * (channels // lanes), positions * (channels % lanes)
    return {
        "call": 1.0,
        "positions": float(positions),
        "position taps": float(positions * taps),
        "vectors": float(vectors),
        "vector taps": float(vectors * taps),
        "ragged": float(positions * (channels % lanes > 0)),
        "ragged taps": float(positions * taps * (channels % lanes > 0)),
        "rest": float(rest),
        "rest taps": float(rest * taps),
    }


def _reduction(shape: OpShape, tile: Tile) -> Amounts:
    channels = shape.data[-1] if shape.data else 1
    found = _channelwise(1, channels, max(1, prod(shape.data) // max(1, channels)), tile)
    return found | {"inputs": float(prod(shape.data)), "outputs": float(prod(shape.output))}


def _copy(shape: OpShape, tile: Tile) -> Amounts:
    """Data moved in pieces that lie together."""
    del tile
    last = shape.data[-1] if shape.data else 1
    return {
        "call": 1.0,
        "bytes": float(shape.moved_bytes),
        "outputs": float(prod(shape.output)),
        "pieces": float(max(prod(shape.output), prod(shape.data)) // max(1, last)),
        "operands": float(max(1, shape.operands)),
        "joined pieces": float(shape.operands * prod(shape.output[:-1])),
    }


def _elementwise(shape: OpShape, tile: Tile) -> Amounts:
    del tile
    outputs = prod(shape.output)
    last = max(1, shape.output[-1]) if shape.output else 1
    runs = outputs // last
    return {
        "call": 1.0,
        "outputs": float(outputs),
        "vectors": float(-(-outputs // 16)),
        "runs": float(runs),
        "run sixteens": float(runs * (last // 16)),
        "run rest eights": float(runs * -(-(last % 16) // 8)),
        "run rest of 16": float(runs * (last % 16)),
        "run eights": float(runs * (last // 8)),
        "run rest of 8": float(runs * (last % 8)),
    }


_CHANNELWISE = {
    "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D", "MEAN", "SUM", "REDUCE_MAX",
}  # fmt: skip
_AMOUNTS: dict[str, Callable[[OpShape, Tile], Amounts]] = {
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _dense,
    "TRANSPOSE_CONV": _transpose_conv,
    "BATCH_MATMUL": _batch_matmul,
    "AVERAGE_POOL_2D": _pool,
    "MAX_POOL_2D": _pool,
    **dict.fromkeys(("MEAN", "SUM", "REDUCE_MAX"), _reduction),
    **dict.fromkeys(
        ("PAD", "RESHAPE", "CONCATENATION", "SPLIT", "STRIDED_SLICE", "SLICE", "PACK", "UNPACK",
         "TRANSPOSE", "GATHER", "SPACE_TO_DEPTH", "DEPTH_TO_SPACE", "SQUEEZE", "EXPAND_DIMS"),
        _copy,
    ),
}  # fmt: skip
