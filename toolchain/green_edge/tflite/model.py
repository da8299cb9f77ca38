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
        values: of a small constant of whole numbers, such as a shape, axes or paddings.
        signature: its shape with -1 for each unknown axis; absent where all are known.
        all_zero: a quantized constant that stands for zeros alone.
        variable: keeps its content from one inference to the next.
        sparse: stored without its zeros.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None = None
    zero_point: int | None = None
    channels: int = 0
    constant_bytes: int = 0
    values: tuple[int, ...] | None = None
    signature: tuple[int, ...] | None = None
    all_zero: bool = False
    variable: bool = False
    sparse: bool = False

    @property
    def constant(self) -> bool:
        """Whether its content is in the file."""
        return self.constant_bytes > 0


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of an operation; absent are those that its type does not have.

    Attributes:
        fused_activation: the schema's name, such as `RELU6`; `NONE` without one.
        stride: (height, width).
        dilation: (height, width).
        window: (height, width) of a pooling.
        padding: `SAME` or `VALID`.
        axis: that joins, splits or packs.
        num_splits: parts of a split.
        weights_format: `DEFAULT`, or the name of a shuffled one.
        keep_num_dims: a fully connected layer on an input of more than two axes.
        keep_dims: a reduction that leaves axes of length 1.
        begin_mask: bit i: take axis i of a strided slice from its begin.
        end_mask: bit i: take it to its end.
        ellipsis_mask: bit i: entry i stands for any number of axes.
        new_axis_mask: bit i: entry i is a new axis.
        shrink_axis_mask: bit i: axis i is dropped.
    """

    fused_activation: str | None = None
    stride: tuple[int, int] | None = None
    dilation: tuple[int, int] | None = None
    window: tuple[int, int] | None = None
    padding: str | None = None
    axis: int | None = None
    num_splits: int | None = None
    weights_format: str | None = None
    keep_num_dims: bool | None = None
    keep_dims: bool | None = None
    align_corners: bool | None = None
    half_pixel_centers: bool | None = None
    begin_mask: int | None = None
    end_mask: int | None = None
    ellipsis_mask: int | None = None
    new_axis_mask: int | None = None
    shrink_axis_mask: int | None = None


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
        options: its settings; absent where its type has none that are read.
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
    options: Options | None = None


@dataclass(frozen=True, slots=True)
class OpCode:
    """A line of a file's table of operations, which a runtime looks up before it loads a graph.

    Attributes:
        op: the schema's builtin name, or `CUSTOM`.
        custom_code: name of a custom operation; absent for builtins.
    """

    op: str
    version: int
    custom_code: str | None = None


@dataclass(frozen=True, slots=True)
class TfliteModel:
    """A .tflite.

    Attributes:
        params: weights and biases, shared ones once.
        macs: multiply-accumulates of one inference, batch 1.
        zip_bytes: size after zlib level 9; 0 where the reader was told to leave it out.
        subgraphs: 1, or more with control flow; `ops` and `macs` are of the main one.
        dynamic: names of inputs that have an unknown axis other than the batch.
        input_indices: tensors of `inputs`.
        output_indices: tensors of `outputs`.
        codes: the table of operations, with those of inner graphs.
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
    input_indices: tuple[int, ...] = ()
    output_indices: tuple[int, ...] = ()
    codes: tuple[OpCode, ...] = ()

    @property
    def sparse_kernels(self) -> int:
        """Constants that are stored without their zeros; `params` and `macs` count these too."""
        return sum(tensor.sparse for tensor in self.tensors)
