"""Inputs that are token ids although the model calls them real numbers."""

import flatbuffers
import pytest
from ai_edge_litert import schema_py_generated as schema

from green_edge.convert.token_ids import refuse_real_ids
from green_edge_wire.errors import ModelError


def cast_of(source: int, target: int) -> bytes:
    """A model of one CAST."""
    graph = schema.SubGraphT()
    graph.tensors = []
    for name, kind in ((b"ids", source), (b"cast", target)):
        tensor = schema.TensorT()
        tensor.name, tensor.type, tensor.shape = name, kind, [1, 4]
        graph.tensors.append(tensor)
    op = schema.OperatorT()
    op.inputs, op.outputs = [0], [1]
    graph.operators, graph.inputs, graph.outputs = [op], [0], [1]
    code = schema.OperatorCodeT()
    code.builtinCode, code.version = schema.BuiltinOperator.CAST, 1
    model = schema.ModelT()
    model.version, model.operatorCodes, model.subgraphs = 3, [code], [graph]
    model.buffers = [schema.BufferT()]
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_a_real_input_that_is_only_cast_to_integers_is_refused() -> None:
    kinds = schema.TensorType
    with pytest.raises(ModelError, match="input 'ids' takes token ids as real numbers"):
        refuse_real_ids(cast_of(kinds.FLOAT32, kinds.INT32))


def test_integer_ids_and_real_casts_pass() -> None:
    kinds = schema.TensorType
    refuse_real_ids(cast_of(kinds.INT32, kinds.INT64))
    refuse_real_ids(cast_of(kinds.FLOAT32, kinds.FLOAT16))
