"""Which kernel runs an operation, and the amounts of work that its cost is a weighted sum of.

The names follow XNNPACK and ruy: a product of matrices is cut into tiles of `mr` rows, `nr`
channels and `kr` of depth, and a tile that is not full costs what a full one does. Weights and
tiles are fitted (`model.py`); what is here is geometry alone.
"""

from collections.abc import Callable
from math import prod

from green_edge.targets.cost.shape import OpShape, Shape
from green_edge.tflite.macs import macs_of

Tile = tuple[int, ...]
Amounts = dict[str, float]
GENERIC = "generic"
MATMUL_TILE = (4, 8, 8)
LANES = (8,)
_NO_TILE: Tile = ()


def kernels_of(shape: OpShape) -> tuple[str, ...]:
    """Names of kernels with the types they take, the most special first, such as `conv 1x1.int8`.

    Of a special kernel that no rule was fitted for, the next is the best guess.
    """
    words, types = _NAMES.get(shape.op, _by_operation)(shape), _types(shape)
    names = [f"{words}.{types}"]
    for special in _SPECIAL:
        if words.endswith(special):
            words = words.removesuffix(special)
            names.append(f"{words}.{types}")
    return tuple(names)


def amounts(shape: OpShape, tile: Tile) -> Amounts:
    """Amounts of work by their names, which are those of a rule's constants."""
    return _AMOUNTS.get(shape.op, _elementwise)(shape, tile)


def generic(shape: OpShape) -> Amounts:
    """Amounts for an operation of which nothing is known but what it reads and writes."""
    products = macs_of(shape.op, (shape.data, shape.weights or None), (shape.output,))
    return {"call": 1.0, "bytes": float(shape.moved_bytes), "products": float(products)}


