"""The number of channels that a runtime's kernels like on a core."""

from green_edge.targets.cost.model import CostModel
from green_edge.targets.cost.shape import OpShape

_MULTIPLES = (16, 8, 4, 2)
_SIDE, _DEPTH, _CHANNELS = 8, 64, 64
# Of two tiles in a step the first pays half: more than that tells one from two.
_MOST = 0.6


def channel_multiple(model: CostModel, dtype: str) -> int:
    """Multiple to which channels are best rounded, 1 to 16.

    A tile is paid as a whole by its first channel. So the answer is the largest step from one
    multiple to the next of which no number of channels between them pays clearly less.

    Args:
        model: of a runtime on a core.
        dtype: of activations and weights, `int8` or `float32`.
    """
    whole = _cost(model, dtype, _CHANNELS)
    for multiple in _MULTIPLES:
        before = _cost(model, dtype, _CHANNELS - multiple)
        between = range(_CHANNELS - multiple + 1, _CHANNELS)
        least = min(_cost(model, dtype, channels) for channels in between)
        if least - before > _MOST * (whole - before):
            return multiple
    return 1


def _cost(model: CostModel, dtype: str, channels: int) -> float:
    image = (1, _SIDE, _SIDE)
    product = OpShape(
        op="CONV_2D",
        dtype=dtype,
        data=(*image, _DEPTH),
        output=(*image, channels),
        weights=(channels, 1, 1, _DEPTH),
        weights_dtype=dtype,
    )
    return model.predict([product]).per_op[0].instructions
