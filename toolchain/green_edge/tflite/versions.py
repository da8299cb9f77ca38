"""The lowest version that an operation on 8-bit tensors needs, from its types and features.

A converter writes one version a type of operation for the whole file: a single one with a new
feature, or on int64 shapes, lifts all the others of its type. The rules are those of the
converter's own `op_version.cc` (LiteRT, `tflite/converter/tools/versioning`), without its lifting.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from green_edge.tflite.model import Op, Options, Tensor

_EIGHT_BITS = ("int8", "uint8")
# Of a transposed convolution; the rewrite makes an operation of its own of each.
_REWRITTEN_ACTIVATIONS = ("RELU", "RELU6")


@dataclass(frozen=True, slots=True)
class _Use:
    """An operation with its tensors; None stands for an optional one that is left out."""

    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    options: Options

    @property
    def rank(self) -> int:
        return max((len(tensor.shape) for tensor in self.inputs if tensor is not None), default=0)

    @property
    def broadcasts(self) -> bool:
        shapes = {tensor.shape for tensor in self.inputs[:2] if tensor is not None}
        return len(shapes) > 1

    def dtype(self, index: int) -> str | None:
        tensor = self.inputs[index] if index < len(self.inputs) else None
        return None if tensor is None else tensor.dtype


def lowest_version(op: Op, tensors: Sequence[Tensor]) -> int | None:
    """Lowest version that can hold an operation; None where there is no rule for it.

    There are rules for operations whose data is int8 or uint8.

    Args:
        op: of the main graph.
        tensors: of that graph.
    """
    use = _Use(
        tuple(tensors[i] if i >= 0 else None for i in op.inputs),
        tuple(tensors[i] for i in op.outputs),
        op.options or Options(),
    )
    data = use.dtype(_DATA_INPUT.get(op.op, 0))
    if op.op == "QUANTIZE":
        return _quantize(use)
    if data not in _EIGHT_BITS:
        return None
    rule = _RULES.get(op.op)
    if rule is not None:
        return rule(use, data)
    for_int8 = _BY_TYPE.get(op.op)
    return None if for_int8 is None else (for_int8 if data == "int8" else 1)


def lowest_after_rewrite(op: Op, tensors: Sequence[Tensor]) -> int | None:
    """Lowest version of an operation once `rewrite` has taken away the features that it can.

    Args:
        op: of the main graph.
        tensors: of that graph.
    """
    settings = op.options or Options()
    if op.op == "FULLY_CONNECTED":
        inputs = (*op.inputs, -1)[: max(len(op.inputs), 3)]
        op = replace(op, inputs=inputs, options=replace(settings, keep_num_dims=False))
    elif op.op == "TRANSPOSE_CONV" and settings.fused_activation in _REWRITTEN_ACTIVATIONS:
        op = replace(op, options=replace(settings, fused_activation="NONE"))
    return lowest_version(op, tensors)


def _quantize(use: _Use) -> int | None:
    output = use.outputs[0]
    if output.dtype not in _EIGHT_BITS:
        return None
    return 3 if output.channels > 1 else 1


def _dequantize(use: _Use, data: str) -> int:
    tensor = use.inputs[0]
    if data == "int8" and tensor is not None and tensor.channels > 1:
        return 5
    return 2 if data == "int8" else 1


def _conv(use: _Use, data: str) -> int | None:
    weights = use.inputs[1]
    if weights is None or weights.dtype != data:
        return None
    source = use.inputs[0]
    if source is not None and source.shape[-1] != weights.shape[-1]:
        return 6
    return 3 if data == "int8" else 1


def _depthwise(use: _Use, data: str) -> int | None:
    if use.dtype(1) != data:
        return None
    if data == "int8":
        return 3
    return 1 if use.options.dilation in (None, (1, 1)) else 2


def _fully_connected(use: _Use, data: str) -> int | None:
    weights = use.inputs[1]
    if weights is None or weights.dtype != data:
        return None
    if weights.sparse:
        return 8
    if len(use.inputs) == 2:
        return 6
    if use.options.keep_num_dims:
        return 5
    if use.options.weights_format not in (None, "DEFAULT"):
        return None
    return 4 if data == "int8" else 1


def _transpose_conv(use: _Use, data: str) -> int | None:
    if use.dtype(1) != data:
        return None
    if use.options.fused_activation not in (None, "NONE"):
        return 4
    if use.dtype(3) is not None:
        return 3
    return 2 if data == "int8" else 1


def _resize(use: _Use, data: str) -> int:
    return 3 if use.options.half_pixel_centers else _plain(use, data)


def _resize_nearest(use: _Use, data: str) -> int:
    return 3 if use.options.align_corners else _resize(use, data)


def _mul(use: _Use, data: str) -> int:
    scales = [tensor.scale for tensor in (*use.inputs, *use.outputs) if tensor is not None]
    if len(scales) == 3:
        one, other, result = (scale or 0.0 for scale in scales)
        if one and other and result and one * other / result >= 1.0:
            return 3
    return _plain(use, data)


def _strided_slice(use: _Use, data: str) -> int:
    if use.options.ellipsis_mask or use.options.new_axis_mask:
        return 6
    source = use.inputs[0]
    return 4 if source is not None and len(source.shape) > 4 else _plain(use, data)


def _transpose(use: _Use, data: str) -> int:
    by_rank = {5: 4, 6: 6}
    return 8 if use.rank > 6 else by_rank.get(use.rank, _plain(use, data))


def _space_to_batch(use: _Use, data: str) -> int:
    source = use.inputs[0]
    return 3 if source is not None and len(source.shape) != 4 else _plain(use, data)


def _of_rank(above: int, version: int) -> Callable[[_Use, str], int]:
    def rule(use: _Use, data: str) -> int:
        source = use.inputs[0]
        big = source is not None and len(source.shape) > above
        return version if big else _plain(use, data)

    return rule


def _broadcast_of_rank(above: int, version: int) -> Callable[[_Use, str], int]:
    def rule(use: _Use, data: str) -> int:
        return version if use.broadcasts and use.rank > above else _plain(use, data)

    return rule


def _plain(use: _Use, data: str) -> int:
    del use
    return 2 if data == "int8" else 1


def _two(use: _Use, data: str) -> int:
    del use, data
    return 2


# Where the data is not the first input.
_DATA_INPUT = {"SPLIT": 1, "TRANSPOSE_CONV": 2}
_RULES: dict[str, Callable[[_Use, str], int | None]] = {
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _fully_connected,
    "TRANSPOSE_CONV": _transpose_conv,
    "DEQUANTIZE": _dequantize,
    "RESIZE_BILINEAR": _resize,
    "RESIZE_NEAREST_NEIGHBOR": _resize_nearest,
    "MUL": _mul,
    "STRIDED_SLICE": _strided_slice,
    "TRANSPOSE": _transpose,
    "SPACE_TO_BATCH_ND": _space_to_batch,
    "BATCH_TO_SPACE_ND": _space_to_batch,
    "SLICE": _of_rank(4, 5),
    "PAD": _of_rank(4, 4),
    "PADV2": _of_rank(4, 4),
    "SUB": _broadcast_of_rank(4, 3),
    "MAXIMUM": _broadcast_of_rank(4, 3),
    "MINIMUM": _broadcast_of_rank(4, 3),
    # These two do not tell int8 from uint8.
    "RELU": _two,
    "UNPACK": _two,
}
# Version for int8; 1 for uint8.
_BY_TYPE = dict.fromkeys(
    ("RESHAPE", "EXPAND_DIMS", "SQUEEZE", "PRELU", "LEAKY_RELU", "HARD_SWISH", "RELU_N1_TO_1"), 1
) | dict.fromkeys(
    (
        *("ADD", "CONCATENATION", "PACK", "SPLIT", "SPLIT_V", "GATHER", "BATCH_MATMUL"),
        *("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_NORMALIZATION", "MIRROR_PAD"),
        *("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "ARG_MAX", "ARG_MIN", "TOPK_V2"),
        *("LOGISTIC", "TANH", "SOFTMAX", "LOG_SOFTMAX", "RELU6", "RSQRT", "SQRT", "EXP", "LOG"),
        *("SQUARED_DIFFERENCE", "SPACE_TO_DEPTH", "DEPTH_TO_SPACE"),
        *("EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL"),
    ),
    2,
)
