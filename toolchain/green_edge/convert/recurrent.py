"""Recurrent Keras layers in the forms that full int8 knows; imported by the converter child only.

Keras 3 runs them as a WHILE loop: the TF converter dies on its int8 form, and no int8 kernel exists
for its body. An LSTM that the runtime has a kernel for is traced as the composite function that the
converter turns into one UNIDIRECTIONAL_SEQUENCE_LSTM. All others are unrolled, step by step.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import tensorflow as tf

from green_edge_wire.errors import ModelError

# Each step becomes ten to twenty operations. At 128 steps a GRU of 6 units is an int8 file of
# 1.3 MB after half a minute in the converter, at 256 one of 4.0 MB.
MOST_UNROLLED_STEPS = 128


@dataclass(slots=True)
class Forms:
    """What becomes of the recurrent layers of one model, told while it is traced.

    Attributes:
        layers: how many there are.
        too_long: those that can only be unrolled and have more steps than can be.
    """

    layers: int = 0
    too_long: dict[str, int] = field(default_factory=dict)

    def check(self, model: Any) -> None:
        """Refuse a model with layers that are too long to unroll.

        Whether a mask or a state reaches a layer shows when the model is traced alone: Keras tells
        the shapes of outputs without.

        Args:
            model: calls the prepared one.

        Raises:
            ModelError: naming the layers and what to change.
        """
        if self.layers:
            specs = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in model.inputs]
            traced = tf.function(lambda *inputs: model(list(inputs)), autograph=False)
            traced.get_concrete_function(*specs)
        if not self.too_long:
            return
        shown = ", ".join(f"{name!r} ({steps} steps)" for name, steps in self.too_long.items())
        raise ModelError(
            f"recurrent layers that have to be unrolled are too long for it: {shown}; "
            f"{MOST_UNROLLED_STEPS} steps at most",
            hint="use LSTM with its default activations, without mask and states, which becomes "
            "one operation of any length, or feed shorter sequences",
        )


def prepare(model: Any) -> Forms:
    """Have the recurrent layers of a loaded Keras model traced in a form that converts.

    It takes effect where the model is called again. The loops are replaced on the layers
    themselves, because nested models and wrappers such as Bidirectional hold them by reference.
    """
    forms = Forms()
    for layer in model._flatten_layers():  # noqa: SLF001 - `layers` leaves wrapped ones out
        if isinstance(layer, keras.layers.RNN):
            forms.layers += 1
            _drop_nothing(layer.cell)
            layer.inner_loop = _loop(layer, forms)
    return forms


def _drop_nothing(cell: Any) -> None:
    """Take the dropout out, which else leaves its random generator's variables in the graph."""
    for part in getattr(cell, "cells", (cell,)):
        if hasattr(part, "recurrent_dropout"):
            part.dropout = part.recurrent_dropout = 0.0


def _loop(layer: Any, forms: Forms) -> Callable[..., Any]:
    fusable = _is_fusable(layer)

    def inner_loop(sequences: Any, initial_state: Any, mask: Any, training: bool = False) -> Any:
        if fusable and mask is None and all(_is_zero(state) for state in initial_state):
            return _fused(layer, sequences, initial_state)
        steps = sequences.shape[1]
        layer.unroll = steps is not None and steps <= MOST_UNROLLED_STEPS
        if not layer.unroll:
            forms.too_long[layer.name] = steps
        return keras.layers.RNN.inner_loop(layer, sequences, initial_state, mask, training)

    return inner_loop


def _is_fusable(layer: Any) -> bool:
    """Whether the runtime's kernel computes this layer.

    It has the default activations built in, and the converter takes no state out of it.
    """
    return (
        isinstance(layer, keras.layers.LSTM)
        and layer.activation is keras.activations.tanh
        and layer.recurrent_activation is keras.activations.sigmoid
        and not layer.return_state
        and not layer.stateful
    )


def _is_zero(state: Any) -> bool:
    """Whether a state is known to be zeros: the kernel starts from nothing else."""
    value = tf.get_static_value(state)
    return value is not None and not value.any()


def _fused(layer: Any, sequences: Any, initial_state: Any) -> tuple[Any, Any, list[Any]]:
    """Call the layer as the composite that the converter knows from Keras 2.

    It goes by the attributes, six arguments and five results (lstm_utils.cc, ConvertKerasLSTMLayer)
    and leaves the function alone where a state is used.
    """
    cell = layer.cell
    bias = cell.bias if cell.use_bias else tf.zeros(4 * cell.units)
    attributes = {
        "api_implements": f"lstm_{uuid.uuid5(uuid.NAMESPACE_OID, layer.name)}",
        "api_preferred_device": "CPU",
        "time_major": False,
        "go_backwards": layer.go_backwards,
    }
    composite = tf.function(
        _standard_lstm(layer.go_backwards), autograph=False, experimental_attributes=attributes
    )
    last, outputs, h, c, _ = composite(
        sequences,
        *initial_state,
        tf.convert_to_tensor(cell.kernel),
        tf.convert_to_tensor(cell.recurrent_kernel),
        tf.convert_to_tensor(bias),
    )
    return last, outputs, [h, c]


def _standard_lstm(go_backwards: bool) -> Callable[..., Any]:
    def standard_lstm(
        inputs: Any, init_h: Any, init_c: Any, kernel: Any, recurrent_kernel: Any, bias: Any
    ) -> Any:
        def step(state: Any, x: Any) -> Any:
            h, c = state
            gates = tf.matmul(x, kernel) + tf.matmul(h, recurrent_kernel) + bias
            i, f, g, o = tf.split(gates, 4, axis=1)
            c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
            return tf.sigmoid(o) * tf.tanh(c), c

        by_time = tf.transpose(inputs, (1, 0, 2))
        if go_backwards:
            by_time = tf.reverse(by_time, (0,))
        hs, cs = tf.scan(step, by_time, (init_h, init_c))
        return hs[-1], tf.transpose(hs, (1, 0, 2)), hs[-1], cs[-1], tf.constant(1.0)

    return standard_lstm
