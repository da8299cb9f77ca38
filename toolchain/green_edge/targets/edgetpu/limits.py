"""Limits of single operation types: axes, constants, and sizes seen mapped and seen refused.

A size between the largest seen mapped and the smallest seen refused has no verdict. Where no other
source is named a limit is from the compiler's table of supported operations or from compiled files
beside the models they were made of.
"""

from collections.abc import Callable, Mapping
from math import prod

from green_edge.targets.edgetpu.verdict import LIMITATION, Site, Verdict, cpu, tpu, unknown
from green_edge.tflite.model import Tensor

_Limit = Callable[[Site], Verdict | None]

# Elements of a transpose that moves the innermost axis: 24x24x144 mapped, 28x28x144 refused.
_TRANSPOSE_ELEMENTS = (82_944, 112_896)
# Elements of a reshape that joins others into the innermost axis: 144x24x24 mapped, 144x40x40 not.
# One that splits it was seen mapped beside detectors' heads, in sizes up to that of `ops.toml`.
_RESHAPE_ELEMENTS = (82_944, 230_400)
# Elements made one row: a fully connected layer of so many inputs mapped.
_FLATTENED_ELEMENTS = 94_400
# Elements joined along the innermost axis of a tensor without height: 3852x9 mapped, and in models
# whose transposes mapped up to 144x756; 144x2100 refused.
_CONCAT_ELEMENTS = (108_864, 302_400)
_CONCAT_PROVEN = 34_668
# Elements of a sigmoid without height whose innermost axis is the longest: 80x2100 mapped, 80x8400
# refused. Of other layouts no refusal is known.
_LOGISTIC_ELEMENTS = (168_000, 672_000)
# Positions that a mean takes together: 64x128 mapped, 256x128 refused. Average pooling does the
# same sum, and was not seen refused.
_MEAN_POSITIONS = (8_192, 32_768)
# Times that bilinear resizing enlarges an axis: 2 mapped, 33 to 513 refused.
_BILINEAR_TIMES = (2.0, 513 / 33)
_NEAREST_TIMES = 2.0
_SOFTMAX_CLASSES = 16_384
_REDUCED_DEPTH_STEP = 4


def limit_of(site: Site) -> Verdict | None:
    """Verdict by the limits of the operation's type; None where none is met."""
    limit = _LIMITS.get(site.op.op)
    return None if limit is None else limit(site)


def _table(reason: str) -> Verdict:
    return cpu(LIMITATION, reason, "documented")


def _bracket(what: str, size: float, seen: tuple[float, float]) -> Verdict | None:
    """Verdict on a size between the largest seen mapped and the smallest seen refused."""
    mapped, refused = seen
    if size <= mapped:
        return None
    if size >= refused:
        return cpu(LIMITATION, f"{what} {size:g}; refused from {refused:g}", "bracket")
    return unknown(f"{what} {size:g}; mapped up to {mapped:g}, refused from {refused:g}")


def _weights(site: Site) -> Tensor | None:
    weights = site.operands[1] if len(site.operands) > 1 else None
    return weights if weights is not None and weights.constant else None


def _convolution(site: Site) -> Verdict | None:
    weights = _weights(site)
    if weights is None or len(weights.shape) != 4:
        return unknown("weights that are computed")
    data = site.operands[0]
    grouped = site.op.op == "CONV_2D" and data is not None and data.shape[-1:] != weights.shape[-1:]
    if grouped:
        return unknown("grouped convolution")
    height, width = site.options.dilation or (1, 1)
    # Where the window has size 1 its dilation changes nothing.
    if height != width and min(weights.shape[1:3]) > 1:
        return _table(f"dilation {height}x{width}; both axes need the same")
    return None


def _fully_connected(site: Site) -> Verdict | None:
    if site.options.weights_format not in {None, "DEFAULT"}:
        return _table(f"weights format {site.options.weights_format}")
    if _weights(site) is None:
        return unknown("weights that are computed")
    if prod(site.results[0].shape[:-1]) > 1:
        return unknown("several rows at once; the compiler's table names one")
    return None


