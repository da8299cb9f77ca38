"""The rule of each layer and operation, wrapped ones included."""

from dataclasses import replace

import keras
import numpy as np

from green_edge.compress.graph import rules_tensor, rules_weights
from green_edge.compress.graph.units import Axes, Call

_RULES = {**rules_tensor.RULES, **rules_weights.RULES}


def follow(call: Call) -> tuple[Axes, ...]:
    """Units of the outputs of a call; notes on the way where units sit in its weights."""
    layer, kind = call.layer, type(call.layer).__name__
    if not type(layer).__module__.startswith("keras."):
        return call.stop(f"{kind} is a layer of its own")
    if getattr(layer, "lora_enabled", False) or getattr(layer, "quantization_mode", None):
        return call.stop("its weights are adapted or quantized")
    if kind == "TimeDistributed":
        return _each_step(call)
    if kind == "Bidirectional":
        return _both_ways(call)
    if rules_tensor.takes_operands(kind) and not isinstance(layer, keras.Layer):
        return rules_tensor.operator(call)
    rule = _RULES.get(kind)
    return call.stop(f"there is no rule for {kind}") if rule is None else rule(call)


def _each_step(call: Call) -> tuple[Axes, ...]:
    """TimeDistributed: the inner layer at each place of axis 1."""
    if len(call.inputs) > 1 or len(call.results) > 1:
        return call.stop("it takes or gives several tensors")
    axes, shape, result = call.inputs[0], call.shapes[0], call.results[0]
    inner = replace(
        call,
        layer=call.layer.layer,
        path=(*call.path, "layer", "config"),
        inputs=((None, *axes[2:]),),
        shapes=((None, *shape[2:]),),
        results=((None, *result[2:]),),
    )
    (given,) = follow(inner)
    return ((None, axes[1], *given[1:]),)


def _both_ways(call: Call) -> tuple[Axes, ...]:
    """Bidirectional: two recurrent layers, their channels one after the other or merged."""
    layer = call.layer
    mode = layer.merge_mode
    if not all(call.masks(axes) for axes in call.inputs[1:]) or layer.return_state:
        return call.stop("it takes or gives states")
    result = call.results[0]
    (ahead,), (back,) = (
        follow(
            replace(
                call,
                layer=inner,
                path=(*call.path, key, "config"),
                results=((*result[:-1], inner.cell.units),),
            )
        )
        for key, inner in (("layer", layer.forward_layer), ("backward_layer", layer.backward_layer))
    )
    first, second = ahead[-1], back[-1]
    if first is None or second is None or first.size != second.size:
        return call.stop("its two directions differ in size")
    # Keras takes both to be as wide as the first.
    call.units.unite(first, second)
    if mode is None:
        return ahead, back
    if mode == "concat":
        return ((*ahead[:-1], np.concatenate([first, second])),)
    return (ahead,)
