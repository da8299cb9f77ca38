"""Which kernel runs an operation: the name of the rule that its cost follows.

The names follow XNNPACK and TFLite's own kernels; the rules are fitted (`model.py`).
"""

from collections.abc import Callable
from math import prod

from green_edge.targets.cost.geometry import group_count, margin, position_count
from green_edge.targets.cost.shape import OpShape

GENERIC = "generic"


def kernels_of(shape: OpShape) -> tuple[str, ...]:
    """Names of kernels with the types they take, the most special first, such as `conv 1x1.int8`.

    Of a special kernel that no rule was fitted for, the next is the best guess.
    """
    words, types = _NAMES.get(shape.op, _by_operation)(shape), _types(shape)
    if shape.dtype == "int8" and shape.chain:
        # XNNPACK makes one table of a whole chain, whatever it computes.
        words += " in chain" if shape.chain == "part" else " ending chain"
    if shape.dtype == "float32" and not shape.static:
        words += " of unknown batch"
    names = [f"{words}.{types}"]
    for special in _SPECIAL:
        if words.endswith(special):
            words = words.removesuffix(special)
            names.append(f"{words}.{types}")
    return tuple(names)


def _types(shape: OpShape) -> str:
    if shape.op in _OF_SHAPES:
        return "int32"
    if shape.output_dtype:
        return f"{shape.dtype}-{shape.output_dtype}"
    if shape.op in _WEIGHTED and shape.weights_dtype not in {"", shape.dtype}:
        return f"{shape.dtype}-weights-{shape.weights_dtype}"
    return shape.dtype


def _by_operation(shape: OpShape) -> str:
    return shape.op.lower().replace("_", " ")


def _conv_name(shape: OpShape) -> str:
    if group_count(shape) > 1:
        return "conv grouped"
    name = "conv 1x1" if shape.window == (1, 1) == shape.stride else "conv"
    if shape.dilation != (1, 1):
        return "conv dilated"
    return _of_size(name, shape)


def _depthwise_name(shape: OpShape) -> str:
    if shape.data and shape.output and shape.data[-1] != shape.output[-1]:
        return "depthwise multiplied"
    # TFLite's own kernel for 3x3 takes whole eights of channels and even margins.
    if shape.window == (3, 3) and shape.output[-1] % 8 == 0 and _has_even_margins(shape):
        return "depthwise 3x3 of 8"
    taps = prod(shape.window)
    unrolled = next((most for most in _UNROLLED_TAPS if taps <= most), None)
    name = f"depthwise to {unrolled} taps" if unrolled else "depthwise"
    return f"{name} ragged" if shape.output[-1] % 8 else name


def _has_even_margins(shape: OpShape) -> bool:
    return all(margin(shape, axis) in {0, 2} for axis in (1, 2))


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
    if position_count(shape.output) > 1:
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


def _clamp_name(shape: OpShape) -> str:
    # XNNPACK gives the limits to the kernel before.
    before = {**dict.fromkeys(_PRODUCTS, " after product"), **dict.fromkeys(_BINARY, " after sum")}
    return _by_operation(shape) + before.get(shape.after, "")


def _reshape_name(shape: OpShape) -> str:
    return "reshape" if shape.constant else "reshape computed"


_SPECIAL = (
    " of unknown batch",
    " in chain",
    " ending chain",
    " after product",
    " after sum",
    " computed",
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
_PRODUCTS = {*_WEIGHTED, "AVERAGE_POOL_2D", "MAX_POOL_2D"}
_BINARY = ("ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM")
# What they read is the shape of their data.
_OF_SHAPES = {"SHAPE"}
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
    **dict.fromkeys(_BINARY, _binary_name),
    **dict.fromkeys(("RELU", "RELU6", "RELU_N1_TO_1"), _clamp_name),
    "RESHAPE": _reshape_name,
}
