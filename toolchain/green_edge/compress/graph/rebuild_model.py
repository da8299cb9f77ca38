"""Builds a Keras model anew, call by call, with changed layers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
from numpy.typing import NDArray

from green_edge.convert.keras_graph import flat, walk

Array = NDArray[Any]
# By layer: values in its configuration, by the path to them.
Settings = Mapping[str, Mapping[tuple[str | int, ...], int]]
# Of a layer's name: its weights in order, and what they become.
Cut = Callable[[Any, list[Array]], list[Array]]


def rebuilt(
    model: Any,
    settings: Settings | None = None,
    cut: Cut | None = None,
    instead: Mapping[str, Sequence[Any]] | None = None,
) -> Any:
    """A flat copy of a functional or sequential model, with its own weights.

    It takes its inputs as a list, in the order of `model.inputs`, where there are several.

    Args:
        model: that is copied.
        settings: numbers to change in the configurations.
        cut: changes the weights.
        instead: built layers that are called one after the other in the place of one.

    Raises:
        ModelError: a subclassed model.
    """
    model = flat(model)
    builder = _Builder(model, settings or {}, instead or {})
    inputs = [
        keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=tensor.name)
        for tensor in model.inputs
    ]
    outputs = walk(model, inputs, builder.visit)
    made = keras.Model(inputs if len(inputs) > 1 else inputs[0], outputs, name=model.name)
    for old, new in builder.pairs:
        weights = old.get_weights()
        if weights:
            new.set_weights(weights if cut is None else cut(old, weights))
        if isinstance(new, keras.layers.Normalization):
            new.finalize_state()
    return made


class _Builder:
    """State of one copy: the layers made so far."""

    def __init__(
        self, model: Any, settings: Settings, instead: Mapping[str, Sequence[Any]]
    ) -> None:
        self._settings = settings
        self._instead = instead
        self._made: dict[int, tuple[Any, ...]] = {}
        self._names = {tensor.name for tensor in model.inputs}
        self.pairs: list[tuple[Any, Any]] = []

    def visit(self, layer: Any, *args: Any, **kwargs: Any) -> Any:
        if id(layer) not in self._made:
            self._made[id(layer)] = self._copies(layer)
        first, *rest = self._made[id(layer)]
        output = first(*args, **kwargs)
        for each in rest:
            output = each(output)
        return output

    def _copies(self, layer: Any) -> tuple[Any, ...]:
        sources = self._instead.get(layer.name, (layer,))
        copies = tuple(self._copy(each) for each in sources)
        if isinstance(layer, keras.Layer):
            self.pairs.extend(zip(sources, copies, strict=True))
        return copies

    def _copy(self, layer: Any) -> Any:
        name = self._free(layer.name)
        if isinstance(layer, keras.layers.Lambda):
            # Its code cannot go through a configuration.
            return _lambda(layer, name)
        if not isinstance(layer, keras.Layer):
            return _operation(layer, name, self._settings.get(layer.name, {}))
        config = _unbuilt(layer.get_config()) | {"name": name}
        for path, value in self._settings.get(layer.name, {}).items():
            config = _with(config, path, value)
        return type(layer).from_config(config)

    def _free(self, name: str) -> str:
        free, number = name, 0
        while free in self._names:
            number += 1
            free = f"{name}_{number}"
        self._names.add(free)
        return free


def _lambda(layer: Any, name: str) -> Any:
    return keras.layers.Lambda(
        layer.function,
        output_shape=layer._output_shape,  # noqa: SLF001 - has no public name
        mask=layer.mask,
        arguments=layer.arguments,
        name=name,
        dtype=layer.dtype_policy,
    )


def _operation(operation: Any, name: str, settings: Mapping[tuple[str | int, ...], int]) -> Any:
    """A copy of a bare operation; one whose arguments are no plain values is used itself."""
    try:
        config = operation.get_config()
    except NotImplementedError:
        return operation
    for path, value in settings.items():
        config = _with(config, path, value)
    copy = type(operation).from_config(config)
    copy.name = name
    return copy


def _unbuilt(value: Any) -> Any:
    """A configuration whose inner layers are not yet built, for their inputs may have changed."""
    if isinstance(value, dict):
        return {key: _unbuilt(each) for key, each in value.items() if key != "build_config"}
    return [_unbuilt(each) for each in value] if type(value) is list else value


def _with(value: Any, path: tuple[str | int, ...], new: int) -> Any:
    """A configuration with one of its numbers changed; a sequence that is absent has one."""
    if not path:
        return new
    key, *rest = path
    if isinstance(key, int):
        items = [0] * (key + 1) if value is None else list(value)
        items[key] = _with(items[key], tuple(rest), new)
        return type(value)(items) if isinstance(value, tuple) else items
    return {**value, key: _with(value[key], tuple(rest), new)}
