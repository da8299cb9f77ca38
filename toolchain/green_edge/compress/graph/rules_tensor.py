"""How channels pass through calls without weights: additions, reshapes, poolings, activations."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from green_edge.compress.graph.units import Axes, Call, Ids

Rule = Callable[[Call], tuple[Axes, ...]]
Shape = Sequence[int | None]

# Each output element depends on the input element alone, and is finite at 0.
_ELEMENTWISE = frozenset(
    """
    celu elu exponential gelu hard_shrink hard_sigmoid hard_silu hard_tanh leaky_relu linear
    log_sigmoid mish relu relu6 selu sigmoid silu soft_shrink softplus softsign sparse_plus
    sparse_sigmoid squareplus tanh tanh_shrink threshold
    """.split()  # noqa: SIM905 - one a line would be a page
)


def elementwise_activation(function: Any) -> bool:
    """Whether an activation treats every channel alone, so that none depends on another."""
    if function is None:
        return True
    name = getattr(function, "__name__", "")
    return name in _ELEMENTWISE and getattr(keras.activations, name, None) is function


def activated(call: Call, ids: Ids, function: Any) -> None:
    """Pin channels whose activation mixes them."""
    if not elementwise_activation(function):
        name = getattr(function, "__name__", type(function).__name__)
        call.units.pin(ids, f"the activation {name} looks at all of them")


def same(call: Call) -> tuple[Axes, ...]:
    """Every output element comes from the input element at its place."""
    return (call.inputs[0],)


def spatial(call: Call) -> tuple[Axes, ...]:
    """Pooling, padding and the like, whether height and width stay: channels last do."""
    if getattr(call.layer, "data_format", "channels_last") != "channels_last":
        return call.stop("the layer is channels first")
    call.pin(call.inputs[0][1:-1], f"{call.owner!r} mixes its places")
    ids = call.inputs[0][-1]
    return ((*(None for _ in call.results[0][1:]), ids),)


def activation(call: Call) -> tuple[Axes, ...]:
    """The layer Activation."""
    ids = call.inputs[0][-1]
    if ids is not None:
        activated(call, ids, call.layer.activation)
    return (call.inputs[0],)


def softmax(call: Call) -> tuple[Axes, ...]:
    """Normalises over an axis; channels along others pass."""
    axis = call.layer.axis
    for each in (axis,) if isinstance(axis, int) else axis:
        ids = call.inputs[0][each]
        if ids is not None:
            call.units.pin(ids, "a softmax goes over them")
    return (call.inputs[0],)


def merge(call: Call) -> tuple[Axes, ...]:
    """Addition and the like: channels at the same place go together; length 1 is spread out."""
    rank = len(call.results[0])
    made: list[Ids | None] = []
    for axis in range(rank):
        size = call.results[0][axis]
        own = [
            (axes[axis - rank + len(axes)], shape[axis - rank + len(axes)])
            for axes, shape in zip(call.inputs, call.shapes, strict=True)
            if axis - rank + len(axes) >= 0
        ]
        made.append(_united(call, own, size))
    return (tuple(made),)


def _united(
    call: Call, own: Sequence[tuple[Ids | None, int | None]], size: int | None
) -> Ids | None:
    whole = [ids for ids, length in own if length == size]
    tracked = [ids for ids in whole if ids is not None]
    for ids, length in own:
        if ids is not None and length != size:
            call.units.pin(ids, f"{call.owner!r} spreads a single one over several channels")
    if not tracked:
        return None
    if len(tracked) < len(whole):
        call.units.pin(tracked[0], f"{call.owner!r} joins them with an axis that is fixed")
    for ids in tracked[1:]:
        call.units.unite(tracked[0], ids)
    return tracked[0]


def operator(call: Call) -> tuple[Axes, ...]:
    """A bare operation of two: both tensors, or one and a number."""
    if _constants(call):
        return call.stop(f"{call.owner!r} takes an array of constants")
    return merge(call)


def takes_operands(kind: str) -> bool:
    """Whether a bare operation of this name takes two tensors, or one and a number."""
    return kind in {"Add", "Subtract", "Multiply", "Maximum", "Minimum"}


def scaled(call: Call) -> tuple[Axes, ...]:
    """A bare division: by a number only, for a removed divisor would be zero."""
    if len(call.inputs) > 1 or _constants(call) or not isinstance(call.args[0], keras.KerasTensor):
        return call.stop(f"{call.owner!r} divides by them, or by constants")
    return same(call)


def _constants(call: Call) -> bool:
    given = keras.tree.flatten((call.args, call.kwargs))
    return any(
        each is not None and not isinstance(each, keras.KerasTensor | str) and np.ndim(each) > 0
        for each in given
    )


def joined(call: Call) -> tuple[Axes, ...]:
    """Concatenation: along its axis one after the other, along others together."""
    rank = len(call.results[0])
    along = call.layer.axis % rank
    made: list[Ids | None] = []
    for axis in range(rank):
        parts = [axes[axis] for axes in call.inputs]
        if axis != along:
            made.append(_united(call, [(each, 0) for each in parts], 0))
        elif all(each is None for each in parts):
            made.append(None)
        else:
            fixed = f"{call.owner!r} joins them with an axis that is fixed"
            made.append(
                np.concatenate(
                    [
                        call.units.new(shape[axis] or 1, fixed) if ids is None else ids
                        for ids, shape in zip(parts, call.shapes, strict=True)
                    ]
                )
            )
    return (tuple(made),)


def reshaped(call: Call) -> tuple[Axes, ...]:
    """Any new shape of the same elements, such as flattening; the batch stays first."""
    if getattr(call.layer, "data_format", "channels_last") != "channels_last":
        return call.stop("the layer is channels first")
    before, after = call.shapes[0], call.results[0]
    full = _spread(call, call.inputs[0], before)
    sizes = [size or 1 for size in after[1:]]
    if full is None or not sizes or full.size != math.prod(sizes):
        return call.stop(f"{call.owner!r} reshapes them in a way that is not followed")
    axes = _along_one(call, full.reshape(sizes))
    _count_target(call, axes)
    return (axes,)


def _count_target(call: Call, axes: Axes) -> None:
    """Tell which number of the target shape of a Reshape is the number of channels."""
    for key, first in (("target_shape", 0), ("newshape", 1)):
        target = getattr(call.layer, key, None)
        if target is None:
            continue
        for axis, ids in enumerate(axes[1:]):
            if ids is not None and tuple(target)[axis + first] not in (-1, None):
                call.counts(ids, key, axis + first)


def permuted(call: Call) -> tuple[Axes, ...]:
    """Axes in another order."""
    order = (0, *call.layer.dims)
    return (tuple(call.inputs[0][axis] for axis in order),)


def transposed(call: Call) -> tuple[Axes, ...]:
    """The bare operation, whose axes count the batch."""
    rank = len(call.shapes[0])
    order = tuple(call.layer.axes or reversed(range(rank)))
    if order[0] != 0:
        return call.stop(f"{call.owner!r} moves the batch")
    return (tuple(call.inputs[0][axis] for axis in order),)


def repeated(call: Call) -> tuple[Axes, ...]:
    """RepeatVector: a new axis before the channels."""
    return ((None, None, call.inputs[0][-1]),)


def reduced(call: Call) -> tuple[Axes, ...]:
    """Mean, sum or maximum over axes; over the channels it needs all of them."""
    rank = len(call.shapes[0])
    axis = call.layer.axis
    over = range(rank) if axis is None else (axis,) if isinstance(axis, int) else axis
    gone = {each % rank for each in over}
    for each in gone:
        ids = call.inputs[0][each]
        if ids is not None:
            call.units.pin(ids, f"{call.owner!r} goes over all of them")
    if call.layer.keepdims:
        return (tuple(None if k in gone else call.inputs[0][k] for k in range(rank)),)
    return (tuple(ids for k, ids in enumerate(call.inputs[0]) if k not in gone),)


def taken(call: Call) -> tuple[Axes, ...]:
    """Indexing, such as `x[:, 0]`: channels pass unless some of them are cut off."""
    key = call.args[1] if len(call.args) > 1 else call.kwargs["key"]
    keys = key if isinstance(key, tuple) else (key,)
    plain = all(isinstance(each, int | slice) or each is None for each in keys)
    axes, shape = call.inputs[0], call.shapes[0]
    if not plain or keys[0] != slice(None):
        return call.stop(f"{call.owner!r} picks some of them")
    made: list[Ids | None] = []
    axis = 0
    for each in (*keys, *(slice(None),) * (len(shape) - len([k for k in keys if k is not None]))):
        if each is None:
            made.append(None)
            continue
        if each != slice(None) and axes[axis] is not None:
            return call.stop(f"{call.owner!r} picks some of them")
        if isinstance(each, slice):
            made.append(axes[axis])
        axis += 1
    return (tuple(made),)


def _spread(call: Call, axes: Axes, shape: Shape) -> Ids | None:
    """Unit of each element of one sample; None where several axes have channels that can go."""
    tracked = [axis for axis, ids in enumerate(axes) if ids is not None]
    moving = [axis for axis in tracked if not call.units.all_pinned(axes[axis])]
    (axis, *others) = moving or tracked[-1:] or [0]
    ids = axes[axis]
    sizes = [size or 1 for size in shape[1:]]
    if others or ids is None or ids.size != sizes[axis - 1]:
        return None
    ranked = ids.reshape([-1 if k == axis - 1 else 1 for k in range(len(sizes))])
    return np.broadcast_to(ranked, sizes)


def _along_one(call: Call, full: Ids) -> Axes:
    """Channels along the axis that keeps most of them apart; others are united along it."""
    roots = call.units.roots(full)
    best = max(range(full.ndim), key=lambda axis: (_distinct(roots, axis), axis))
    rows = np.moveaxis(full, best, 0).reshape(full.shape[best], -1)
    for column in np.unique(rows, axis=1).T:
        call.units.unite(rows[:, 0], column)
    return (None, *(rows[:, 0] if axis == best else None for axis in range(full.ndim)))


def _distinct(roots: Ids, axis: int) -> int:
    """Sets of places along an axis that share no unit."""
    rows = np.moveaxis(roots, axis, 0).reshape(roots.shape[axis], -1)
    label: dict[int, int] = {}
    parents = list(range(len(rows)))

    def root(place: int) -> int:
        while parents[place] != place:
            place = parents[place]
        return place

    for place, row in enumerate(rows):
        for unit in np.unique(row).tolist():
            parents[root(place)] = root(label.setdefault(unit, place))
    return len({root(place) for place in range(len(rows))})


def _named(rule: Rule, names: str) -> dict[str, Rule]:
    return dict.fromkeys(names.split(), rule)


# By name of the class. Layers and bare operations share names only where they share the rule.
RULES: dict[str, Rule] = {
    **_named(
        same,
        """Identity Dropout SpatialDropout1D SpatialDropout2D SpatialDropout3D GaussianNoise
        GaussianDropout AlphaDropout ActivityRegularization ReLU LeakyReLU ELU Softplus
        Relu Relu6 Sigmoid Silu Softsign LeakyRelu HardSigmoid HardSilu Elu Selu Gelu Celu HardTanh
        Tanh Negative Square Absolute Abs Exp Clip Cast StopGradient LogSigmoid""",
    ),
    **_named(
        spatial,
        """MaxPooling1D MaxPooling2D MaxPooling3D AveragePooling1D AveragePooling2D
        AveragePooling3D AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D
        AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D ZeroPadding1D
        ZeroPadding2D ZeroPadding3D Cropping1D Cropping2D Cropping3D UpSampling1D UpSampling2D
        UpSampling3D GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D
        GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D""",
    ),
    **_named(merge, "Add Subtract Multiply Average Maximum Minimum"),
    **_named(scaled, "Divide TrueDivide"),
    **_named(reduced, "Mean Sum Max Min"),
    **_named(reshaped, "Flatten Reshape ExpandDims Squeeze"),
    "Activation": activation,
    "Softmax": softmax,
    "Concatenate": joined,
    "Permute": permuted,
    "Transpose": transposed,
    "RepeatVector": repeated,
    "GetItem": taken,
}
