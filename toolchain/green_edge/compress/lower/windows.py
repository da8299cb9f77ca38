"""Rules of convolutions and poolings: what the TF converter makes of each.

Layers of one spatial axis are drawn with a height of 1 between two reshapes, as it does.
"""

from collections.abc import Sequence
from typing import Any

from green_edge.compress.lower.draft import ONE, Axes, Draft, fixed, over, times
from green_edge.compress.lower.layers import Call, Fed, Rule, activation_of
from green_edge.tflite.model import Options

_Pair = tuple[int, int]


def conv(draft: Draft, call: Call) -> int:
    """Conv1D and Conv2D, in groups or not."""
    tensor = _fed(draft, call)
    depth = over(draft.axes(tensor)[-1], int(call.config.get("groups", 1)))
    window = _pair(call.config["kernel_size"])
    weights = (call.axes[-1], *fixed(*window), depth)
    return _convolved(draft, call, "CONV_2D", tensor, weights)


def depthwise(draft: Draft, call: Call) -> int:
    """DepthwiseConv1D and DepthwiseConv2D."""
    window = _pair(call.config["kernel_size"])
    weights = (ONE, *fixed(*window), call.axes[-1])
    return _convolved(draft, call, "DEPTHWISE_CONV_2D", _fed(draft, call), weights)


def separable(draft: Draft, call: Call) -> int:
    """SeparableConv1D and SeparableConv2D: depthwise, then 1 x 1."""
    tensor, window = _fed(draft, call), _pair(call.config["kernel_size"])
    middle = times(draft.axes(tensor)[-1], int(call.config.get("depth_multiplier", 1)))
    between = (*_flat(call.axes)[:-1], middle)
    first = (ONE, *fixed(*window), middle)
    tensor = draft.product(
        "DEPTHWISE_CONV_2D", tensor, first, between, options=_options(call.config)
    )
    weights = (call.axes[-1], ONE, ONE, middle)
    made = draft.product("CONV_2D", tensor, weights, _flat(call.axes))
    return activation_of(draft, call, draft.reshape(made, call.axes))


def transposed(draft: Draft, call: Call) -> int:
    """Conv1DTranspose and Conv2DTranspose."""
    tensor, window = _fed(draft, call), _pair(call.config["kernel_size"])
    weights = (call.axes[-1], *fixed(*window), draft.axes(tensor)[-1])
    return _convolved(draft, call, "TRANSPOSE_CONV", tensor, weights)


def pool(op: str) -> Rule:
    """Poolings over a window."""

    def rule(draft: Draft, call: Call) -> int:
        window = _pair(call.config["pool_size"])
        stride = _pair(call.config.get("strides") or call.config["pool_size"])
        tensor = draft.reshape(call.fed[0].tensor, _flat(draft.axes(call.fed[0].tensor)))
        made = draft.op(op, [tensor], _flat(call.axes), window=window, stride=stride)
        return draft.reshape(made, call.axes)

    return rule


def pool_all(op: str) -> Rule:
    """Poolings over all positions."""

    def rule(draft: Draft, call: Call) -> int:
        tensor = call.fed[0].tensor
        axes = range(1, len(draft.axes(tensor)) - 1)
        keep = bool(call.config.get("keepdims", False))
        return draft.op(op, [tensor, draft.whole(*axes)], call.axes, keep_dims=keep)

    return rule


def _convolved(draft: Draft, call: Call, op: str, tensor: int, weights: Axes) -> int:
    made = draft.product(op, tensor, weights, _flat(call.axes), options=_options(call.config))
    if op == "TRANSPOSE_CONV" and not call.config.get("use_bias", True):
        draft.unbiased(made)
    return activation_of(draft, call, draft.reshape(made, call.axes))


def _fed(draft: Draft, call: Call) -> int:
    """The data of a convolution, with a height of 1 where it has none, padded where it must be."""
    only, config = call.fed[0], call.config
    tensor = only.tensor
    padding = config.get("padding", "valid")
    if padding == "causal":
        tensor = _padded_before(draft, tensor, config)
    tensor = draft.reshape(tensor, _flat(draft.axes(tensor)), alone=only.alone)
    if "Transpose" in call.node.kind:
        return tensor
    if padding == "valid":
        tensor = _unpadded(draft, Fed(tensor, only.alone), config)
    valid = padding != "same"
    return draft.unscaled(tensor, vectors=False, shifts=valid, alone=only.alone)


def _padded_before(draft: Draft, tensor: int, config: Any) -> int:
    """Padded for a causal convolution, that looks at no later step."""
    reach = (_pair(config["kernel_size"])[1] - 1) * _pair(config.get("dilation_rate", 1))[1]
    batch, steps, channels = draft.axes(tensor)
    axes = (batch, *fixed(steps.fixed + reach), channels)
    return draft.pad(tensor, axes, ((reach, 0),))


def _unpadded(draft: Draft, only: Fed, config: Any) -> int:
    """The data before a padding that is what `same` would do: the converter makes it that."""
    maker = draft.maker(only.tensor)
    if not only.alone or maker is None or maker.op != "PAD" or len(draft.axes(only.tensor)) != 4:
        return only.tensor
    window, stride, rate = (
        _pair(config[key]) for key in ("kernel_size", "strides", "dilation_rate")
    )
    sizes = [each.fixed for each in draft.axes(maker.inputs[0])[1:3]]
    same = tuple(_same(sizes[i], (window[i] - 1) * rate[i] + 1, stride[i]) for i in range(2))
    return maker.inputs[0] if draft.margins[only.tensor] == same else only.tensor


def _same(size: int, reach: int, stride: int) -> _Pair:
    missing = max((-(-size // stride) - 1) * stride + reach - size, 0)
    return missing // 2, missing - missing // 2


def _options(config: Any) -> Options:
    """Stride and dilation; the filters carry the window."""
    one = (1, 1)
    stride, rate = _pair(config.get("strides", one)), _pair(config.get("dilation_rate", one))
    return Options(stride=stride, dilation=rate)


def _pair(setting: Any) -> _Pair:
    """(height, width) of a setting; of one axis, the height is 1."""
    if isinstance(setting, int):
        return setting, setting
    sizes: Sequence[int] = tuple(setting)
    return (1, int(sizes[0])) if len(sizes) == 1 else (int(sizes[0]), int(sizes[1]))


def _flat(axes: Axes) -> Axes:
    """Axes of an image: a height of 1 where there is one spatial axis."""
    return (axes[0], ONE, *axes[1:]) if len(axes) == 3 else axes