def default_tile(shape: OpShape) -> Tile:
    """Tile to begin a fit from; empty where the kernel has none."""
    if shape.op in {"CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "BATCH_MATMUL"}:
        return MATMUL_TILE
    return LANES if shape.op in _CHANNELWISE else _NO_TILE


def _types(shape: OpShape) -> str:
    if shape.output_dtype:
        return f"{shape.dtype}-{shape.output_dtype}"
    if shape.op in _WEIGHTED and shape.weights_dtype not in {"", shape.dtype}:
        return f"{shape.dtype}-weights-{shape.weights_dtype}"
    return shape.dtype


# --- names ---------------------------------------------------------------------------------------


def _by_operation(shape: OpShape) -> str:
    return shape.op.lower().replace("_", " ")


def _conv_name(shape: OpShape) -> str:
    if _groups(shape) > 1:
        return "conv grouped"
    name = "conv 1x1" if shape.window == (1, 1) == shape.stride else "conv"
    if shape.dilation != (1, 1):
        return "conv dilated"
    return _of_size(name, shape)


def _depthwise_name(shape: OpShape) -> str:
    if shape.data and shape.output and shape.data[-1] != shape.output[-1]:
        return "depthwise multiplied"
    # TFLite's own kernel for 3x3 takes whole eights of channels and even margins.
    if shape.window == (3, 3) and shape.output[-1] % 8 == 0 and _margins(shape) <= {0, 2}:
        return "depthwise 3x3 of 8"
    taps = prod(shape.window)
    unrolled = next((most for most in _UNROLLED_TAPS if taps <= most), None)
    name = f"depthwise to {unrolled} taps" if unrolled else "depthwise"
    return f"{name} ragged" if shape.output[-1] % 8 else name


def _dense_name(shape: OpShape) -> str:
    return _of_size("dense", shape)


def _transpose_conv_name(shape: OpShape) -> str:
    return (
        "transpose conv thin" if _is_float(shape) and shape.output[-1] < _WIDE else "transpose conv"
    )


def _of_size(name: str, shape: OpShape) -> str:
    """Name of a product of matrices: other kernels take few channels, or a single row."""
    channels = shape.output[-1]
    thin = " thin" if _is_float(shape) and _is_thin(channels, gathers=name == "conv") else ""
    if _positions(shape.output) > 1:
        return f"{name}{thin}"
    # TFLite's own product of a matrix with a vector wants 4 channels and a depth of 8.
    small = " small" if channels < 4 or shape.weights[-1] * prod(shape.window) < 8 else ""
    return f"{name}{thin} row{small}"


def _is_thin(channels: int, *, gathers: bool) -> bool:
    """Whether XNNPACK takes its float kernel of 2 channels for that of 8.

    It does for less than 8 channels, and, where the product gathers no windows, where 2 leave less
    over than 8 and what 8 leave over is more than a hundredth.
    """
    over = -channels % _WIDE
    return channels < _WIDE or (not gathers and -channels % 2 < over and 100 * over > channels)


def _is_float(shape: OpShape) -> bool:
    return shape.dtype == "float32" == shape.weights_dtype


def _pad_name(shape: OpShape) -> str:
    # XNNPACK gives the padding to the convolution that follows.
    return f"pad before {shape.into.lower()}" if shape.into in _TAKES_PADDING else "pad"


def _reduction_name(shape: OpShape) -> str:
    # TFLite's own fast kernel keeps the axes.
    kept = len(shape.output) == len(shape.data)
    return _by_operation(shape) if kept else f"{_by_operation(shape)} dropping axes"


def _pool_name(shape: OpShape) -> str:
    whole = shape.window == shape.data[1:3]
    return f"{_by_operation(shape)} whole" if whole else _by_operation(shape)


def _binary_name(shape: OpShape) -> str:
    name = _by_operation(shape)
    if shape.weights == shape.data:
        return name
    return f"{name} scalar" if prod(shape.weights) == 1 else f"{name} broadcast"


# --- amounts -------------------------------------------------------------------------------------


def _conv(shape: OpShape, tile: Tile) -> Amounts:
    groups = _groups(shape)
    depth = shape.weights[-1] if len(shape.weights) == 4 else 1
    rows, columns = _positions(shape.output), shape.output[-1] // groups
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
    positions = _positions(shape.data)
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
    positions, channels, taps = _positions(shape.output), shape.output[-1], prod(shape.window)
    down, right = (_inside(shape, axis) for axis in (1, 2))
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
    return _channelwise(_positions(shape.output), shape.output[-1], prod(shape.window), tile)


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
        "run rest of 16": float(runs * (last % 16)),
        "run eights": float(runs * (last // 8)),
        "run rest of 8": float(runs * (last % 8)),
    }


# --- geometry ------------------------------------------------------------------------------------


def _groups(shape: OpShape) -> int:
    return max(1, shape.data[-1] // max(1, shape.weights[-1])) if shape.weights else 1


def _positions(image: Shape) -> int:
    return prod(image[:-1])


def _reach(shape: OpShape, axis: int) -> int:
    """How far the windows of all outputs reach beyond the data, in elements."""
    window, stride = shape.window[axis - 1], shape.stride[axis - 1]
    reach = (shape.output[axis] - 1) * stride + (window - 1) * shape.dilation[axis - 1] + 1
    return max(0, reach - shape.data[axis])


def _margins(shape: OpShape) -> set[int]:
    return {_reach(shape, axis) for axis in (1, 2)}


def _inside(shape: OpShape, axis: int) -> int:
    """Taps along an axis that fall inside of the data, summed over the outputs."""
    size, made = shape.data[axis], shape.output[axis]
    stride, dilation = shape.stride[axis - 1], shape.dilation[axis - 1]
    before = _reach(shape, axis) // 2
    starts = range(-before, made * stride - before, stride)
    taps = range(shape.window[axis - 1])
    return sum(0 <= start + tap * dilation < size for start in starts for tap in taps)


_SPECIAL = (
    " small",
    " ragged",
    " row",
    " thin",
    " whole",
    " dropping axes",
    " dilated",
    " scalar",
    " broadcast",
)
# Channels of XNNPACK's float kernel.
_WIDE = 8
_WEIGHTED = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"}
_TAKES_PADDING = {"CONV_2D", "DEPTHWISE_CONV_2D"}
# XNNPACK has depthwise kernels for up to so many taps, each as dear for fewer.
_UNROLLED_TAPS = (3, 4, 9, 25)
_CHANNELWISE = {
    "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D", "MEAN", "SUM", "REDUCE_MAX",
}  # fmt: skip
_NAMES: dict[str, Callable[[OpShape], str]] = {
    "CONV_2D": _conv_name,
    "DEPTHWISE_CONV_2D": _depthwise_name,
    "FULLY_CONNECTED": _dense_name,
    "TRANSPOSE_CONV": _transpose_conv_name,
    "PAD": _pad_name,
    "MEAN": _reduction_name,
    "SUM": _reduction_name,
    "AVERAGE_POOL_2D": _pool_name,
    "MAX_POOL_2D": _pool_name,
    **dict.fromkeys(("ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM"), _binary_name),
}
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
