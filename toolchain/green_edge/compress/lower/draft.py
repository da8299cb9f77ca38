"""A .tflite being drawn: operations on tensors whose sizes may still hang on the channels left.

What the converter folds and fuses is done here, on the operations, in the way it does it: constants
into the product before, RELU into what makes its data, reshapes into each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import prod

from green_edge.compress.graph.values import Width
from green_edge.tflite.model import Op, Options, Tensor, TfliteModel

Axes = tuple[Width, ...]
ONE = Width(1)
# What RELU and its like become a part of.
_CLAMPED = {
    "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "ADD", "SUB", "MUL", "DIV",
    "AVERAGE_POOL_2D", "MAX_POOL_2D",
}  # fmt: skip
_PRODUCTS = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"}
_PLAIN = Options()
_BYTES = {"int8": 1, "bool": 1, "int16": 2, "float32": 4, "int32": 4}


def fixed(*sizes: int) -> Axes:
    """Axes that no channel hangs on."""
    return tuple(Width(size) for size in sizes)


def times(width: Width, count: int) -> Width:
    """So many of a width one after the other."""
    parts = tuple((group, each * count) for group, each in width.parts)
    return Width(width.fixed * count, parts)


def over(width: Width, count: int) -> Width:
    """One of so many equal parts of a width."""
    parts = tuple((group, each // count) for group, each in width.parts)
    return Width(width.fixed // count, parts)


@dataclass(frozen=True, slots=True)
class Times(Width):
    """Product of two widths, such as heads and their depth; `parts` names the groups alone."""

    factors: tuple[Width, Width] = (ONE, ONE)

    @staticmethod
    def of(first: Width, second: Width) -> "Times":
        """Of two widths."""
        return Times(0, first.parts + second.parts, (first, second))

    def size(self, kept: Sequence[int]) -> int:
        """Length when so many units of each group are left."""
        return self.factors[0].size(kept) * self.factors[1].size(kept)


@dataclass(frozen=True, slots=True)
class Place:
    """A tensor of the draft.

    Attributes:
        axes: of it, the batch of 1 first.
        role: `data` is computed or fed, `weights` and `bias` are learned, `constant` is neither.
        values: of a small constant of whole numbers.
    """

    axes: Axes
    dtype: str
    role: str = "data"
    values: tuple[int, ...] | None = None


@dataclass(slots=True)
class Drawn:
    """An operation of the draft, which what follows may still change."""

    op: str
    inputs: list[int]
    outputs: list[int]
    options: Options = field(default_factory=Options)
    name: str = ""


class Draft:
    """Collects tensors and operations.

    Args:
        dtype: of activations and weights, `int8` or `float32`.
    """

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype
        self.places: list[Place] = []
        self.ops: list[Drawn] = []
        self.layer = ""
        # Layers without a rule, each once.
        self.unknown: dict[str, None] = {}
        # Zeros before and after each spatial axis, by the tensor that a padding makes.
        self.margins: dict[int, tuple[tuple[int, int], ...]] = {}
        self._makers: dict[int, Drawn] = {}
        # Those of a layer that is called again are the same.
        self._filters: dict[tuple[str, str, str], tuple[int, int]] = {}

    def data(self, axes: Axes, dtype: str = "") -> int:
        """A tensor that is fed or computed."""
        return self._place(Place(axes, dtype or self.dtype))

    def weights(self, axes: Axes) -> int:
        """Learned numbers."""
        return self._place(Place(axes, self.dtype, "weights"))

    def constant(self, axes: Axes = ()) -> int:
        """Numbers that are neither learned nor whole, such as a factor."""
        return self._place(Place(axes, self.dtype, "constant"))

    def whole(self, *values: int) -> int:
        """Whole numbers, such as axes."""
        return self._place(Place(fixed(len(values)), "int32", "constant", values))

    def axes(self, tensor: int) -> Axes:
        """Axes of a tensor."""
        return self.places[tensor].axes

    def op(
        self, op: str, inputs: Sequence[int], axes: Axes, *, dtype: str = "", **options: object
    ) -> int:
        """An operation; returns the tensor that it makes.

        Args:
            op: the schema's builtin name.
            inputs: tensors; -1 for one that is left out.
            axes: of the output.
            dtype: of the output; that of the draft if not said.
            options: as `Options` has them.
        """
        made = self.data(axes, dtype)
        drawn = Drawn(op, list(inputs), [made], Options(**options), self.layer)  # type: ignore[arg-type]
        self.ops.append(drawn)
        self._makers[made] = drawn
        return made

    def parts(
        self, op: str, inputs: Sequence[int], axes: Axes, count: int, *, axis: int | None = None
    ) -> list[int]:
        """An operation of so many outputs of the same axes."""
        first = self.op(op, inputs, axes, axis=axis)
        drawn = self._makers[first]
        drawn.outputs += [self.data(axes) for _ in range(count - 1)]
        self._makers |= dict.fromkeys(drawn.outputs, drawn)
        return drawn.outputs

    def product(
        self,
        op: str,
        data: int,
        weights: Axes,
        axes: Axes,
        *,
        variable: str = "kernel",
        options: Options = _PLAIN,
    ) -> int:
        """A product with weights: CONV_2D and its like.

        Args:
            op: the schema's builtin name.
            data: tensor that comes in.
            weights: axes of the filters, in the layout of the schema.
            axes: of the output.
            variable: tells several products of one layer apart.
            options: stride and dilation.
        """
        key = (self.layer, op, variable)
        if key not in self._filters:
            self._filters[key] = self.weights(weights), self.bias(axes[-1])
        filters, added = self._filters[key]
        if op == "TRANSPOSE_CONV":
            inputs = [self.whole(0, 0, 0, 0), filters, data, added]
        else:
            inputs = [data, filters, added]
        made = self.op(op, inputs, axes)
        self._makers[made].options = options
        return made

    def unbiased(self, tensor: int) -> None:
        """Take the bias from a transposed convolution, which alone can do without."""
        self._makers[tensor].inputs.pop()

    def maker(self, tensor: int) -> Drawn | None:
        """The operation that makes a tensor; None for an input."""
        return self._makers.get(tensor)

    def reshape(self, tensor: int, axes: Axes, *, alone: bool = True) -> int:
        """The tensor in other axes; reshapes of reshapes are one, or none."""
        while (maker := self.maker(tensor)) is not None and maker.op == "RESHAPE":
            tensor = maker.inputs[0]
        if self.axes(tensor) == axes:
            return tensor
        if alone and maker is not None and maker.op == "MEAN" and _keeps(self, maker, axes):
            # A mean that drops axes, in axes of length 1 anew, is a mean that keeps them.
            self.places[tensor] = replace(self.places[tensor], axes=axes)
            return tensor
        return self.op("RESHAPE", [tensor, self.whole(*(0 for _ in axes))], axes)

    def pad(self, tensor: int, axes: Axes, margins: tuple[tuple[int, int], ...]) -> int:
        """Zeros around."""
        made = self.op("PAD", [tensor, self.whole(0)], axes)
        self.margins[made] = margins
        return made

    def clamp(self, tensor: int, kind: str, *, alone: bool) -> int:
        """RELU and its like: a part of what makes the data where that is for it alone."""
        maker = self.maker(tensor)
        takes = maker is not None and maker.op in _CLAMPED and not self._is_clamped(maker)
        # A transposed convolution takes it with its bias alone.
        bare = maker is not None and maker.op == "TRANSPOSE_CONV" and len(maker.inputs) < 4
        if maker is not None and alone and takes and not bare:
            maker.options = replace(maker.options, fused_activation=kind)
            return tensor
        return self.op(kind, [tensor], self.axes(tensor))

    def shift(self, tensor: int, *, alone: bool) -> int:
        """Plus one number, by the product before where it is for it alone."""
        maker = self.maker(tensor)
        if alone and maker is not None and maker.op in _PRODUCTS and not self._is_clamped(maker):
            return tensor
        return self.op("ADD", [tensor, self.constant()], self.axes(tensor))

    def scale(self, tensor: int, factor: Axes, shift: Axes | None, *, alone: bool) -> int:
        """Times one constant and plus another, by the product before where it is for them alone."""
        maker = self.maker(tensor)
        if alone and maker is not None and maker.op in _PRODUCTS and not self._is_clamped(maker):
            if maker.op == "TRANSPOSE_CONV" and len(maker.inputs) < 4 and shift is not None:
                maker.inputs.append(self.bias(self.axes(tensor)[-1]))
            return tensor
        made = self.op("MUL", [tensor, self._learned(factor)], self.axes(tensor))
        if shift is None:
            return made
        return self.op("ADD", [made, self._learned(shift)], self.axes(tensor))

    def unscaled(self, tensor: int, *, vectors: bool, shifts: bool, alone: bool) -> int:
        """The tensor before constant factors and shifts that the product to come takes up.

        Args:
            tensor: that comes in.
            vectors: whether the product takes a constant for each channel up; else one number.
            shifts: whether it takes shifts up.
            alone: whether nothing else takes the tensor.
        """
        allowed = {"MUL", "ADD"} if shifts else {"MUL"}
        while alone and (maker := self.maker(tensor)) is not None and maker.op in allowed:
            second = self.places[maker.inputs[1]]
            # Constants of a normalisation by the data come too late to be taken up.
            taken = second.role == ("weights" if second.axes else "constant")
            taken = taken and (vectors or not second.axes)
            if not taken or self._is_clamped(maker):
                break
            tensor = maker.inputs[0]
        return tensor

    def lifted(self, tensor: int, *, alone: bool, channels: bool = False) -> int | None:
        """The tensor before a reshape, where the converter moves what is done element by element.

        Args:
            tensor: that comes in.
            alone: whether nothing else takes it.
            channels: whether each channel is treated apart, so that the last axis must stay.
        """
        maker = self.maker(tensor)
        if not alone or maker is None or maker.op != "RESHAPE":
            return None
        before = maker.inputs[0]
        same = self.axes(before)[-1] == self.axes(tensor)[-1]
        return before if same or not channels else None

    def _learned(self, axes: Axes) -> int:
        return self.weights(axes) if axes else self.constant()

    def bias(self, channels: Width) -> int:
        """Learned shifts of channels."""
        dtype = "int32" if self.dtype == "int8" else self.dtype
        return self._place(Place((channels,), dtype, "bias"))

    def _is_clamped(self, maker: Drawn) -> bool:
        return maker.options.fused_activation not in {None, "NONE"}

    def _place(self, place: Place) -> int:
        self.places.append(place)
        return len(self.places) - 1

    def alive(self, outputs: Sequence[int]) -> tuple[Drawn, ...]:
        """Operations that the outputs hang on, in their order."""
        wanted, kept = set(outputs), []
        for drawn in reversed(self.ops):
            if wanted.intersection(drawn.outputs):
                wanted.update(drawn.inputs)
                kept.append(drawn)
        return tuple(reversed(kept))


def _keeps(draft: Draft, mean: Drawn, axes: Axes) -> bool:
    before = draft.axes(mean.inputs[0])
    reduced = draft.places[mean.inputs[1]].values or ()
    return axes == tuple(ONE if i in reduced else each for i, each in enumerate(before))


def as_model(
    draft: Draft,
    ops: Sequence[Drawn],
    fed: Sequence[int],
    outputs: Sequence[int],
    kept: Sequence[int],
) -> TfliteModel:
    """The draft as the reader of a .tflite would give it, with so many units of each group.

    Its params and bytes are those of weights and biases; names, scales and the rest of the file's
    content are not known.
    """
    tensors = tuple(_tensor(i, place, kept) for i, place in enumerate(draft.places))
    made = tuple(
        Op(i, d.op, 1, tuple(d.inputs), tuple(d.outputs), 0, 0, 0, d.name, None, d.options)
        for i, d in enumerate(ops)
    )
    return TfliteModel(
        inputs=(),
        outputs=(),
        ops=made,
        tensors=tensors,
        params=0,
        macs=0,
        size_bytes=0,
        zip_bytes=0,
        input_indices=tuple(fed),
        output_indices=tuple(outputs),
    )


def _tensor(index: int, place: Place, kept: Sequence[int]) -> Tensor:
    shape = tuple(width.size(kept) for width in place.axes)
    given = place.role != "data"
    return Tensor(
        index=index,
        name="",
        shape=shape,
        dtype=place.dtype,
        scale=1.0 if place.dtype == "int8" else None,
        channels=int(place.dtype == "int8"),
        # Something, even where an axis is 0.
        constant_bytes=max(1, prod(shape) * _BYTES[place.dtype]) if given else 0,
        values=place.values,
    )