def _no_fused_activation(site: Site) -> Verdict | None:
    fused = site.options.fused_activation
    return None if fused in {None, "NONE"} else _table(f"fused {fused}")


def _average_pool(site: Site) -> Verdict | None:
    fused = _no_fused_activation(site)
    if fused is not None or site.options.window is None:
        return fused
    positions, mapped = prod(site.options.window), _MEAN_POSITIONS[0]
    if positions <= mapped:
        return None
    return unknown(f"a window of {positions:,} positions; a mean mapped up to {mapped:,}")


def _concatenation(site: Site) -> Verdict | None:
    fused = _no_fused_activation(site)
    if fused is not None:
        return fused
    constants = site.constants
    if constants and not (len(site.operands) == 2 and constants[0].all_zero):
        reason = "a constant operand, other than zeros as one of two"
        return cpu(LIMITATION, reason, "proven")
    shape = site.results[0].shape
    if len(shape) > 3 or site.options.axis not in {len(shape) - 1, -1}:
        return None
    elements = prod(shape)
    if _CONCAT_PROVEN < elements <= _CONCAT_ELEMENTS[0]:
        return tpu("bracket", f"elements {elements}; refused from {_CONCAT_ELEMENTS[1]}")
    return _bracket("elements", elements, _CONCAT_ELEMENTS)


def _transpose(site: Site) -> Verdict | None:
    order, elements = site.constant(1), prod(site.results[0].shape)
    if order is None:
        return unknown("an order of axes that is computed")
    if order and order[-1] == len(order) - 1:
        # What moves whole rows has been seen in small sizes only.
        if elements <= _TRANSPOSE_ELEMENTS[0]:
            return tpu("guess", "whole rows moved; the innermost axis was seen moved alone")
        return unknown(f"elements {elements}; mapped up to {_TRANSPOSE_ELEMENTS[0]}")
    return _bracket("elements", elements, _TRANSPOSE_ELEMENTS)


def _reshape(site: Site) -> Verdict | None:
    before, after = site.activations[:1], site.results[0].shape
    # Splitting the innermost axis maps at any size seen; joining others into it moves all values.
    if not before or not after or after[-1] <= (before[0].shape or (1,))[-1]:
        return None
    elements = prod(after)
    if elements != after[-1]:
        return _bracket("elements", elements, _RESHAPE_ELEMENTS)
    if elements <= _FLATTENED_ELEMENTS:
        return None
    return unknown(f"{elements} elements made one row; mapped up to {_FLATTENED_ELEMENTS}")


def _logistic(site: Site) -> Verdict | None:
    shape = site.results[0].shape
    if not shape or len(shape) > 3 or shape[-1] < max(shape):
        return None
    return _bracket("elements", prod(shape), _LOGISTIC_ELEMENTS)


def _softmax(site: Site) -> Verdict | None:
    classes = site.results[0].shape[-1:]
    if not classes or classes[0] <= _SOFTMAX_CLASSES:
        return None
    return unknown(f"{classes[0]} classes; mapped up to {_SOFTMAX_CLASSES}")


def _reduced_axes(site: Site) -> tuple[int, ...] | None:
    axes, data = site.constant(1), site.operands[0]
    if axes is None or data is None:
        return None
    return tuple(axis % max(len(data.shape), 1) for axis in axes)


def _reduction(site: Site) -> Verdict | None:
    axes, data = _reduced_axes(site), site.operands[0]
    if axes is None or data is None:
        return unknown("axes that are computed")
    if 0 in axes:
        return _table("it takes the batch together")
    depth = data.shape[-1] if data.shape else 1
    if len(data.shape) - 1 in axes and depth % _REDUCED_DEPTH_STEP:
        return _table(f"{depth} channels taken together, no multiple of {_REDUCED_DEPTH_STEP}")
    return None


