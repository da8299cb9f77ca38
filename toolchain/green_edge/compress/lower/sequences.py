"""Rules of layers over sequences: what the TF converter makes of each.

An LSTM that the runtime has a kernel for becomes one operation; other recurrent layers are unrolled
step by step (`convert.recurrent`). Those with other activations than Keras's own have no rule.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from green_edge.compress.graph.values import Width
from green_edge.compress.lower import layers
from green_edge.compress.lower.draft import ONE, Axes, Draft, Times, fixed, over, times
from green_edge.compress.lower.layers import Call, Rule, name_of


def layer_norm(draft: Draft, call: Call) -> int:
    """LayerNormalization over the channels, by the moments of each position."""
    only, axes = call.fed[0].tensor, call.axes
    one = (*axes[:-1], ONE)
    constants = (*(ONE for _ in axes[:-1]), axes[-1])
    last = draft.whole(len(axes) - 1)
    mean = draft.op("MEAN", [only, last], one, keep_dims=True)
    minus = _negated(draft, mean, one)
    apart = draft.op("SQUARED_DIFFERENCE", [only, mean], axes)
    variance = draft.op("MEAN", [apart, last], one, keep_dims=True)
    raised = draft.op("ADD", [variance, draft.constant()], one)
    inverse = draft.op("RSQRT", [raised], one)
    if call.config.get("scale", True):
        inverse = draft.op("MUL", [inverse, draft.weights(constants)], axes)
    shift = draft.op("MUL", [minus, inverse], draft.axes(inverse))
    if call.config.get("center", True):
        shift = draft.op("ADD", [shift, draft.weights(constants)], axes)
    return draft.op("ADD", [draft.op("MUL", [only, inverse], axes), shift], axes)


def _negated(draft: Draft, tensor: int, axes: Axes) -> int:
    if draft.dtype != "int8":
        return draft.op("NEG", [tensor], axes)
    # It has no int8 kernel.
    plain = draft.op("DEQUANTIZE", [tensor], axes, dtype="float32")
    return draft.op("QUANTIZE", [draft.op("NEG", [plain], axes, dtype="float32")], axes)


def attention(draft: Draft, call: Call) -> int:
    """MultiHeadAttention without a mask: (query, value) or (query, value, key)."""
    config = call.config
    heads = call.inner("query/kernel", 1, int(config["num_heads"]))
    depth = call.inner("query/kernel", 2, int(config["key_dim"]))
    size = call.inner("value/kernel", 2, int(config["value_dim"]))
    fed = [each.tensor for each in call.fed]
    if len(fed) > 3 or any(len(draft.axes(each)) != 3 for each in fed):
        return layers.unknown(draft, call)
    asked, held, looked = fed[0], fed[1], fed[2] if len(fed) > 2 else fed[1]
    at, span = draft.axes(asked)[1], draft.axes(held)[1]
    query = _headed(draft, "query", asked, (heads, depth), (0, 2, 1, 3))
    key = _headed(draft, "key", looked, (heads, depth), (0, 2, 3, 1))
    scores = draft.op("BATCH_MATMUL", [query, key], (ONE, heads, at, span))
    scores = draft.op("MUL", [scores, draft.constant()], draft.axes(scores))
    scores = draft.op("SOFTMAX", [scores], draft.axes(scores))
    value = _headed(draft, "value", held, (heads, size), (0, 2, 1, 3))
    mixed = draft.op("BATCH_MATMUL", [scores, value], (ONE, heads, at, size))
    mixed = draft.op("TRANSPOSE", [mixed, draft.whole(0, 2, 1, 3)], (ONE, at, heads, size))
    joined = draft.reshape(mixed, (ONE, at, Times.of(heads, size)))
    weights = (call.axes[-1], draft.axes(joined)[-1])
    return draft.product("FULLY_CONNECTED", joined, weights, call.axes, variable="output")


def _headed(
    draft: Draft, name: str, data: int, size: tuple[Width, Width], order: Sequence[int]
) -> int:
    """A projection, its heads moved before the positions."""
    _, at, depth = draft.axes(data)
    wide = Times.of(*size)
    made = draft.product("FULLY_CONNECTED", data, (wide, depth), (ONE, at, wide), variable=name)
    apart = draft.reshape(made, (ONE, at, *size))
    axes = (ONE, at, *size)
    return draft.op("TRANSPOSE", [apart, draft.whole(*order)], tuple(axes[i] for i in order))


def lstm(draft: Draft, call: Call) -> int:
    """LSTM as one operation."""
    if not _is_plain(call.config):
        return layers.unknown(draft, call)
    return _lstm(draft, call.fed[0].tensor, call.axes[-1], call.config)


def _lstm(draft: Draft, data: int, units: Width, config: Mapping[str, Any]) -> int:
    batch, steps, depth = draft.axes(data)
    state, axes = (batch, units), (batch, steps, units)
    given = [draft.weights((units, depth)) for _ in range(4)]
    again = [draft.weights((units, units)) for _ in range(4)]
    biases = [draft.bias(units) for _ in range(4)]
    states = [draft.data(state), draft.data(state)]
    inputs = [data, *given, *again, -1, -1, -1, *biases, -1, -1, *states]
    made = draft.op("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, axes)
    if config.get("return_sequences"):
        return made
    return draft.op("STRIDED_SLICE", [made, draft.whole(0)], state)


def both_ways(draft: Draft, call: Call) -> int:
    """Bidirectional of an LSTM, its two halves joined."""
    config = call.config
    inside = config["layer"]
    kind, held = inside["class_name"], inside["config"]
    if kind != "LSTM" or config.get("merge_mode") != "concat" or not _is_plain(held):
        return layers.unknown(draft, call)
    data = call.fed[0].tensor
    # Both directions are as wide, and lose the same units.
    units = over(call.axes[-1], 2)
    turned = draft.op("REVERSE_V2", [data, draft.whole(1)], draft.axes(data))
    first = _lstm(draft, data, units, held)
    second = _lstm(draft, turned, units, held)
    if held.get("return_sequences"):
        second = draft.op("REVERSE_V2", [second, draft.whole(1)], draft.axes(second))
    axis = len(call.axes) - 1
    return draft.op("CONCATENATION", [first, second], call.axes, axis=axis)


def unrolled(step: Callable[[Draft, int, int | None, Width], int]) -> Rule:
    """A recurrent layer, step by step."""

    def rule(draft: Draft, call: Call) -> int:
        config, data = call.config, call.fed[0].tensor
        if not _is_plain(config) or not config.get("reset_after", True):
            return layers.unknown(draft, call)
        batch, steps, depth = draft.axes(data)
        count, units = steps.fixed, call.axes[-1]
        turned = draft.reshape(data, (steps, batch, depth))
        given = draft.parts("UNPACK", [turned], (batch, depth), count, axis=0)
        states: list[int] = []
        for each in given:
            states.append(step(draft, each, states[-1] if states else None, units))
        if not config.get("return_sequences"):
            return states[-1]
        packed = draft.op("PACK", states, (steps, batch, units), axis=0)
        return draft.reshape(packed, call.axes)

    return rule


def _rnn_step(draft: Draft, given: int, state: int | None, units: Width) -> int:
    axes = (ONE, units)
    made = _dense(draft, given, units, "kernel")
    if state is not None:
        made = draft.op("ADD", [made, _dense(draft, state, units, "recurrent")], axes)
    return draft.op("TANH", [made], axes)


def _gru_step(draft: Draft, given: int, state: int | None, units: Width) -> int:
    axes, wide = (ONE, units), times(units, 3)
    projected = _dense(draft, given, wide, "kernel")
    parts = draft.parts("SPLIT", [draft.whole(1), projected], axes, 3)
    if state is None:
        again = [draft.weights(axes) for _ in range(3)]
    else:
        inner = _dense(draft, state, wide, "recurrent")
        again = [draft.op("STRIDED_SLICE", [inner, draft.whole(0)], axes) for _ in range(3)]
    update, reset = (
        draft.op("LOGISTIC", [draft.op("ADD", [parts[i], again[i]], axes)], axes) for i in range(2)
    )
    kept = draft.op("MUL", [reset, again[2]], axes)
    new = draft.op("TANH", [draft.op("ADD", [parts[2], kept], axes)], axes)
    rest = draft.op("SUB", [draft.constant(), update], axes)
    made = draft.op("MUL", [rest, new], axes)
    if state is None:
        return made
    return draft.op("ADD", [draft.op("MUL", [update, state], axes), made], axes)


def _dense(draft: Draft, data: int, units: Width, variable: str) -> int:
    weights = (units, draft.axes(data)[-1])
    axes = (*fixed(1), units)
    return draft.product("FULLY_CONNECTED", data, weights, axes, variable=variable)


def _is_plain(config: Mapping[str, Any]) -> bool:
    """Whether activations are Keras's own, so that the rules hold."""
    own = name_of(config.get("activation", "tanh")) == "tanh"
    return own and name_of(config.get("recurrent_activation", "sigmoid")) == "sigmoid"


RULES: dict[str, Rule] = {
    "LayerNormalization": layer_norm,
    "MultiHeadAttention": attention,
    "LSTM": lstm,
    "GRU": unrolled(_gru_step),
    "SimpleRNN": unrolled(_rnn_step),
    "Bidirectional": both_ways,
}
