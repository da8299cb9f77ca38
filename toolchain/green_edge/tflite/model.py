"""What a .tflite holds, as values."""

from dataclasses import dataclass

from green_edge_wire.manifest import TensorSpec


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of the main graph.

    Attributes:
        shape: as stored; a dynamic axis is stored as 1.
        dtype: the schema's type in lower case, such as `float16`.
        scale: the first quantization scale; None when the tensor is not quantized.
        zero_point: of that scale.
        channels: number of scales: 0 not quantized, 1 per tensor, more per channel.
        constant_bytes: length of its content in the file; 0 for what is computed.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None = None
    zero_point: int | None = None
    channels: int = 0
    constant_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Op:
    """An operation of the main graph.

    Attributes:
        op: the schema's builtin name, or `CUSTOM`.
        custom_code: name of a custom operation; absent for builtins.
        inputs: tensor indices; -1 for an optional one that is left out.
        macs: multiply-accumulates of one run; 0 for what is no product of matrices.
        params: weights and biases; those shared between operations count for the first.
        weight_bytes: their length in the file.
        name: of its first output, which carries the layer's name.
    """

    index: int
    op: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    macs: int
    params: int
    weight_bytes: int
    name: str = ""
    custom_code: str | None = None


@dataclass(frozen=True, slots=True)
class TfliteModel:
    """A .tflite.

    Attributes:
        params: weights and biases, shared ones once.
        macs: multiply-accumulates of one inference, batch 1.
        zip_bytes: size after zlib level 9.
        subgraphs: 1, or more with control flow; `ops` and `macs` are of the main one.
        dynamic: names of inputs that have an unknown axis other than the batch.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    ops: tuple[Op, ...]
    tensors: tuple[Tensor, ...]
    params: int
    macs: int
    size_bytes: int
    zip_bytes: int
    subgraphs: int = 1
    dynamic: tuple[str, ...] = ()
