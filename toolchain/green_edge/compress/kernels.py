"""The weights that inputs are multiplied by, and which output each belongs to."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from green_edge.compress.graph.trace import variables
from green_edge.core.report import Skip

Array = NDArray[Any]

_SUFFIXES = ("kernel", "embeddings")
# Their kernels are (height, width, out, in).
_TRANSPOSED = frozenset({"Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"})
# Kernels of attention that give several heads: (in, head, channel).
_HEADS = ("query/kernel", "key/kernel", "value/kernel")


@dataclass(frozen=True, slots=True, eq=False)
class Kernel:
    """A variable that inputs are multiplied by.

    Attributes:
        layer: its name.
        variable: path of the variable below the layer, such as `kernel` or `query/kernel`.
        handle: the `keras.Variable`.
        outputs: axes that together count the output channels.
    """

    layer: str
    variable: str
    handle: Any
    outputs: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of weights."""
        return int(np.prod(self.handle.shape))

    def values(self) -> Array:
        """The weights."""
        return np.asarray(self.handle.numpy())

    def channels(self) -> Array:
        """Output channel of each weight, in the variable's shape."""
        shape = tuple(self.handle.shape)
        counted = [n if axis in self.outputs else 1 for axis, n in enumerate(shape)]
        return np.broadcast_to(np.arange(np.prod(counted)).reshape(counted), shape)

    def rows(self, weights: Array) -> Array:
        """Weights of the variable's shape, a row for each output channel."""
        count = int(np.prod([weights.shape[axis] for axis in self.outputs]))
        return np.moveaxis(weights, self.outputs, range(len(self.outputs))).reshape(count, -1)

    def from_rows(self, rows: Array) -> Array:
        """Rows of `rows` in the variable's shape."""
        shape = self.handle.shape
        inner = [n for axis, n in enumerate(shape) if axis not in self.outputs]
        moved = rows.reshape([*(shape[axis] for axis in self.outputs), *inner])
        return np.moveaxis(moved, range(len(self.outputs)), self.outputs)


def kernels_of(model: Any) -> tuple[tuple[Kernel, ...], tuple[Skip, ...]]:
    """Kernels of a flat model, each once, and layers with other weights than vectors."""
    found: list[Kernel] = []
    skipped: list[Skip] = []
    for layer in model.layers:
        for name, variable in variables(layer).items():
            if variable.name.endswith(_SUFFIXES):
                outputs = _output_axes(layer, name, len(variable.shape))
                found.append(Kernel(layer.name, name, variable, outputs))
            elif variable.trainable and _is_matrix(variable):
                skipped.append(Skip(layer.name, f"{name} is no kernel"))
    return tuple(found), tuple(skipped)


def _is_matrix(variable: Any) -> bool:
    """Whether it is neither a bias nor one number for each channel."""
    return not variable.name.endswith("bias") and sum(n > 1 for n in variable.shape) > 1


def _output_axes(layer: Any, variable: str, axes: int) -> tuple[int, ...]:
    # Wrappers as TimeDistributed hold the layer that has the kernel.
    layer = getattr(layer, "layer", layer)
    kind = type(layer).__name__
    if variable.endswith("depthwise_kernel") or kind.startswith("DepthwiseConv"):
        return (axes - 2, axes - 1)
    if kind in _TRANSPOSED:
        return (axes - 2,)
    if variable.endswith(_HEADS):
        return tuple(range(1, axes))
    if kind == "EinsumDense":
        _, weights, output = layer.equation.replace("->", ",").split(",")
        return tuple(axis for axis, letter in enumerate(weights) if letter in output)
    return (axes - 1,)
