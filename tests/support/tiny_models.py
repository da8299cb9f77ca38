"""Real `.tflite` files of a few hundred bytes, written without TensorFlow.

Each maker is deterministic: the same arguments give the same bytes. Weights are seeded normal
values, so that different seeds are different models.
"""

from collections.abc import Mapping
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

IN_SCALE = 1 / 32
OUT_SCALE = 1 / 8

_DTYPES = {
    "float32": schema.TensorType.FLOAT32,
    "int8": schema.TensorType.INT8,
    "int32": schema.TensorType.INT32,
}


class _File:
    """Collects tensors, buffers and operators of one subgraph."""

    def __init__(self) -> None:
        # Buffer 0 is empty by the format's rule: it stands for "no constant data".
        self.buffers: list[Any] = [schema.BufferT()]
        self.tensors: list[Any] = []
        self.operators: list[Any] = []
        self.codes: list[Any] = []

    def tensor(
        self,
        name: str,
        shape: tuple[int, ...],
        dtype: str,
        *,
        scale: float | None = None,
        data: NDArray[Any] | None = None,
        signature: tuple[int, ...] = (),
    ) -> int:
        tensor = schema.TensorT()
        tensor.name = name.encode()
        tensor.shape = list(shape)
        tensor.type = _DTYPES[dtype]
        tensor.buffer = 0
        if signature:
            tensor.shapeSignature = list(signature)
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
            self.buffers.append(buffer)
            tensor.buffer = len(self.buffers) - 1
        if scale is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = [scale]
            tensor.quantization.zeroPoint = [0]
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def operator(
        self,
        code: int,
        inputs: list[int],
        outputs: list[int],
        options: tuple[int, Any],
        version: int = 1,
    ) -> None:
        op_code = schema.OperatorCodeT()
        op_code.builtinCode = code
        op_code.deprecatedBuiltinCode = min(code, 127)
        op_code.version = version
        self.codes.append(op_code)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.codes) - 1
        operator.inputs, operator.outputs = inputs, outputs
        operator.builtinOptionsType, operator.builtinOptions = options
        self.operators.append(operator)

    def pack(
        self, inputs: list[int], outputs: list[int], names: Mapping[int, str] | None = None
    ) -> bytes:
        graph = schema.SubGraphT()
        graph.name = b"main"
        graph.tensors, graph.operators = self.tensors, self.operators
        graph.inputs, graph.outputs = inputs, outputs
        signature = schema.SignatureDefT()
        signature.signatureKey = b"serving_default"
        signature.subgraphIndex = 0
        signature.inputs = [self._named(index, names or {}) for index in inputs]
        signature.outputs = [self._named(index, names or {}) for index in outputs]
        model = schema.ModelT()
        model.version = 3
        model.description = b"green-edge test model"
        model.operatorCodes = self.codes
        model.subgraphs, model.buffers, model.signatureDefs = [graph], self.buffers, [signature]
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _named(self, index: int, names: Mapping[int, str]) -> Any:
        entry = schema.TensorMapT()
        own = self.tensors[index].name
        entry.name = names[index].encode() if index in names else own
        entry.tensorIndex = index
        return entry


def _dense_options() -> tuple[int, Any]:
    options = schema.FullyConnectedOptionsT()
    options.fusedActivationFunction = schema.ActivationFunctionType.NONE
    return schema.BuiltinOptions.FullyConnectedOptions, options


def dense_weights(inputs: int = 4, outputs: int = 3, seed: int = 0) -> NDArray[np.float32]:
    """Weights (outputs, inputs) of `tiny_float_dense` with the same arguments; no bias."""
    return np.random.default_rng(seed).normal(0, 1, (outputs, inputs)).astype(np.float32)


def tiny_float_dense(
    inputs: int = 4, outputs: int = 3, seed: int = 0, *, signature_shape: tuple[int, ...] = ()
) -> bytes:
    """`y = W x`, float32, input `x` (1, inputs), output `y` (1, outputs).

    `signature_shape` declares sizes of the input as open with -1.
    """
    file = _File()
    x = file.tensor("x", (1, inputs), "float32", signature=signature_shape)
    w = file.tensor("w", (outputs, inputs), "float32", data=dense_weights(inputs, outputs, seed))
    b = file.tensor("b", (outputs,), "float32", data=np.zeros(outputs, np.float32))
    y = file.tensor("y", (1, outputs), "float32")
    file.operator(schema.BuiltinOperator.FULLY_CONNECTED, [x, w, b], [y], _dense_options())
    return file.pack([x], [y])


