"""Bytes of the Edge TPU's parameter memory that a model takes, and whether they stay on the chip.

The layouts were derived from compiled files. Weights of a layer stand in blocks of output channels
(lanes), each with its bias, unless all biases are zero, and with its own multiplier where scales
are per channel. What does not fit is sent to the chip at every inference.
"""

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Literal

from green_edge.core.checks import Problem
from green_edge.targets.edgetpu.predict import Placement
from green_edge.targets.edgetpu.rules import EIGHT_BIT
from green_edge.targets.edgetpu.verdict import Site, site
from green_edge.tflite.model import Tensor, TfliteModel

Fit = Literal["fits", "borderline", "streams"]

_MIB = 1 << 20
# 8 MB hold parameters, activations and code. Compilers reported 6.9 to 8.05 MiB for parameters;
# where in between a model ends depends on the other two, so these two are a judgement.
FITS_BYTES = int(6.7 * _MIB)
STREAMS_BYTES = int(7.8 * _MIB)
# Inputs of a fully connected layer: 5,904 stayed on the chip in a tiny model, 9,504 were streamed.
_CACHED_INPUTS = 5_904
_STREAMED_INPUTS = 9_504

_LANES = 16
_WIDE_LANES = 64
_DEPTH_STEP = 4
_BIAS_BYTES = 4
_MULTIPLIER_BYTES = 8
# Each value of a constant that is added or multiplied; such constants are always streamed.
_OPERAND_BYTES = 16
# Table of an int8 softmax in files for runtime 14.
_SOFTMAX_BYTES = 576


def parameter_bytes(model: TfliteModel, placements: Sequence[Placement]) -> int:
    """Bytes of the parameters of what maps, as the compiler stores them."""
    ops = (op for op, place in zip(model.ops, placements, strict=True) if place.placement == "tpu")
    return sum(layer_bytes(site(model, op)) for op in ops)


def layer_bytes(at: Site) -> int:
    """Bytes of one operation's parameters as the compiler stores them; 0 for what has none.

    Of an operation whose layout is not known each 8-bit constant counts with its innermost axis
    padded: its tables and whatever else the compiler adds are not in that.
    """
    return _RULES.get(at.op.op, _padded)(at)


def _padded(at: Site) -> int:
    return sum(
        prod(t.shape[:-1]) * _up(t.shape[-1] if t.shape else 1, _DEPTH_STEP)
        for t in at.constants
        if t.dtype in EIGHT_BIT
    )


def _lstm(at: Site) -> int:
    """Each gate is a layer on the input and one on the last output.

    A lower bound: the one public model with such a layer stores 34,944 bytes for it, of which these
    are 6,144, and what the others are is not known.
    """
    return sum(
        _lanes(t.shape[0]) * _up(t.shape[-1], _DEPTH_STEP)
        for t in at.constants
        if t.dtype in EIGHT_BIT and len(t.shape) == 2
    )


def _convolution(at: Site) -> int:
    weights = _weights(at)
    if weights is None:
        return 0
    channels, depth = weights.shape[0], weights.shape[-1]
    taps = prod(weights.shape[1:-1])
    lanes = _lanes(channels)
    deep = taps * _up(depth, _DEPTH_STEP) if depth > 1 else _up(taps, _DEPTH_STEP)
    return lanes * (deep + _channel_bytes(at, weights))


def _depthwise(at: Site) -> int:
    weights = _weights(at)
    if weights is None:
        return 0
    taps, channels = prod(weights.shape[1:3]), weights.shape[-1]
    lanes = _up(channels, _LANES)
    stored = lanes if channels > _DEPTH_STEP else _DEPTH_STEP
    return stored * taps * _DEPTH_STEP + lanes * _channel_bytes(at, weights)


