"""The scales of int8 LSTMs as the TF converter leaves them, mended in files made by hand."""

from typing import Any

import flatbuffers
import pytest
from ai_edge_litert import schema_py_generated as schema

from green_edge.convert.lstm_int8 import mend

Quantization = tuple[float, int]

OWN: Quantization = (0.005, -6)
CELL: Quantization = (2.0**-14, 0)
INPUTS = 24


def tensor(name: str, kind: int, quantization: Quantization) -> schema.TensorT:
    made = schema.TensorT()
    made.name, made.type, made.shape = name.encode(), kind, [1, 6]
    made.quantization = schema.QuantizationParametersT()
    made.quantization.scale, made.quantization.zeroPoint = [quantization[0]], [quantization[1]]
    return made


def model_with(
    *, hidden: Quantization = OWN, cell: Quantization = CELL, output: Quantization = OWN
) -> bytes:
    """An LSTM of which only what `mend` looks at is there, then a RESHAPE."""
    int8 = schema.TensorType.INT8
    graph = schema.SubGraphT()
    graph.tensors = [
        tensor("input", int8, (0.01, 0)),
        tensor("hidden", int8, hidden),
        tensor("cell", schema.TensorType.INT16, cell),
        tensor("intermediate", int8, OWN),
        tensor("output", int8, output),
        tensor("reshaped", int8, output),
    ]
    lstm, reshape = schema.OperatorT(), schema.OperatorT()
    lstm.inputs = [-1] * INPUTS
    lstm.inputs[0], lstm.inputs[18], lstm.inputs[19] = 0, 1, 2
    lstm.intermediates, lstm.outputs = [3, 3, 3, 3, 3], [4]
    reshape.opcodeIndex, reshape.inputs, reshape.outputs = 1, [4], [5]
    graph.operators, graph.inputs, graph.outputs = [lstm, reshape], [0], [5]
    model = schema.ModelT()
    model.version, model.subgraphs, model.buffers = 3, [graph], [schema.BufferT()]
    builtins = schema.BuiltinOperator
    for builtin in (builtins.UNIDIRECTIONAL_SEQUENCE_LSTM, builtins.RESHAPE):
        code = schema.OperatorCodeT()
        code.builtinCode, code.version = builtin, 1
        model.operatorCodes = [*(model.operatorCodes or []), code]
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def opened(content: bytes) -> Any:
    return schema.ModelT.InitFromPackedBuf(content, 0)


def quantization(graph: Any, index: int) -> Quantization:
    found = graph.tensors[index].quantization
    return float(found.scale[0]), int(found.zeroPoint[0])


def test_an_lstm_with_one_scale_throughout_is_left_byte_for_byte() -> None:
    content = model_with()
    assert mend(content) == content


def test_a_moved_output_gets_its_scale_back_and_a_quantize_to_the_consumers() -> None:
    model = opened(mend(model_with(output=(0.009, 3))))
    graph = model.subgraphs[0]
    builtins = [model.operatorCodes[op.opcodeIndex].builtinCode for op in graph.operators]
    assert builtins[1] == schema.BuiltinOperator.QUANTIZE
    lstm, quantize, reshape = graph.operators
    assert quantization(graph, lstm.outputs[0]) == pytest.approx(OWN)
    assert quantize.inputs[0] == lstm.outputs[0]
    assert quantize.outputs[0] == reshape.inputs[0] == 4
    assert quantization(graph, 4) == pytest.approx((0.009, 3))


def test_a_moved_hidden_state_gets_the_scale_that_the_kernel_writes() -> None:
    graph = opened(mend(model_with(hidden=(0.003, 1)))).subgraphs[0]
    assert quantization(graph, 1) == pytest.approx(OWN)
    assert len(graph.operators) == 2


def test_a_cell_state_finer_than_the_kernel_computes_gets_the_finest_that_it_does() -> None:
    graph = opened(mend(model_with(cell=(2.0**-19, 0)))).subgraphs[0]
    assert quantization(graph, 2) == (2.0**-15, 0)
