"""Multiply-accumulates of an operation, from the shapes of its tensors.

Layouts are those of the TFLite schema: filters of CONV_2D (out, h, w, in / groups), of
DEPTHWISE_CONV_2D (1, h, w, out), of TRANSPOSE_CONV (out, h, w, in), of CONV_3D (d, h, w, in, out),
weights of FULLY_CONNECTED (out, in). Additions without a product, and tables of constants, count 0.
"""

from collections.abc import Callable, Sequence
from math import prod

Shape = tuple[int, ...]
_Shapes = Sequence[Shape | None]


def macs_of(op: str, inputs: _Shapes, outputs: _Shapes) -> int:
    """Multiply-accumulates of one run.

    Args:
        op: the schema's builtin name.
        inputs: shape of each input; None where an optional one is left out.
        outputs: shape of each output.
    """
    rule = _RULES.get(op)
    if rule is None or not outputs or outputs[0] is None or len(inputs) < 2:
        return 0
    return rule(inputs, outputs[0])


def _per_output(first_axis: int) -> Callable[[_Shapes, Shape], int]:
    def rule(inputs: _Shapes, output: Shape) -> int:
        weights = inputs[1]
        return 0 if weights is None else prod(output) * prod(weights[first_axis:])

    return rule


def _depthwise(inputs: _Shapes, output: Shape) -> int:
    weights = inputs[1]
    return 0 if weights is None else prod(output) * prod(weights[1:3])


def _conv_3d(inputs: _Shapes, output: Shape) -> int:
    weights = inputs[1]
    return 0 if weights is None else prod(output) * prod(weights[:4])


def _transpose_conv(inputs: _Shapes, output: Shape) -> int:
    del output
    weights, data = inputs[1], inputs[2] if len(inputs) > 2 else None
    # Every input element is multiplied with the whole window of every output channel.
    return 0 if weights is None or data is None else prod(data) * prod(weights[:3])


def _batch_matmul(inputs: _Shapes, output: Shape) -> int:
    left, right = inputs[0], inputs[1]
    if not left or not right or not output or not output[-1]:
        return 0
    # Either operand may be transposed: the inner size is what the left holds beside the rows.
    rows = output[-2] if len(output) > 1 else 1
    inner = prod(left[-2:]) // max(rows, 1)
    return prod(output) * inner


def _recurrent(weights: slice) -> Callable[[_Shapes, Shape], int]:
    def rule(inputs: _Shapes, output: Shape) -> int:
        per_step = sum(prod(shape) for shape in inputs[weights] if shape is not None)
        steps = prod(output[:-1])
        return per_step * steps

    return rule


_RULES: dict[str, Callable[[_Shapes, Shape], int]] = {
    "CONV_2D": _per_output(1),
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _per_output(1),
    "TRANSPOSE_CONV": _transpose_conv,
    "CONV_3D": _conv_3d,
    "BATCH_MATMUL": _batch_matmul,
    # Inputs 1-8 are the gates' matrices, 16 the projection's.
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _recurrent(slice(1, 9)),
    "LSTM": _recurrent(slice(1, 9)),
    "UNIDIRECTIONAL_SEQUENCE_RNN": _recurrent(slice(1, 3)),
    "RNN": _recurrent(slice(1, 3)),
}
