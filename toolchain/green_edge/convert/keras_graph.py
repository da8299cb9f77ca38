"""The calls of a functional Keras model in order, nested models taken apart."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from green_edge_wire.errors import ModelError

# Called for every call of a layer or operation, with it and its arguments; gives its outputs.
Visit = Callable[..., Any]


def flat(model: Any) -> Any:
    """A sequential model as a functional one; a functional one as it is.

    Raises:
        ModelError: neither, so that its layers are code.
    """
    if isinstance(model, keras.Sequential) and model.built:
        return keras.Model(model.inputs[0], model.outputs[0])
    if isinstance(model, keras.Model) and hasattr(model, "_run_through_graph"):
        return model
    name = getattr(model, "name", type(model).__name__)
    raise ModelError(
        f"{name!r} is no functional or sequential Keras model with known inputs",
        hint="a subclassed model hides its graph; rebuild it with keras.Model(inputs, outputs)",
    )


def walk(model: Any, tensors: Sequence[Any], visit: Visit) -> Any:
    """Call `visit` for each call of the graph in order; those of nested models are among them.

    Args:
        model: functional.
        tensors: what stands for its inputs.
        visit: told of each call.

    Returns:
        What stands for its outputs, in their structure.
    """

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(layer, keras.Model):
            inner = flat(layer)
            return walk(inner, _in_order(inner, args[0] if args else kwargs["inputs"]), visit)
        return visit(layer, *args, **kwargs)

    # The public way around it, clone_model, would share no code with nested models.
    return model._run_through_graph(list(tensors), call_fn=call)  # noqa: SLF001


def _in_order(model: Any, given: Any) -> list[Any]:
    """What a model is called with, in the order of its inputs; some are given by their names."""
    if isinstance(given, dict) and isinstance(model.input, list):
        given = [given[tensor.name] for tensor in model.inputs]
    tensors: list[Any] = keras.tree.flatten(given)
    return tensors
