"""Labels as every pass takes them: of the model's first output, checked once before the first."""

from dataclasses import replace

import numpy as np

from green_edge.compress.graph.values import Graph
from green_edge.compress.scene import Array, Samples
from green_edge_wire.errors import ConfigError


def fitting(samples: Samples, graph: Graph) -> Samples:
    """Samples whose labels are class indices, or targets of the first output's shape.

    Whole numbers, one for each set of values along the output's last axis, are class indices. Of an
    output of sigmoids, each of which speaks for itself, they become targets of 0 and 1.

    Args:
        samples: labelled or not.
        graph: of the model that came in.

    Raises:
        ConfigError: the labels do not fit the output.
    """
    y, shape = samples.y, tuple(graph.model.outputs[0].shape[1:])
    if y is None or None in shape:
        return samples
    first = graph.outputs[0]
    sigmoid = first >= 0 and graph.nodes[first].config.get("activation") == "sigmoid"
    if _are_classes(y, shape):
        _check(y, 0, shape[-1] - 1, f"{shape[-1]} classes", "give class indices counted from 0")
        if not sigmoid:
            return samples
        y = np.eye(shape[-1])[y]
    return replace(samples, y=_targets(y, shape, sigmoid=sigmoid))


def _are_classes(y: Array, shape: tuple[int, ...]) -> bool:
    several = len(shape) > 0 and shape[-1] > 1
    return several and y.dtype.kind in "iu" and _size(y.shape[1:]) == _size(shape[:-1])


def _targets(y: Array, shape: tuple[int, ...], *, sigmoid: bool) -> Array:
    """(samples, *shape) as float32."""
    if _size(y.shape[1:]) != _size(shape):
        raise ConfigError(
            f"labels of shape {y.shape[1:]} do not fit the model's first output {shape}",
            place="--train",
            hint="give class indices as whole numbers, or targets of the output's shape",
        )
    targets = y.reshape(len(y), *shape).astype(np.float32)
    if not np.isfinite(targets).all():
        raise ConfigError("labels are NaN or infinite", place="--train", hint="leave them out")
    if sigmoid:
        _check(targets, 0, 1, "a sigmoid", "give labels from 0 to 1")
    return targets


def _check(y: Array, least: int, most: int, output: str, hint: str) -> None:
    low, high = y.min(), y.max()
    if low < least or high > most:
        raise ConfigError(
            f"labels go from {low:g} to {high:g}, but the model's first output has {output}",
            place="--train",
            hint=hint,
        )


def _size(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=int))