def _mean(site: Site) -> Verdict | None:
    refused = _reduction(site)
    axes, data = _reduced_axes(site), site.operands[0]
    if refused is not None or axes is None or data is None:
        return refused
    positions = prod(data.shape[axis] for axis in axes if axis != len(data.shape) - 1)
    return _bracket("positions", positions, _MEAN_POSITIONS)


def _split(site: Site) -> Verdict | None:
    axes, data = site.constant(0), site.operands[1] if len(site.operands) > 1 else None
    if not axes or data is None:
        return unknown("an axis that is computed")
    if len(site.results) == 1:
        return None
    axis, rank = axes[0] % max(len(data.shape), 1), len(data.shape)
    if axis == 0:
        return _table("it splits the batch")
    if rank == 3 and axis == 1:
        return cpu(LIMITATION, "it splits the outer axis of a tensor of three axes", "proven")
    return None


def _pack(site: Site) -> Verdict | None:
    axis, rank = site.options.axis, len(site.results[0].shape)
    return _table("it packs along the batch") if axis in {0, -rank} else None


def _pad(site: Site) -> Verdict | None:
    paddings = site.constant(1)
    if paddings is None:
        return unknown("paddings that are computed")
    return _table("it pads the batch") if any(paddings[:2]) else None


def _prelu(site: Site) -> Verdict | None:
    alpha = site.operands[1] if len(site.operands) > 1 else None
    if alpha is None or all(n == 1 for n in alpha.shape[:-1]):
        return None
    return _table("a slope for each position; share it over height and width")


def _strided_slice(site: Site) -> Verdict | None:
    strides = site.constant(3)
    if strides is None:
        return unknown("strides that are computed")
    if any(stride != 1 for stride in strides):
        return _table(f"strides {strides}; all must be 1")
    if site.options.ellipsis_mask or site.options.new_axis_mask:
        return _table("an ellipsis or a new axis")
    return None


def _times(site: Site) -> float | None:
    """How far a resize enlarges; None where it does not keep to height and width, or shrinks."""
    before, after = site.activations[0].shape, site.results[0].shape
    if len(before) != 4 or len(after) != 4:
        return None
    ratios = [new / old for new, old in zip(after[1:3], before[1:3], strict=True)]
    return max(ratios) if min(ratios) >= 1 else None


def _resize_bilinear(site: Site) -> Verdict | None:
    times = _times(site)
    if times is None:
        return unknown("it does not enlarge height and width")
    return _bracket("times", times, _BILINEAR_TIMES)


def _resize_nearest(site: Site) -> Verdict | None:
    times = _times(site)
    if times is not None and times <= _NEAREST_TIMES:
        return None
    return unknown(f"it does not enlarge height and width by up to {_NEAREST_TIMES:g}")


def _tile(site: Site) -> Verdict | None:
    shape = site.activations[0].shape
    if prod(shape[:-1]) == 1:
        return tpu("bracket", "one position repeated, seen once; in no table")
    return unknown("more than one position repeated")


_LIMITS: Mapping[str, _Limit] = {
    "AVERAGE_POOL_2D": _average_pool,
    "CONCATENATION": _concatenation,
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _convolution,
    "FULLY_CONNECTED": _fully_connected,
    "LOGISTIC": _logistic,
    "MAX_POOL_2D": _no_fused_activation,
    "MEAN": _mean,
    "PACK": _pack,
    "PAD": _pad,
    "PRELU": _prelu,
    "REDUCE_MAX": _reduction,
    "REDUCE_MIN": _reduction,
    "RESHAPE": _reshape,
    "RESIZE_BILINEAR": _resize_bilinear,
    "RESIZE_NEAREST_NEIGHBOR": _resize_nearest,
    "SOFTMAX": _softmax,
    "SPLIT": _split,
    "STRIDED_SLICE": _strided_slice,
    "SUM": _reduction,
    "TILE": _tile,
    "TRANSPOSE": _transpose,
}
