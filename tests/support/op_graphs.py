"""Models as values, operation by operation, for rules that look at types and shapes alone."""

from collections.abc import Sequence

from green_edge.tflite.model import Op, Options, Tensor, TfliteModel
from green_edge_wire.manifest import TensorSpec

Shape = tuple[int, ...]


class OpGraph:
    """Collects tensors and operations; each method returns the index of what it made."""

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []
        self.ops: list[Op] = []
        self.fed: list[int] = []

    def feed(self, *shape: int, dtype: str = "int8", signature: Shape | None = None) -> int:
        """An input of the model."""
        index = self._tensor(shape, dtype, signature=signature)
        self.fed.append(index)
        return index

    def constant(
        self,
        *shape: int,
        dtype: str = "int8",
        values: Shape | None = None,
        channels: int = 1,
        all_zero: bool = False,
    ) -> int:
        """A constant; with `values` a small one of whole numbers."""
        if values is not None:
            shape, dtype, channels = shape or (len(values),), "int32", 0
        return self._tensor(
            shape, dtype, channels=channels, values=values, all_zero=all_zero, constant=True
        )

    def op(
        self,
        name: str,
        inputs: Sequence[int],
        *shape: int,
        version: int = 1,
        dtype: str = "int8",
        options: Options | None = None,
        custom: str | None = None,
        outputs: int = 1,
    ) -> int:
        """An operation with `outputs` outputs of one shape; returns the first."""
        made = tuple(self._tensor(shape, dtype) for _ in range(outputs))
        out = made[0]
        op = Op(
            index=len(self.ops), op=name, version=version, inputs=tuple(inputs), outputs=made,
            macs=0, params=0, weight_bytes=0, name=f"out{out}", custom_code=custom, options=options,
        )  # fmt: skip
        self.ops.append(op)
        return out

    def conv(
        self, data: int, channels: int, *, window: int = 3, dilation: tuple[int, int] = (1, 1)
    ) -> int:
        """CONV_2D with int8 weights, one scale a channel, that keeps height and width."""
        shape = self.tensors[data].shape
        weights = self.constant(channels, window, window, shape[-1], channels=channels)
        bias = self.constant(channels, dtype="int32", channels=channels)
        options = Options(fused_activation="RELU", dilation=dilation)
        return self.op(
            "CONV_2D", [data, weights, bias], *shape[:-1], channels, version=3, options=options
        )

    def model(self) -> TfliteModel:
        """The model so far."""
        inputs = tuple(
            TensorSpec(name=t.name, shape=t.shape, dtype="int8" if t.scale else "float32")
            for t in (self.tensors[i] for i in self.fed)
        )
        dynamic = tuple(
            t.name for t in (self.tensors[i] for i in self.fed) if -1 in (t.signature or ())[1:]
        )
        return TfliteModel(
            inputs=inputs, outputs=(), ops=tuple(self.ops), tensors=tuple(self.tensors), params=0,
            macs=0, size_bytes=0, zip_bytes=0, dynamic=dynamic,
        )  # fmt: skip

    def _tensor(
        self,
        shape: Shape,
        dtype: str,
        *,
        channels: int | None = None,
        values: Shape | None = None,
        signature: Shape | None = None,
        all_zero: bool = False,
        constant: bool = False,
    ) -> int:
        scales = (0 if dtype in {"float32", "int64"} else 1) if channels is None else channels
        self.tensors.append(
            Tensor(
                index=len(self.tensors),
                name=f"t{len(self.tensors)}",
                shape=tuple(shape),
                dtype=dtype,
                scale=0.1 if scales else None,
                zero_point=0 if scales else None,
                channels=scales,
                constant_bytes=1 if constant else 0,
                values=values,
                signature=signature,
                all_zero=all_zero,
            )
        )
        return len(self.tensors) - 1
