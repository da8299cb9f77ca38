"""Rebuilds a Keras model call by call: as a description to plan on, and as the student."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from green_edge.convert.aware.layers import (
    FakeQuantize,
    Plus,
    Times,
    WithRoundedWeights,
    affine,
    fold,
)
from green_edge.convert.aware.plan import Call, Step
from green_edge.convert.keras_graph import walk


@dataclass(frozen=True, slots=True)
class Student:
    """A model that learns to run in int8.

    Attributes:
        model: batch open, inputs and outputs as the original's.
        activations: its fake quantizations, in the order of execution.
        weighted: its layers with rounded weights.
        watched: the tensor that each of `activations` takes.
    """

    model: Any
    activations: tuple[FakeQuantize, ...]
    weighted: tuple[WithRoundedWeights, ...]
    watched: tuple[Any, ...]


class _Token:
    """Stands for a tensor while the graph is described."""

    def __init__(self, source: int) -> None:
        self.source = source


def describe(model: Any) -> tuple[tuple[Call, ...], tuple[int, ...]]:
    """Calls of a functional model in the order of execution, nested models taken apart.

    Returns:
        The calls, and which of them give the model's outputs.
    """
    calls: list[Call] = []

    def visit(layer: Any, *args: Any, **kwargs: Any) -> _Token:
        taken = keras.tree.flatten((args, kwargs))
        calls.append(
            Call(
                layer=id(layer),
                name=layer.name,
                layer_class=_class_of(layer),
                activation=_activation(layer),
                sources=tuple(item.source for item in taken if isinstance(item, _Token)),
                last_axis=_over_last_axis(layer),
            )
        )
        return _Token(len(calls) - 1)

    given = keras.tree.flatten(walk(model, [_Token(-1) for _ in model.inputs], visit))
    return tuple(calls), tuple(token.source for token in given if token.source >= 0)


def make_student(model: Any, plan: Sequence[Step]) -> Student:
    """Build the student of a functional model after a plan of its calls."""
    builder = _Builder(plan, _layers_in_order(model))
    inputs = [
        keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=tensor.name)
        for tensor in model.inputs
    ]
    first = [builder.quantized(tensor) if "float" in tensor.dtype else tensor for tensor in inputs]
    outputs = walk(model, first, builder.visit)
    return Student(
        keras.Model(inputs, keras.tree.flatten(outputs)),
        tuple(builder.activations),
        tuple(builder.weighted.values()),
        tuple(builder.watched),
    )


class _Builder:
    """State of one rebuild: the place in the plan, and what was made."""

    def __init__(self, plan: Sequence[Step], layers: Sequence[Any]) -> None:
        self._plan = plan
        self._layers = layers
        self._next = 0
        self.activations: list[FakeQuantize] = []
        self.watched: list[Any] = []
        self.weighted: dict[int, WithRoundedWeights] = {}

    def visit(self, layer: Any, *args: Any, **kwargs: Any) -> Any:
        step = self._plan[self._next]
        self._next += 1
        if step.skip:
            output = args[0]
        elif step.kind == "weights":
            output = self._with_weights(layer, step, args[0].shape)(args[0])
        elif step.kind == "norm":
            factor, offset = affine(layer)
            output = Plus(offset)(self.quantized(Times(factor)(args[0])))
        else:
            kwargs.pop("training", None)
            output = layer(*args, **kwargs)
        if step.quantize:
            output = self.quantized(output)
        if step.split:
            output = layer.activation(output)
        return output

    def quantized(self, tensor: Any) -> Any:
        quantize = FakeQuantize()
        self.activations.append(quantize)
        self.watched.append(tensor)
        return quantize(tensor)

    def _with_weights(self, layer: Any, step: Step, shape: Any) -> WithRoundedWeights:
        known = self.weighted.get(id(layer))
        if known is not None:
            return known
        config = layer.get_config() | {"use_bias": True, "trainable": True}
        if step.split:
            config["activation"] = "linear"
        copy = type(layer).from_config(config)
        copy.build(shape)
        copy.kernel.assign(layer.kernel)
        if layer.use_bias:
            copy.bias.assign(layer.bias)
        if step.norm is not None:
            fold(copy, self._layers[step.norm])
        wrapped = WithRoundedWeights(copy)
        self.weighted[id(layer)] = wrapped
        return wrapped


def _layers_in_order(model: Any) -> list[Any]:
    layers: list[Any] = []

    def visit(layer: Any, *args: Any, **kwargs: Any) -> _Token:
        del args, kwargs
        layers.append(layer)
        return _Token(len(layers) - 1)

    walk(model, [_Token(-1) for _ in model.inputs], visit)
    return layers


def _class_of(layer: Any) -> str:
    name = type(layer).__name__
    if name != "ReLU" or not isinstance(layer, keras.layers.ReLU):
        return name
    if layer.threshold or layer.max_value not in {None, 6}:
        return "ReLU with a threshold or a maximum other than 6"
    return "LeakyReLU" if layer.negative_slope else name


def _activation(layer: Any) -> str:
    function = getattr(layer, "activation", None)
    return "linear" if function is None else str(getattr(function, "__name__", function))


def _over_last_axis(layer: Any) -> bool:
    if not isinstance(layer, keras.layers.BatchNormalization):
        return True
    # Files of Keras 2 give a list of one.
    (axis,) = layer.axis if isinstance(layer.axis, list | tuple) else (layer.axis,)
    return bool(axis in {-1, layer.input_spec.ndim - 1})
