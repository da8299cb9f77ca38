"""The quantizer's recipe with some layers wider than int8."""

import re
from collections.abc import Sequence

from ai_edge_quantizer import qtyping, recipe_manager
from ai_edge_quantizer.algorithm_manager import AlgorithmName

from green_edge.convert.int8.graph import Graph
from green_edge.core.recipe import WideDtype
from green_edge_wire.errors import ModelError

_EVERY = ".*"
_BITS = 8
_WIDE_BITS = 16


def recipe(
    tflite: bytes, layers: Sequence[str], dtype: WideDtype
) -> qtyping.ModelQuantizationRecipe:
    """Int8 throughout, save for the operations whose first output is one of `layers`.

    Around them the quantizer puts the conversions; input and output stay int8.

    Raises:
        ModelError: no operation of the model gives one of these tensors, or the quantizer does
            not know the operation.
    """
    rules = recipe_manager.RecipeManager()
    rules.add_static_config(_EVERY, qtyping.TFLOperationName.ALL_SUPPORTED, _BITS, _BITS)
    made = _made(tflite)
    for layer in layers:
        if layer not in made:
            hint = "layers go by the names of their output tensors: see `green-edge inspect`"
            raise ModelError(f"no operation gives a tensor {layer!r}", hint=hint)
        # The rule names the operation too: the quantizer's own input and output operations bear
        # the same scope where the layer is the last, and shall stay int8.
        scope, operation = f"^{re.escape(layer)};", made[layer]
        if dtype == "float32":
            rules.add_quantization_config(scope, operation, None, AlgorithmName.NO_QUANTIZE)
        else:
            _add_int16(rules, scope, operation)
    return rules.get_quantization_recipe()


def _add_int16(
    rules: recipe_manager.RecipeManager, scope: str, operation: qtyping.TFLOperationName
) -> None:
    try:
        rules.add_static_config(scope, operation, _WIDE_BITS, _BITS)
    except ValueError as error:
        hint = "leave it in float32"
        message = f"the quantizer has no int16 {operation.value}"
        raise ModelError(message, hint=hint) from error


def _made(tflite: bytes) -> dict[str, qtyping.TFLOperationName]:
    """The operation behind each tensor, where the quantizer knows it."""
    graph = Graph(tflite)
    known = {name.value: name for name in qtyping.TFLOperationName}
    return {
        graph.name(op.outputs[0]): known[op.name]
        for op in graph.operators()
        if op.outputs and op.name in known
    }