def _channel_bytes(at: Site, weights: Tensor) -> int:
    place = 3 if at.op.op == "TRANSPOSE_CONV" else 2
    bias = at.operands[place] if len(at.operands) > place else None
    stored = 0 if bias is None or bias.all_zero else _BIAS_BYTES
    return stored + (_MULTIPLIER_BYTES if weights.channels > 1 else 0)


def _pad(at: Site) -> int:
    """Channels are added by a convolution with the identity."""
    paddings = at.constant(1)
    if paddings is None or not any(paddings[-2:]):
        return 0
    before, after = at.activations[0].shape[-1], at.results[0].shape[-1]
    return _up(before, _DEPTH_STEP) * _lanes(after)


def _elementwise(at: Site) -> int:
    elements = sum(prod(t.shape) for t in at.constants)
    return _OPERAND_BYTES * elements if elements > 1 else 0


def _softmax(at: Site) -> int:
    return _SOFTMAX_BYTES if at.results[0].dtype == "int8" else 0


def _lanes(channels: int) -> int:
    return _up(channels, _LANES if channels < _WIDE_LANES else _WIDE_LANES)


def fits(count: int) -> Fit:
    """Whether so many bytes of parameters stay on the chip.

    `borderline` is decided by activations and code, which share the memory.
    """
    if count <= FITS_BYTES:
        return "fits"
    return "borderline" if count <= STREAMS_BYTES else "streams"


def streamed_bytes(model: TfliteModel, placements: Sequence[Placement]) -> tuple[int, int]:
    """Least and most bytes of parameters that are sent to the chip at every inference."""
    ops = (op for op, place in zip(model.ops, placements, strict=True) if place.placement == "tpu")
    layers = [(_inputs(at), layer_bytes(at)) for at in (site(model, op) for op in ops)]
    return (
        _streamed(layers, memory=STREAMS_BYTES, cached_inputs=_STREAMED_INPUTS - 1),
        _streamed(layers, memory=FITS_BYTES, cached_inputs=_CACHED_INPUTS),
    )


def _streamed(layers: Sequence[tuple[int, int]], *, memory: int, cached_inputs: int) -> int:
    """The compiler keeps whole layers, the first ones first, of those that may stay at all."""
    kept = streamed = 0
    for inputs, count in layers:
        if inputs <= cached_inputs and kept + count <= memory:
            kept += count
        else:
            streamed += count
    return streamed


def streamed_layers(model: TfliteModel, placements: Sequence[Placement]) -> tuple[Problem, ...]:
    """Fully connected layers that are sent to the chip at every inference, whatever their size."""
    found = []
    for op, place in zip(model.ops, placements, strict=True):
        at = site(model, op)
        inputs = _inputs(at)
        if place.placement != "tpu" or inputs <= _CACHED_INPUTS:
            continue
        sure = "is" if inputs >= _STREAMED_INPUTS else "may be"
        found.append(
            Problem(
                what=f"{layer_bytes(at):,} bytes of weights: a fully connected layer with "
                f"{inputs:,} inputs {sure} sent to the chip at every inference",
                where=f"#{op.index} {op.op} {op.name}",
                remedy="put a global average pooling or a strided convolution before it",
            )
        )
    return tuple(found)


def _inputs(at: Site) -> int:
    """Length of the input of a fully connected layer; 0 of any other."""
    weights = _weights(at)
    return weights.shape[-1] if at.op.op == "FULLY_CONNECTED" and weights is not None else 0


def _weights(at: Site) -> Tensor | None:
    weights = at.operands[1] if len(at.operands) > 1 else None
    known = weights is not None and weights.constant and len(weights.shape) >= 2
    return weights if known else None


def _up(count: int, step: int) -> int:
    return -(-count // step) * step


_RULES: Mapping[str, Callable[[Site], int]] = {
    "ADD": _elementwise,
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _convolution,
    "MUL": _elementwise,
    "PAD": _pad,
    "SOFTMAX": _softmax,
    "SUB": _elementwise,
    "TRANSPOSE_CONV": _convolution,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _lstm,
}
