"""Reads a .tflite with the flatbuffer schema that comes with the runtime.

Python's flatbuffers have no verifier: broken bytes show as errors of `struct` and the like while
reading, which become one ModelError here.
"""

import struct
import zlib
from collections.abc import Sequence
from math import prod
from typing import Any, get_args

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from green_edge.tflite.macs import macs_of
from green_edge.tflite.model import Op, OpCode, Tensor, TfliteModel
from green_edge.tflite.options import constant_names, read_options
from green_edge_wire.errors import DecodeError, ModelError
from green_edge_wire.manifest import Dtype, TensorSpec

_IDENTIFIER = b"TFL3"
_BROKEN = (struct.error, LookupError, ValueError, TypeError, AttributeError, OverflowError)
# int32 and int64 hold shapes and paddings as well; they are biases where they carry a scale.
_WEIGHT_DTYPES = {
    *("float32", "float16", "float64", "bfloat16"),
    *("int2", "int4", "uint4", "int8", "uint8", "int16"),
}
_BIAS_DTYPES = {"int32", "int64"}
_IO_DTYPES = get_args(Dtype)
# Constants up to this many whole numbers are shapes, axes, paddings and the like.
_SMALL = 64
_WHOLE: dict[str, np.dtype[Any]] = {"int32": np.dtype("<i4"), "int64": np.dtype("<i8")}
_QUANTIZED: dict[str, np.dtype[Any]] = {
    "int8": np.dtype("i1"),
    "uint8": np.dtype("u1"),
    "int32": np.dtype("<i4"),
}


def is_tflite(head: bytes) -> bool:
    """Whether a file's first eight bytes are those of a .tflite."""
    return head[4:8] == _IDENTIFIER


def read(data: bytes, *, static: bool = True, zipped: bool = True) -> TfliteModel:
    """Read a model.

    An unknown batch size is taken as 1, which is what the runtime does.

    Args:
        data: content of the file.
        static: refuse a model with an unknown axis other than the batch.
        zipped: measure the zipped size too, which takes most of the time.

    Raises:
        ModelError: not a .tflite, cut short, with inputs of a type that no data set can feed,
            or, when asked, with dynamic shapes.
    """
    if not is_tflite(data[:8]):
        hint = "give a .tflite, a Keras file (.keras, .h5) or a SavedModel folder"
        raise ModelError("not a .tflite: it does not begin as one", hint=hint)
    try:
        model = _read(data, zipped=zipped)
    except (*_BROKEN, DecodeError) as error:
        hint = "the file may be cut short; copy or export it again"
        raise ModelError(f"broken .tflite: {error}", hint=hint) from None
    if static and model.dynamic:
        names = ", ".join(repr(name) for name in model.dynamic)
        hint = "export it with a fixed shape; only the batch may be unknown"
        raise ModelError(f"dynamic shape of input {names}", hint=hint)
    return model


def _read(data: bytes, *, zipped: bool) -> TfliteModel:
    root = schema.Model.GetRootAs(data, 0)
    if root.SubgraphsLength() < 1:
        raise ValueError("it has no graph")
    sizes = [_buffer_bytes(root.Buffers(i)) for i in range(root.BuffersLength())]
    graph = root.Subgraphs(0)
    tensors, buffers = _tensors(root, graph, sizes)
    counted: set[int] = set()
    ops = tuple(_op(root, graph.Operators(i), i, tensors, buffers, counted)
                for i in range(graph.OperatorsLength()))  # fmt: skip
    inside = [_inner_params(root, root.Subgraphs(i), sizes, counted)
              for i in range(1, root.SubgraphsLength())]  # fmt: skip
    inputs, outputs = _indices(graph.InputsAsNumpy()), _indices(graph.OutputsAsNumpy())
    return TfliteModel(
        inputs=tuple(_spec(tensors[i]) for i in inputs),
        outputs=tuple(_spec(tensors[i]) for i in outputs),
        ops=ops,
        tensors=tensors,
        params=sum(op.params for op in ops) + sum(inside),
        macs=sum(op.macs for op in ops),
        size_bytes=len(data),
        zip_bytes=len(zlib.compress(data, 9)) if zipped else 0,
        subgraphs=root.SubgraphsLength(),
        dynamic=tuple(
            tensors[i].name for i in inputs if any(n < 0 for n in (tensors[i].signature or ())[1:])
        ),
        input_indices=inputs,
        output_indices=outputs,
        codes=tuple(_code(root.OperatorCodes(i)) for i in range(root.OperatorCodesLength())),
    )


def _buffer_bytes(buffer: Any) -> int:
    # Files over 2 GB keep their weights behind the flatbuffer, by offset and size.
    return int(buffer.Size()) if buffer.Offset() > 1 else int(buffer.DataLength())


def _tensors(root: Any, graph: Any, sizes: Sequence[int]) -> tuple[tuple[Tensor, ...], list[int]]:
    """Tensors of a graph, beside each the index of its buffer."""
    tensors, buffers = [], []
    for index in range(graph.TensorsLength()):
        raw = graph.Tensors(index)
        tensors.append(_tensor(root, raw, index, sizes[raw.Buffer()]))
        buffers.append(int(raw.Buffer()))
    return tuple(tensors), buffers


