"""Mends what the TF converter gets wrong in the scales of an int8 UNIDIRECTIONAL_SEQUENCE_LSTM.

All of it passes silently: the file loads and runs, and its answers are wrong.
"""

import copy
from collections.abc import Iterator
from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

_LSTM = schema.BuiltinOperator.UNIDIRECTIONAL_SEQUENCE_LSTM
# Places among the operation's inputs and intermediates, unidirectional_sequence_lstm.cc.
_HIDDEN_STATE, _CELL_STATE = 18, 19
_HIDDEN = 4

# The kernel's int16 tanh knows 0 to 6 integer bits and leaves its output unset for fewer, so a
# cell state that calibration saw below 1/2 in size must not get a finer step than this.
_LEAST_CELL_SCALE = 2.0**-15


def mend(tflite: bytes) -> bytes:
    """Correct the LSTMs of an int8 model; one without faults is returned as it is.

    The kernel writes its output in the scale of its fifth intermediate, that of all steps' hidden
    states. Consumers that want equal scales or look at the last step alone, such as the
    concatenation of two directions, move the scales of the output and of the hidden state away from
    it. Both get it back, and a QUANTIZE brings the output to the consumer's.
    """
    if not _has_lstm(tflite):
        return tflite
    model = schema.ModelT.InitFromPackedBuf(tflite, 0)
    changed = [_mend(model, graph, i) for graph in model.subgraphs for i in _lstms(model, graph)]
    if not any(changed):
        return tflite
    builder = flatbuffers.Builder(len(tflite))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _has_lstm(tflite: bytes) -> bool:
    model = schema.Model.GetRootAs(tflite, 0)
    return any(
        model.OperatorCodes(i).BuiltinCode() == _LSTM for i in range(model.OperatorCodesLength())
    )


def _lstms(model: Any, graph: Any) -> Iterator[int]:
    """Places of the graph's int8 LSTMs, the last first: mending one moves those behind it."""
    for i in reversed(range(len(graph.operators))):
        op = graph.operators[i]
        code = model.operatorCodes[op.opcodeIndex].builtinCode
        if (
            code == _LSTM
            and graph.tensors[op.outputs[0]].type == schema.TensorType.INT8
            and op.intermediates is not None
        ):
            yield i


def _mend(model: Any, graph: Any, place: int) -> bool:
    op = graph.operators[place]
    written = graph.tensors[op.intermediates[_HIDDEN]].quantization
    hidden, cell = (graph.tensors[op.inputs[i]].quantization for i in (_HIDDEN_STATE, _CELL_STATE))
    given = graph.tensors[op.outputs[0]].quantization
    too_fine, hidden_moved = cell.scale[0] < _LEAST_CELL_SCALE, not _same(hidden, written)
    if too_fine:
        cell.scale = [_LEAST_CELL_SCALE]
    if hidden_moved:
        hidden.scale, hidden.zeroPoint = list(written.scale), list(written.zeroPoint)
    output_moved = not _same(given, written)
    if output_moved:
        _requantize(model, graph, place, written)
    return bool(too_fine or hidden_moved or output_moved)


def _same(one: Any, other: Any) -> bool:
    return bool(one.scale[0] == other.scale[0] and one.zeroPoint[0] == other.zeroPoint[0])


def _requantize(model: Any, graph: Any, place: int, written: Any) -> None:
    """Have the LSTM write a tensor in its own scale, and quantize that to what it wrote before."""
    op = graph.operators[place]
    output = int(op.outputs[0])
    own = copy.deepcopy(graph.tensors[output])
    own.name += b"/own_scale"
    own.buffer = 0
    own.quantization.scale = list(written.scale)
    own.quantization.zeroPoint = list(written.zeroPoint)
    graph.tensors.append(own)
    op.outputs = [len(graph.tensors) - 1]
    quantize = schema.OperatorT()
    quantize.opcodeIndex = _quantize_code(model)
    quantize.inputs, quantize.outputs = [len(graph.tensors) - 1], [output]
    graph.operators.insert(place + 1, quantize)


def _quantize_code(model: Any) -> int:
    wanted = schema.BuiltinOperator.QUANTIZE
    for i, code in enumerate(model.operatorCodes):
        if code.builtinCode == wanted:
            code.version = max(code.version, 2)  # int8 to int8
            return i
    code = schema.OperatorCodeT()
    code.builtinCode, code.deprecatedBuiltinCode, code.version = wanted, wanted, 2
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1
