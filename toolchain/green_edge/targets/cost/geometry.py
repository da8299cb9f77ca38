"""Counts of positions, groups and taps that an operation's shape implies."""

from math import prod

from green_edge.targets.cost.shape import OpShape, Shape


def group_count(shape: OpShape) -> int:
    """Groups of channels that a convolution keeps apart."""
    return max(1, shape.data[-1] // max(1, shape.weights[-1])) if shape.weights else 1


def position_count(image: Shape) -> int:
    """Elements of all axes but the channels'."""
    return prod(image[:-1])


def margin(shape: OpShape, axis: int) -> int:
    """How far the windows of all outputs reach beyond the data along an axis, in elements."""
    window, stride = shape.window[axis - 1], shape.stride[axis - 1]
    reach = (shape.output[axis] - 1) * stride + (window - 1) * shape.dilation[axis - 1] + 1
    return max(0, reach - shape.data[axis])


def taps_inside(shape: OpShape, axis: int) -> int:
    """Taps along an axis that fall inside of the data, summed over the outputs."""
    size, made = shape.data[axis], shape.output[axis]
    stride, dilation = shape.stride[axis - 1], shape.dilation[axis - 1]
    before = margin(shape, axis) // 2
    starts = range(-before, made * stride - before, stride)
    taps = range(shape.window[axis - 1])
    return sum(0 <= start + tap * dilation < size for start in starts for tap in taps)
