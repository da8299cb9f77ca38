"""Models of a few operations, named by type and version, as converters of any age write them.

No weights are worth anything: what reads these files looks at types, shapes and versions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

_BYTES = {"float16": 2, "int8": 1, "uint8": 1, "int16": 2, "int32": 4, "float32": 4, "int64": 8}


@dataclass(frozen=True, slots=True)
class T:
    """A tensor.

    Attributes:
        scale: of a quantized one; int8 has one unless it is set to None.
        constant: content: zeros, or whole numbers given.
        signature: its shape with -1 for each unknown axis.
    """

    shape: tuple[int, ...]
    dtype: str = "int8"
    scale: float | None = 0.05
    constant: bool | tuple[int, ...] = False
    signature: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """An operation.

    Attributes:
        op: builtin name, or that of a custom operation.
        inputs: positions in the list of tensors.
        options: name of the schema's table and its fields.
    """

    op: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    version: int = 1
    options: tuple[str, dict[str, Any]] | None = None


def op_model(
    tensors: Sequence[T],
    steps: Sequence[Step],
    inputs: Sequence[int] = (0,),
    outputs: Sequence[int] | None = None,
    *,
    inner: Sequence[tuple[str, int]] = (),
) -> bytes:
    """A `.tflite` of these operations; the last tensor is the output unless told otherwise.

    `inner` are types and versions in the file's table that the main graph does not use.
    """
    buffers = [schema.BufferT()]
    graph: Any = schema.SubGraphT()
    graph.name = b"main"
    graph.tensors = [_tensor(i, tensor, buffers) for i, tensor in enumerate(tensors)]
    graph.inputs = list(inputs)
    graph.outputs = [len(tensors) - 1] if outputs is None else list(outputs)
    codes = [_code(step.op, step.version) for step in steps]
    graph.operators = [_operator(i, step) for i, step in enumerate(steps)]
    model: Any = schema.ModelT()
    model.version, model.subgraphs, model.buffers = 3, [graph], buffers
    model.operatorCodes = [*codes, *(_code(op, version) for op, version in inner)]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _tensor(index: int, tensor: T, buffers: list[Any]) -> Any:
    made: Any = schema.TensorT()
    made.name, made.shape = f"t{index}".encode(), list(tensor.shape)
    made.type = getattr(schema.TensorType, tensor.dtype.upper())
    made.buffer = 0
    if tensor.signature:
        made.shapeSignature = list(tensor.signature)
    if tensor.constant is not False:
        content: Any = schema.BufferT()
        content.data = np.zeros(prod(tensor.shape) * _BYTES[tensor.dtype], np.uint8)
        if tensor.constant is not True:
            content.data = np.array(tensor.constant, tensor.dtype).view(np.uint8)
        buffers.append(content)
        made.buffer = len(buffers) - 1
    if tensor.scale is not None and tensor.dtype in ("int8", "uint8", "int16"):
        made.quantization = schema.QuantizationParametersT()
        made.quantization.scale, made.quantization.zeroPoint = [tensor.scale], [0]
    return made


def _code(op: str, version: int) -> Any:
    builtin = getattr(schema.BuiltinOperator, op, schema.BuiltinOperator.CUSTOM)
    code: Any = schema.OperatorCodeT()
    code.builtinCode, code.deprecatedBuiltinCode = builtin, min(builtin, 127)
    code.version = version
    if builtin == schema.BuiltinOperator.CUSTOM:
        code.customCode = op.encode()
    return code


def _operator(index: int, step: Step) -> Any:
    made: Any = schema.OperatorT()
    made.opcodeIndex = index
    made.inputs, made.outputs = list(step.inputs), list(step.outputs)
    if step.options is not None:
        table, fields = step.options
        options = getattr(schema, f"{table}T")()
        for name, value in fields.items():
            setattr(options, name, value)
        made.builtinOptionsType = getattr(schema.BuiltinOptions, table)
        made.builtinOptions = options
    return made


def conv(
    version: int = 3,
    *,
    out: int = 8,
    size: int = 16,
    channels: int = 8,
    depth: int = 8,
    scale: float = 0.05,
    activation: int = 0,
) -> bytes:
    """A 3x3 convolution in int8 on an image (1, size, size, channels); `depth` is its filters'."""
    options = {"strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1,
               "padding": schema.Padding.SAME, "fusedActivationFunction": activation}  # fmt: skip
    tensors = [
        T((1, size, size, channels)),
        T((out, 3, 3, depth), constant=True),
        T((out,), "int32", constant=True),
        T((1, size, size, out), scale=scale),
    ]
    return op_model(
        tensors, [Step("CONV_2D", (0, 1, 2), (3,), version, ("Conv2DOptions", options))]
    )


def dense(version: int, activation: str, weights: str) -> bytes:
    """A fully connected layer with activations and weights of these types."""
    tensors = [
        T((1, 4), activation),
        T((3, 4), weights, constant=True),
        T((3,), "float32" if activation == "float32" else "int32", constant=True),
        T((1, 3), activation),
    ]
    options: tuple[str, dict[str, Any]] = ("FullyConnectedOptions", {})
    return op_model(tensors, [Step("FULLY_CONNECTED", (0, 1, 2), (3,), version, options)])


def alone(op: str, version: int = 1, *, dtype: str = "int8") -> bytes:
    """An operation with one input and one output of (1, 4, 4, 8)."""
    return op_model(
        [T((1, 4, 4, 8), dtype), T((1, 4, 4, 8), dtype)], [Step(op, (0,), (1,), version)]
    )
