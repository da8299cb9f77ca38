"""Which slices of their weights layers make, scale and take channels by."""

from typing import Any

import numpy as np

from green_edge.compress.graph.rules_tensor import Rule, activated
from green_edge.compress.graph.units import Axes, Call, Ids
from green_edge.compress.graph.values import Role


def dense(call: Call) -> tuple[Axes, ...]:
    """Dense: kernel (in, out), over the last axis."""
    layer, taken = call.layer, _last(call)
    made = call.units.new(layer.units)
    call.holds(layer.kernel, 0, "takes", taken)
    _makes(call, layer.kernel, 1, layer.bias, made)
    call.counts(made, "units")
    activated(call, made, layer.activation)
    return ((*call.inputs[0][:-1], made),)


def convolution(call: Call) -> tuple[Axes, ...]:
    """Conv1D to Conv3D: kernel (..., in / groups, out)."""
    layer = call.layer
    if layer.data_format != "channels_last":
        return call.stop("the layer is channels first")
    taken = _last(call)
    made = call.units.new(layer.filters)
    call.counts(made, "filters")
    rank = len(layer.kernel.shape)
    if layer.groups == taken.size > 1:
        _one_channel_groups(call, taken, made)
    else:
        _tie_groups(call, taken, layer.groups)
        _tie_groups(call, made, layer.groups)
        call.holds(layer.kernel, rank - 2, "takes", taken[: taken.size // layer.groups])
        _makes(call, layer.kernel, rank - 1, layer.bias, made)
    activated(call, made, layer.activation)
    return _image(call, made)


def _one_channel_groups(call: Call, taken: Ids, made: Ids) -> None:
    """Groups of one input channel go with it, as those of a depthwise convolution do."""
    layer = call.layer
    call.units.unite(np.repeat(taken, made.size // taken.size), made)
    call.holds(layer.kernel, len(layer.kernel.shape) - 1, "scales", made)
    call.holds(layer.bias, 0, "scales", made)
    call.counts(taken, "groups")


def _tie_groups(call: Call, ids: Ids, groups: int) -> None:
    """Groups stay alike: each loses the channel at the same place."""
    for other in ids.reshape(groups, -1)[1:]:
        call.units.unite(ids[: other.size], other)


def transposed_convolution(call: Call) -> tuple[Axes, ...]:
    """Conv1DTranspose to Conv3DTranspose: kernel (..., out, in)."""
    layer = call.layer
    if layer.data_format != "channels_last":
        return call.stop("the layer is channels first")
    rank = len(layer.kernel.shape)
    made = call.units.new(layer.filters)
    call.holds(layer.kernel, rank - 1, "takes", _last(call))
    _makes(call, layer.kernel, rank - 2, layer.bias, made)
    call.counts(made, "filters")
    activated(call, made, layer.activation)
    return _image(call, made)


def depthwise(call: Call) -> tuple[Axes, ...]:
    """Depthwise: kernel (..., in, multiplier); output channel `in * multiplier + k`."""
    layer = call.layer
    if layer.data_format != "channels_last":
        return call.stop("the layer is channels first")
    taken = _last(call)
    given = np.repeat(taken, layer.depth_multiplier)
    call.holds(layer.kernel, len(layer.kernel.shape) - 2, "scales", taken)
    call.holds(layer.bias, 0, "scales", given)
    activated(call, given, layer.activation)
    return _image(call, given)


def separable(call: Call) -> tuple[Axes, ...]:
    """A depthwise and a 1 x 1 convolution with nothing between."""
    layer = call.layer
    if layer.data_format != "channels_last":
        return call.stop("the layer is channels first")
    taken = _last(call)
    made = call.units.new(layer.filters)
    rank = len(layer.depthwise_kernel.shape)
    call.holds(layer.depthwise_kernel, rank - 2, "scales", taken)
    between = np.repeat(taken, layer.depth_multiplier)
    call.holds(layer.pointwise_kernel, rank - 2, "takes", between)
    _makes(call, layer.pointwise_kernel, rank - 1, layer.bias, made)
    call.counts(made, "filters")
    activated(call, made, layer.activation)
    return _image(call, made)


def embedding(call: Call) -> tuple[Axes, ...]:
    """Embedding: table (tokens, out)."""
    layer = call.layer
    made = call.units.new(layer.output_dim)
    call.holds(layer.embeddings, 1, "makes", made)
    call.counts(made, "output_dim")
    for axes in call.inputs:
        call.pin(axes, f"they are the tokens of {call.owner!r}")
    return ((*(None for _ in call.results[0][:-1]), made),)


def batch_norm(call: Call) -> tuple[Axes, ...]:
    """BatchNormalization over the axis of the channels."""
    layer = call.layer
    # Files of Keras 2 give a list of one.
    axis = layer.axis[0] if isinstance(layer.axis, list | tuple) else layer.axis
    ids = call.inputs[0][axis]
    others = [each for k, each in enumerate(call.inputs[0]) if k != axis % len(call.inputs[0])]
    call.pin(others, f"the normalisation {call.owner!r} averages over them")
    if ids is not None:
        for variable in (layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance):
            call.holds(variable, 0, "scales", ids)
    return (call.inputs[0],)


def prelu(call: Call) -> tuple[Axes, ...]:
    """PReLU: a slope of each place, or one along its shared axes."""
    alpha = call.layer.alpha
    for axis, ids in enumerate(call.inputs[0]):
        if ids is not None and alpha.shape[axis - 1] == ids.size:
            call.holds(alpha, axis - 1, "scales", ids)
    return (call.inputs[0],)


def normalization(call: Call) -> tuple[Axes, ...]:
    """Normalization by mean and variance that were adapted to data."""
    layer = call.layer
    rank = len(call.shapes[0])
    if layer.input_mean is not None and np.ndim(layer.input_mean) > 0:
        return call.stop(f"{call.owner!r} holds their mean in its configuration")
    if layer.input_mean is None:
        for place, axis in enumerate(sorted(each % rank for each in layer.axis)):
            ids = call.inputs[0][axis]
            if ids is not None:
                call.holds(layer.adapt_mean, place, "scales", ids)
                call.holds(layer.adapt_variance, place, "scales", ids)
    return (call.inputs[0],)


def averaged(call: Call) -> tuple[Axes, ...]:
    """Normalisations over the channels themselves."""
    words = f"the normalisation {call.owner!r} averages over them"
    call.pin(call.inputs[0], words)
    return (call.inputs[0],)


def rescaling(call: Call) -> tuple[Axes, ...]:
    """Rescaling by numbers, or by arrays that lie in its configuration."""
    if np.ndim(call.layer.scale) or np.ndim(call.layer.offset):
        call.pin(call.inputs[0], f"{call.owner!r} holds their scale in its configuration")
    return (call.inputs[0],)


def einsum_dense(call: Call) -> tuple[Axes, ...]:
    """EinsumDense: axes by the letters of its equation, such as `abc,cd->abd`."""
    layer = call.layer
    left, output = layer.equation.replace(" ", "").split("->")
    data, kernel = left.split(",")
    once = all(len(set(letters)) == len(letters) for letters in (data, kernel, output))
    if "." in layer.equation or not once or data[0] in kernel or output[0] != data[0]:
        return call.stop("its equation is not followed")
    units = dict(zip(data, call.inputs[0], strict=True))
    if any(units[letter] is not None for letter in data if letter not in kernel + output):
        return call.stop(f"{call.owner!r} sums over them")
    if any(letter in data and letter in output for letter in kernel):
        return call.stop("its equation has weights of each place")
    for axis, letter in enumerate(kernel):
        ids = units.get(letter)
        if letter in data:
            if ids is not None:
                call.holds(layer.kernel, axis, "takes", ids)
        else:
            units[letter] = call.units.new(layer.kernel.shape[axis])
            call.holds(layer.kernel, axis, "makes", units[letter])
    _einsum_output(call, output, kernel, units)
    for letter in set(kernel) - set(data):
        activated(call, units[letter], layer.activation)
    return (tuple(units[letter] for letter in output),)


def _einsum_output(call: Call, output: str, kernel: str, units: dict[str, Any]) -> None:
    layer = call.layer
    shape = (layer.partial_output_shape,) if isinstance(layer.partial_output_shape, int) else ()
    given = shape or tuple(layer.partial_output_shape)
    # The output shape of the configuration leaves the batch out.
    for axis, letter in enumerate(output[1:]):
        if letter in kernel and given[axis] is not None:
            path = ("output_shape",) if shape else ("output_shape", axis)
            call.counts(units[letter], *path)
    if layer.bias is None:
        return
    letters = sorted(layer.bias_axes, key=output.index)
    first = output.index(letters[0])
    for letter in letters:
        # Axes of the output after the first of the bias are there, with length 1 where unused.
        axis = output.index(letter) - first
        if units[letter] is not None:
            role: Role = "makes" if letter in kernel else "scales"
            call.holds(layer.bias, axis, role, units[letter])


def attention(call: Call) -> tuple[Axes, ...]:
    """MultiHeadAttention: heads, and the sizes of keys and of values of all heads together.

    Kernels of query, key and value are (in, head, size), that of the output (head, size, out).
    """
    layer = call.layer
    if len(layer._output_dense.kernel.shape) != 3 or len(call.results) > 1:  # noqa: SLF001
        return call.stop("its output has several axes, or its scores are given out")
    given = dict(zip(("query", "value", "key"), call.args, strict=False)) | call.kwargs
    if len(call.inputs) > len({"query", "value", "key"} & set(given)):
        return call.stop("its attention is masked by a tensor")
    query, value = call.known[id(given["query"])], call.known[id(given["value"])]
    key = value if given.get("key") is None else call.known[id(given["key"])]
    heads = call.units.new(layer.num_heads)
    keys, values = call.units.new(layer.key_dim), call.units.new(layer.value_dim)
    for part, axes, sizes in (
        (layer._query_dense, query, keys),  # noqa: SLF001
        (layer._key_dense, key, keys),  # noqa: SLF001
        (layer._value_dense, value, values),  # noqa: SLF001
    ):
        call.pin(axes[1:-1], f"{call.owner!r} mixes its places")
        _projection(call, part, axes[-1], heads, sizes)
    made = call.units.new(call.results[0][-1] or 1)
    output = layer._output_dense  # noqa: SLF001
    call.holds(output.kernel, 0, "takes", heads, "heads")
    call.holds(output.kernel, 1, "takes", values, "values")
    _makes(call, output.kernel, 2, output.bias, made)
    call.counts(heads, "num_heads")
    call.counts(keys, "key_dim")
    call.counts(values, "value_dim")
    call.counts(made, "output_shape", 0)
    return _image(call, made)


def _projection(call: Call, part: Any, taken: Ids | None, heads: Ids, sizes: Ids) -> None:
    if taken is not None:
        call.holds(part.kernel, 0, "takes", taken)
    name = "values" if part.name == "value" else "keys"
    for variable, axis in ((part.kernel, 1), (part.bias, 0)):
        call.holds(variable, axis, "makes", heads, "heads")
        call.holds(variable, axis + 1, "makes", sizes, name)


def recurrent(call: Call) -> tuple[Axes, ...]:
    """LSTM, GRU and SimpleRNN: kernel (in, gates x units), recurrent kernel (units, ...)."""
    cell = call.layer.cell
    functions = (cell.activation, getattr(cell, "recurrent_activation", None))
    gates = cell.recurrent_kernel.shape[-1] // cell.recurrent_kernel.shape[-2]
    size = cell.recurrent_kernel.shape[-2]
    made = call.units.new(size)
    columns = np.tile(made, gates)
    last = len(cell.kernel.shape) - 1
    call.holds(cell.kernel, last - 1, "takes", _last(call))
    call.holds(cell.kernel, last, "makes", columns)
    call.holds(cell.recurrent_kernel, last - 1, "takes", made)
    call.holds(cell.recurrent_kernel, last, "makes", columns)
    if cell.bias is not None:
        # A GRU that resets after the product has two rows of biases.
        call.holds(cell.bias, len(cell.bias.shape) - 1, "makes", columns)
    call.counts(made, "filters" if hasattr(cell, "filters") else "units")
    for function in functions:
        activated(call, made, function)
    for axes in call.inputs[1:]:
        if call.masks(axes):
            continue
        ids = axes[-1]
        if ids is None or ids.size != size:
            return call.stop(f"{call.owner!r} takes a tensor that is no state")
        call.units.unite(made, ids)
    call.pin(call.inputs[0][1:-1], f"{call.owner!r} mixes its places")
    return tuple((*(None for _ in shape[1:]), made) for shape in call.results)


def _last(call: Call) -> Ids:
    """Units of the channels that come in; the last axis always has them."""
    ids = call.inputs[0][-1]
    if ids is None:
        raise AssertionError(f"{call.owner}: the input has no units")
    return ids


def _image(call: Call, ids: Ids) -> tuple[Axes, ...]:
    call.pin(call.inputs[0][1:-1], f"{call.owner!r} mixes its places")
    return ((*(None for _ in call.results[0][1:]), ids),)


def _makes(call: Call, kernel: Any, axis: int, bias: Any, ids: Ids) -> None:
    call.holds(kernel, axis, "makes", ids)
    call.holds(bias, 0, "makes", ids)


def _named(rule: Rule, names: str) -> dict[str, Rule]:
    return dict.fromkeys(names.split(), rule)


RULES: dict[str, Rule] = {
    "Dense": dense,
    "Embedding": embedding,
    "BatchNormalization": batch_norm,
    "PReLU": prelu,
    "Normalization": normalization,
    "Rescaling": rescaling,
    "EinsumDense": einsum_dense,
    "MultiHeadAttention": attention,
    **_named(convolution, "Conv1D Conv2D Conv3D"),
    **_named(transposed_convolution, "Conv1DTranspose Conv2DTranspose Conv3DTranspose"),
    **_named(depthwise, "DepthwiseConv1D DepthwiseConv2D"),
    **_named(separable, "SeparableConv1D SeparableConv2D"),
    **_named(recurrent, "LSTM GRU SimpleRNN"),
    **_named(averaged, "LayerNormalization RMSNormalization GroupNormalization UnitNormalization"),
}