def _tensor(root: Any, raw: Any, index: int, constant_bytes: int) -> Tensor:
    quantization = raw.Quantization()
    channels = int(quantization.ScaleLength()) if quantization is not None else 0
    zero_points = int(quantization.ZeroPointLength()) if quantization is not None else 0
    zero_point = (int(quantization.ZeroPoint(0)) if zero_points else 0) if channels else None
    dtype = _TENSOR_TYPES[raw.Type()]
    content = root.Buffers(raw.Buffer()).DataAsNumpy() if constant_bytes else None
    signature = _indices(raw.ShapeSignatureAsNumpy())
    return Tensor(
        index=index,
        name=(raw.Name() or b"").decode("utf-8", "replace"),
        shape=tuple(max(n, 1) if n < 0 else n for n in _indices(raw.ShapeAsNumpy())),
        dtype=dtype,
        scale=float(quantization.Scale(0)) if channels else None,
        zero_point=zero_point,
        channels=channels,
        constant_bytes=constant_bytes,
        values=None if channels else _whole_numbers(content, dtype),
        signature=signature if any(n < 0 for n in signature) else None,
        all_zero=_all(content, dtype, zero_point),
        variable=bool(raw.IsVariable()),
        sparse=raw.Sparsity() is not None,
    )


def _whole_numbers(content: Any, dtype: str) -> tuple[int, ...] | None:
    kind = _WHOLE.get(dtype)
    # Content behind the flatbuffer, by offset, is no array here; only weights are kept there.
    if kind is None or not isinstance(content, np.ndarray):
        return None
    if content.size > _SMALL * kind.itemsize or content.size % kind.itemsize:
        return None
    return tuple(int(n) for n in np.frombuffer(content.tobytes(), kind))


def _all(content: Any, dtype: str, zero_point: int | None) -> bool:
    """Whether every value of a quantized constant is its zero point."""
    kind = _QUANTIZED.get(dtype)
    if kind is None or zero_point is None or not isinstance(content, np.ndarray):
        return False
    values = np.frombuffer(content, kind)
    # The first value settles it for nearly all weights, without a pass over them.
    return bool(values[0] == zero_point) and bool((values == zero_point).all())


def _op(
    root: Any,
    raw: Any,
    index: int,
    tensors: Sequence[Tensor],
    buffers: Sequence[int],
    counted: set[int],
) -> Op:
    code = _code(root.OperatorCodes(raw.OpcodeIndex()))
    inputs, outputs = _indices(raw.InputsAsNumpy()), _indices(raw.OutputsAsNumpy())
    weights = [tensors[i] for i in inputs if i >= 0 and _claim(tensors[i], buffers[i], counted)]
    return Op(
        index=index,
        op=code.op,
        version=code.version,
        inputs=inputs,
        outputs=outputs,
        macs=macs_of(code.op, _shapes(inputs, tensors), _shapes(outputs, tensors)),
        params=sum(prod(tensor.shape) for tensor in weights),
        weight_bytes=sum(tensor.constant_bytes for tensor in weights),
        name=tensors[outputs[0]].name if outputs else "",
        custom_code=code.custom_code,
        options=read_options(raw),
    )


def _code(raw: Any) -> OpCode:
    # Codes above 127 stand in the newer field, older files have the older one only.
    op = _OPERATORS[max(int(raw.BuiltinCode()), int(raw.DeprecatedBuiltinCode()))]
    custom = (raw.CustomCode() or b"").decode("utf-8", "replace") if op == "CUSTOM" else None
    return OpCode(op, int(raw.Version()), custom)


def _shapes(indices: Sequence[int], tensors: Sequence[Tensor]) -> list[tuple[int, ...] | None]:
    return [tensors[i].shape if i >= 0 else None for i in indices]


def _claim(tensor: Tensor, buffer: int, counted: set[int]) -> bool:
    """Whether a tensor holds weights that no operation before has counted; counts them."""
    bias = tensor.dtype in _BIAS_DTYPES and tensor.channels > 0
    if (
        not tensor.constant_bytes
        or buffer in counted
        or not (tensor.dtype in _WEIGHT_DTYPES or bias)
    ):
        return False
    counted.add(buffer)
    return True


def _inner_params(root: Any, graph: Any, sizes: Sequence[int], counted: set[int]) -> int:
    tensors, buffers = _tensors(root, graph, sizes)
    return sum(prod(t.shape) for t in tensors if _claim(t, buffers[t.index], counted))


def _spec(tensor: Tensor) -> TensorSpec:
    if tensor.dtype not in _IO_DTYPES:
        hint = f"what is fed to a model here is one of {', '.join(_IO_DTYPES)}"
        raise ModelError(f"tensor {tensor.name!r}: no data set holds {tensor.dtype}", hint=hint)
    dtype: Any = tensor.dtype
    quantized = tensor.scale is not None and tensor.scale > 0
    return TensorSpec(
        name=tensor.name,
        shape=tensor.shape,
        dtype=dtype,
        scale=tensor.scale if quantized else None,
        zero_point=tensor.zero_point if quantized else None,
    )


def _indices(array: Any) -> tuple[int, ...]:
    # An absent vector reads as the number 0.
    return tuple(int(n) for n in array) if isinstance(array, np.ndarray) else ()


_TENSOR_TYPES = {code: name.lower() for code, name in constant_names(schema.TensorType).items()}
_OPERATORS = constant_names(schema.BuiltinOperator)