def tiny_float_two_heads(
    names: tuple[str, str] = ("output_1", "output_0"), *, inputs: int = 4, seed: int = 0
) -> bytes:
    """Two dense heads on one input: the file's first has 5 values, its second 3.

    The second is `tiny_float_dense` of the same seed. `names` are those in the signature; as given
    they are what the TF converter makes of a Keras model whose first output is the one of 3.
    """
    file = _File()
    x = file.tensor("x", (1, inputs), "float32")
    heads = []
    for size, own in ((5, seed + 1), (3, seed)):
        w = file.tensor(
            f"w{size}", (size, inputs), "float32", data=dense_weights(inputs, size, own)
        )
        b = file.tensor(f"b{size}", (size,), "float32", data=np.zeros(size, np.float32))
        y = file.tensor(f"y{size}", (1, size), "float32")
        code = schema.BuiltinOperator.FULLY_CONNECTED
        file.operator(code, [x, w, b], [y], _dense_options())
        heads.append(y)
    return file.pack([x], heads, dict(zip(heads, names, strict=True)))


def tiny_int8_dense(inputs: int = 4, outputs: int = 3, seed: int = 0, *, version: int = 4) -> bytes:
    """The int8 form of `tiny_float_dense`: input scale 1/32, output scale 1/8, zero points 0.

    `version` is that of FULLY_CONNECTED: 4 is the first with int8 weights of signed symmetric
    range, 99 is one that no runtime has.
    """
    weights = dense_weights(inputs, outputs, seed)
    scale = float(np.abs(weights).max()) / 127
    quantized = np.round(weights / scale).astype(np.int8)
    file = _File()
    x = file.tensor("x", (1, inputs), "int8", scale=IN_SCALE)
    w = file.tensor("w", (outputs, inputs), "int8", scale=scale, data=quantized)
    zeros = np.zeros(outputs, np.int32)
    b = file.tensor("b", (outputs,), "int32", scale=scale * IN_SCALE, data=zeros)
    y = file.tensor("y", (1, outputs), "int8", scale=OUT_SCALE)
    code = schema.BuiltinOperator.FULLY_CONNECTED
    file.operator(code, [x, w, b], [y], _dense_options(), version=version)
    return file.pack([x], [y])


def tiny_float_conv(size: int = 8, classes: int = 3, seed: int = 0) -> bytes:
    """3x3 convolution (4 filters, ReLU, same padding), global mean, dense: a small image net.

    Input `image` (1, size, size, 1), output `scores` (1, classes), float32.
    """
    draw = np.random.default_rng(seed)
    file = _File()
    image = file.tensor("image", (1, size, size, 1), "float32")
    kernel = draw.normal(0, 0.5, (4, 3, 3, 1)).astype(np.float32)
    k = file.tensor("kernel", (4, 3, 3, 1), "float32", data=kernel)
    kb = file.tensor("kernel_bias", (4,), "float32", data=np.zeros(4, np.float32))
    maps = file.tensor("maps", (1, size, size, 4), "float32")
    axes = file.tensor("axes", (2,), "int32", data=np.array([1, 2], np.int32))
    means = file.tensor("means", (1, 4), "float32")
    weights = draw.normal(0, 1, (classes, 4)).astype(np.float32)
    w = file.tensor("w", (classes, 4), "float32", data=weights)
    b = file.tensor("b", (classes,), "float32", data=np.zeros(classes, np.float32))
    scores = file.tensor("scores", (1, classes), "float32")
    ops = schema.BuiltinOperator
    file.operator(ops.CONV_2D, [image, k, kb], [maps], _conv_options())
    file.operator(ops.MEAN, [maps, axes], [means], _reducer_options())
    file.operator(ops.FULLY_CONNECTED, [means, w, b], [scores], _dense_options())
    return file.pack([image], [scores])


def _conv_options() -> tuple[int, Any]:
    options = schema.Conv2DOptionsT()
    options.padding = schema.Padding.SAME
    options.strideH = options.strideW = 1
    options.dilationHFactor = options.dilationWFactor = 1
    options.fusedActivationFunction = schema.ActivationFunctionType.RELU
    return schema.BuiltinOptions.Conv2DOptions, options


def _reducer_options() -> tuple[int, Any]:
    options = schema.ReducerOptionsT()
    options.keepDims = False
    return schema.BuiltinOptions.ReducerOptions, options
