"""Replaces operations of a model by `edgetpu-custom-op`, as the Edge TPU compiler does."""

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from support.edgetpu_files import (
    EXECUTION_ONLY,
    PARAMETER_CACHING,
    Executable,
    custom_options,
    dense_layer,
    package,
)


def partition(tflite: bytes, mapped: set[int], *, several: bool = False) -> bytes:
    """Make the compiled form of a model.

    Args:
        tflite: the model.
        mapped: operations that go to the chip.
        several: make a part of each run of them, in place of one in all.
    """
    model = schema.ModelT.InitFromPackedBuf(tflite, 0)
    graph = model.subgraphs[0]
    model.description = b"Exported from Subgraph."
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode, code.version = b"edgetpu-custom-op", 1
    model.operatorCodes.append(code)
    ordered: list[Any] = []
    for part in _parts(graph, mapped, several=several):
        if part[0] in mapped:
            ordered.append(_custom(model, graph, part, len(model.operatorCodes) - 1))
        else:
            ordered += [graph.operators[i] for i in part]
    graph.operators = ordered
    _drop_unused_constants(model, graph)
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _parts(graph: Any, mapped: set[int], *, several: bool) -> list[list[int]]:
    """Operations by where they run, in an order that can be executed."""
    everything = range(len(graph.operators))
    if not several:
        chip = {int(t) for i in mapped for t in graph.operators[i].outputs}
        behind: set[int] = set()
        for i in everything:
            if i not in mapped and chip & {int(t) for t in graph.operators[i].inputs}:
                behind.add(i)
                chip |= {int(t) for t in graph.operators[i].outputs}
        before = [i for i in everything if i not in mapped and i not in behind]
        return [part for part in (before, sorted(mapped), sorted(behind)) if part]
    runs: list[list[int]] = []
    for i in everything:
        if runs and (runs[-1][-1] in mapped) == (i in mapped):
            runs[-1].append(i)
        else:
            runs.append([i])
    return runs


def _custom(model: Any, graph: Any, part: Sequence[int], code: int) -> Any:
    operators = [graph.operators[i] for i in part]
    made = {int(t) for op in operators for t in op.outputs}
    used = [int(t) for op in operators for t in op.inputs if t >= 0 and int(t) not in made]
    constant = {t for t in used if _bytes(model, graph, t)}
    others = [op for op in graph.operators if op not in operators]
    wanted = {int(t) for op in others for t in op.inputs} | {int(t) for t in graph.outputs}
    parameters = b"".join(_bytes(model, graph, t) for t in sorted(constant))
    executables = (
        Executable(kind=EXECUTION_ONLY, narrow_bytes=2048),
        Executable(kind=PARAMETER_CACHING, parameters=parameters),
    )
    custom = schema.OperatorT()
    custom.opcodeIndex = code
    custom.inputs = sorted({t for t in used if t not in constant})
    custom.outputs = sorted(made & wanted)
    # A FlexBuffer is read from its end, so what the test's delegate computes may stand before it.
    options = _computed(model, graph, operators) + custom_options(package(executables))
    custom.customOptions = np.frombuffer(options, np.uint8)
    return custom


def _computed(model: Any, graph: Any, operators: Sequence[Any]) -> bytes:
    """A lone int8 dense layer as the test's delegate takes it; nothing for any other part."""
    codes = {model.operatorCodes[op.opcodeIndex].builtinCode for op in operators}
    if len(operators) != 1 or codes != {schema.BuiltinOperator.FULLY_CONNECTED}:
        return b""
    (op,) = operators
    x, w, y = (graph.tensors[t] for t in (op.inputs[0], op.inputs[1], op.outputs[0]))
    weights = np.frombuffer(_bytes(model, graph, op.inputs[1]), np.int8).reshape(w.shape)
    scales = (np.array(t.quantization.scale, np.float64) for t in (x, w, y))
    x_scale, w_scale, y_scale = scales
    biases = np.zeros(len(weights), np.int32)
    if len(op.inputs) > 2 and op.inputs[2] >= 0:
        biases = np.frombuffer(_bytes(model, graph, op.inputs[2]), np.int32)
    return dense_layer(
        weights,
        np.broadcast_to(x_scale * w_scale / y_scale, len(weights)),
        biases,
        (int(x.quantization.zeroPoint[0]), int(y.quantization.zeroPoint[0])),
    )


def _bytes(model: Any, graph: Any, index: int) -> bytes:
    data = model.buffers[graph.tensors[index].buffer].data
    return b"" if data is None else bytes(data)


def _drop_unused_constants(model: Any, graph: Any) -> None:
    kept = {int(t) for op in graph.operators for t in op.inputs if t >= 0}
    buffers = {graph.tensors[t].buffer for t in kept}
    for index, buffer in enumerate(model.buffers):
        if index not in buffers:
            buffer.data = None
