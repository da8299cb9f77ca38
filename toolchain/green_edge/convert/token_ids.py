"""Token ids that a model takes as real numbers, which int8 would round to other tokens."""

from ai_edge_litert import schema_py_generated as schema

from green_edge.convert.signature import names
from green_edge_wire.errors import ModelError

_INTEGERS = frozenset({schema.TensorType.INT32, schema.TensorType.INT64})


def refuse_real_ids(tflite: bytes) -> None:
    """Refuse a float model whose real-valued input is only cast to integers, as ids are.

    Raises:
        ModelError: naming the input and what to change.
    """
    model = schema.ModelT.InitFromPackedBuf(tflite, 0)
    graph = model.subgraphs[0]
    for index, name in zip(graph.inputs, names(tflite).inputs, strict=True):
        users = [op for op in graph.operators if index in op.inputs]
        real = graph.tensors[index].type == schema.TensorType.FLOAT32
        if real and users and all(_casts_to_integers(model, graph, op) for op in users):
            raise ModelError(
                f"input {name!r} takes token ids as real numbers, "
                "which int8 would round to other tokens",
                hint="declare it as integers: keras.Input((length,), dtype='int32')",
            )


def _casts_to_integers(model: schema.ModelT, graph: schema.SubGraphT, op: schema.OperatorT) -> bool:
    code = model.operatorCodes[op.opcodeIndex].builtinCode
    return code == schema.BuiltinOperator.CAST and graph.tensors[op.outputs[0]].type in _INTEGERS
