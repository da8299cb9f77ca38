"""The shape of an operation: all that its cost depends on, with or without a .tflite."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from green_edge.targets.cost.fusion import Neighbours, neighbours_of
from green_edge.tflite.model import Op, Options, Tensor, TfliteModel

Shape = tuple[int, ...]
_BYTES = {
    "int8": 1, "uint8": 1, "bool": 1, "int16": 2, "float16": 2, "int32": 4, "float32": 4,
    "int64": 8, "float64": 8,
}  # fmt: skip
_WEIGHTED = {
    "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "CONV_3D",
    "UNIDIRECTIONAL_SEQUENCE_LSTM", "UNIDIRECTIONAL_SEQUENCE_RNN", "BATCH_MATMUL",
}  # fmt: skip
# The schema keeps the window of these in the filters: (out, h, w, in), or (1, h, w, out).
_FILTERED = {"CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"}
# Its first input is the shape of the output.
DATA_INPUT = {"TRANSPOSE_CONV": 2, "SPLIT": 1}
_CLAMPS = {"RELU", "RELU6", "RELU_N1_TO_1"}
# Of constants: float16 weights, and weights stored without their zeros.
_AT_FIRST = {"DEQUANTIZE", "DENSIFY"}
_PAIR = (1, 1)


@dataclass(frozen=True, slots=True)
class OpShape:
    """Geometry of an operation.

    A search that changes channel counts makes these itself, or replaces fields of those of
    `shapes_of`.

    Attributes:
        op: the schema's builtin name, or `CUSTOM`.
        dtype: type of the data that comes in, such as `int8` or `float32`.
        data: its shape.
        output: shape of the first output.
        weights: shape of the filters or the second operand, in the layout of the schema; empty
            where there is none.
        weights_dtype: its type; empty where there is none.
        output_dtype: type of the first output; empty where it is that of the data.
        window: (height, width) of the filters or the pooling.
        stride: (height, width).
        dilation: (height, width).
        axes: that are reduced, joined or split; the order of a transposition.
        operands: number of inputs that are data.
        constant: whether `weights` is in the file; the second operand may be computed.
        into: the operation that alone takes its output; told of a padding.
        after: the operation whose output it alone takes; told of RELU and its like.
        chain: place in a function of one tensor, `part` or `end`; see `fusion.Neighbours`.
        static: whether the model computes no shape as it runs; it may get slower kernels if so.
    """

    op: str
    dtype: str
    data: Shape
    output: Shape
    weights: Shape = ()
    weights_dtype: str = ""
    output_dtype: str = ""
    window: tuple[int, int] = _PAIR
    stride: tuple[int, int] = _PAIR
    dilation: tuple[int, int] = _PAIR
    axes: tuple[int, ...] = ()
    operands: int = 1
    constant: bool = True
    into: str = ""
    after: str = ""
    chain: str = ""
    static: bool = True

    @property
    def once(self) -> bool:
        """Whether runtimes do it at the first inference alone, as for float16 weights."""
        return self.op in _AT_FIRST and self.operands == 0

    @property
    def moved_bytes(self) -> int:
        """Length of what it reads and writes once: data, weights and output."""
        if self.once:
            return 0
        width = _BYTES.get(self.dtype, 4)
        return (
            prod(self.data) * width
            + prod(self.weights) * _BYTES.get(self.weights_dtype, width) * bool(self.weights)
            + prod(self.output) * _BYTES.get(self.output_dtype or self.dtype, 4)
        )


def shapes_of(model: TfliteModel) -> tuple[OpShape, ...]:
    """Shapes of a model's operations, in its order."""
    around = neighbours_of(model)
    static = not any(_computes_shape(op, model.tensors) for op in model.ops)
    return tuple(
        _shape(op, model.tensors, near, static=static)
        for op, near in zip(model.ops, around, strict=True)
    )


def _computes_shape(op: Op, tensors: Sequence[Tensor]) -> bool:
    return op.op == "RESHAPE" and len(op.inputs) > 1 and not tensors[op.inputs[1]].constant


def _shape(op: Op, tensors: Sequence[Tensor], near: Neighbours, *, static: bool) -> OpShape:
    options = op.options or Options()
    inputs = [tensors[i] if i >= 0 else None for i in op.inputs]
    data = _at(inputs, DATA_INPUT.get(op.op, 0))
    second = _second(op.op, inputs)
    output = tensors[op.outputs[0]] if op.outputs else data
    dtype = data.dtype if data else "float32"
    window = options.window or _PAIR
    if op.op in _FILTERED and second is not None and len(second.shape) == 4:
        window = (second.shape[1], second.shape[2])
    return OpShape(
        op=op.op,
        dtype=dtype,
        data=data.shape if data else (),
        output=output.shape if output else (),
        weights=second.shape if second else (),
        weights_dtype=second.dtype if second else "",
        output_dtype=output.dtype if output and output.dtype != dtype else "",
        window=window,
        stride=options.stride or _PAIR,
        dilation=options.dilation or _PAIR,
        axes=_axes(op.op, inputs, options),
        operands=sum(t is not None and not t.constant for t in inputs),
        constant=second is None or second.constant,
        into=near.into if op.op == "PAD" else "",
        after=near.after if op.op in _CLAMPS else "",
        chain=near.chain,
        static=static,
    )


def _at(inputs: Sequence[Tensor | None], index: int) -> Tensor | None:
    return inputs[index] if index < len(inputs) else None


def _second(op: str, inputs: Sequence[Tensor | None]) -> Tensor | None:
    """The filters, or the second operand; None where the second input is a shape or an axis."""
    second = _at(inputs, 1)
    if op in _WEIGHTED or second is None or op in DATA_INPUT:
        return second
    return None if second.values is not None and second.scale is None else second


def _axes(op: str, inputs: Sequence[Tensor | None], options: Options) -> tuple[int, ...]:
    """Axes from the options, or from the constant that names them, none of them negative."""
    if options.axis is not None:
        named: tuple[int, ...] = (options.axis,)
    else:
        holder = _at(inputs, 0 if op == "SPLIT" else 1)
        named = (holder.values or ()) if holder and holder.dtype in {"int32", "int64"} else ()
    if op not in _WITH_AXES:
        return ()
    data = _at(inputs, DATA_INPUT.get(op, 0))
    rank = len(data.shape) if data else 0
    return tuple(axis % rank if rank else axis for axis in named)


_WITH_AXES = {
    "MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "TRANSPOSE", "CONCATENATION",
    "SPLIT", "ARG_MAX", "ARG_MIN", "GATHER", "PACK", "UNPACK", "SPLIT_V",
}  # fmt: skip
