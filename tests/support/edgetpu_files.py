"""A `.tflite` as the Edge TPU compiler writes it, made without the compiler.

Its `edgetpu-custom-op` carries a real package (FlexBuffer map, key `4`, FlatBuffer DWN1) with
executables of which only what describes them is filled in: no chip would run it.
"""

import struct
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers
from numpy.typing import NDArray

STAND_ALONE, PARAMETER_CACHING, EXECUTION_ONLY = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Executable:
    """What an executable says of itself."""

    kind: int = STAND_ALONE
    parameters: bytes = b""
    instructions: tuple[bytes, ...] = (b"\x00" * 16,)
    scratch_bytes: int = 0
    narrow_bytes: int = 0
    cycles: int = 0


CACHED = (
    Executable(kind=EXECUTION_ONLY, parameters=b"s" * 64, narrow_bytes=2048, scratch_bytes=32),
    Executable(kind=PARAMETER_CACHING, parameters=b"c" * 4096, narrow_bytes=512),
)


def package(
    executables: tuple[Executable, ...] = CACHED, *, min_runtime_version: int = 14
) -> bytes:
    """A package (DWN1) of executables."""
    inner = flatbuffers.Builder()
    parts = [inner.CreateByteVector(_executable(each)) for each in executables]
    inner.StartVector(4, len(parts), 4)
    for part in reversed(parts):
        inner.PrependUOffsetTRelative(part)
    vector = inner.EndVector()
    inner.StartObject(1)
    inner.PrependUOffsetTRelativeSlot(0, vector, 0)
    inner.Finish(inner.EndObject())

    builder = flatbuffers.Builder()
    content = builder.CreateByteVector(bytes(inner.Output()))
    version = builder.CreateString("cl/")
    identifier = builder.CreateString("")
    builder.StartObject(8)
    builder.PrependInt32Slot(0, min_runtime_version, 0)
    builder.PrependUOffsetTRelativeSlot(1, content, 0)
    builder.PrependUOffsetTRelativeSlot(4, version, 0)
    builder.PrependUOffsetTRelativeSlot(7, identifier, 0)
    builder.Finish(builder.EndObject(), b"DWN1")
    return bytes(builder.Output())


def compiled_tflite(content: bytes | None = None, *, cpu_ops: int = 0, nodes: int = 1) -> bytes:
    """An int8 model of `nodes` custom operations in a row, then `cpu_ops` RELUs.

    `content` stands for the package; without one it is `package()`.
    """
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.description = 3, b"Exported from Subgraph."
    custom, relu = schema.OperatorCodeT(), schema.OperatorCodeT()
    custom.builtinCode = custom.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    custom.customCode, custom.version = b"edgetpu-custom-op", 1
    relu.builtinCode = relu.deprecatedBuiltinCode = schema.BuiltinOperator.RELU
    relu.version = 2
    graph.tensors = [_tensor(i) for i in range(nodes + cpu_ops + 1)]
    graph.inputs, graph.outputs = [0], [nodes + cpu_ops]
    options = custom_options(package() if content is None else content)
    graph.operators = [_operator(i, i < nodes, options) for i in range(nodes + cpu_ops)]
    model.operatorCodes, model.subgraphs = [custom, relu], [graph]
    model.buffers = [schema.BufferT()]
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _operator(index: int, custom: bool, options: bytes) -> Any:
    operator = schema.OperatorT()
    operator.opcodeIndex = 0 if custom else 1
    operator.inputs, operator.outputs = [index], [index + 1]
    if custom:
        operator.customOptions = np.frombuffer(options, np.uint8)
    return operator


def custom_options(content: bytes) -> bytes:
    """What the operation carries: a FlexBuffer map with the package."""
    builder = flexbuffers.Builder()
    with builder.Map():
        builder.Key("1")
        builder.Int(1)
        builder.Key("4")
        # The compiler stores a string; Python's builder would encode it, so a blob stands here.
        builder.Blob(content)
    return bytes(builder.Finish())


def dense_layer(
    weights: NDArray[np.int8],
    multipliers: NDArray[Any],
    biases: NDArray[np.int32],
    zero_points: tuple[int, int] = (0, 0),
) -> bytes:
    """What the delegate of `edgetpu_delegate.c` computes, for the beginning of the options.

    Args:
        weights: (outputs, inputs).
        multipliers: of each output: scales of input and weights over that of the output.
        biases: of each output.
        zero_points: of input and output.
    """
    outputs, inputs = weights.shape
    head = struct.pack("<4i", inputs, outputs, *zero_points)
    return head + multipliers.astype("<f4").tobytes() + biases.tobytes() + weights.tobytes()


def _tensor(index: int) -> Any:
    tensor = schema.TensorT()
    tensor.name, tensor.shape = f"t{index}".encode(), [1, 8]
    tensor.type, tensor.buffer = schema.TensorType.INT8, 0
    tensor.quantization = schema.QuantizationParametersT()
    tensor.quantization.scale, tensor.quantization.zeroPoint = [0.1], [0]
    return tensor


def _executable(facts: Executable) -> bytes:
    builder = flatbuffers.Builder()
    streams = []
    for code in facts.instructions:
        content = builder.CreateByteVector(code)
        builder.StartObject(2)
        builder.PrependUOffsetTRelativeSlot(0, content, 0)
        streams.append(builder.EndObject())
    builder.StartVector(4, len(streams), 4)
    for stream in reversed(streams):
        builder.PrependUOffsetTRelative(stream)
    instructions = builder.EndVector()
    parameters = builder.CreateByteVector(facts.parameters)
    builder.StartObject(17)
    builder.PrependInt32Slot(4, facts.scratch_bytes, 0)
    builder.PrependUOffsetTRelativeSlot(5, instructions, 0)
    builder.PrependUOffsetTRelativeSlot(6, parameters, 0)
    builder.PrependInt32Slot(11, facts.cycles, 0)
    builder.PrependInt32Slot(12, facts.narrow_bytes, 0)
    builder.PrependInt16Slot(13, facts.kind, 0)
    builder.Finish(builder.EndObject())
    return bytes(builder.Output())
