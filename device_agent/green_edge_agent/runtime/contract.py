"""What the inference loop and the self-test need of a loaded model, whatever it runs on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from green_edge_wire.clock import Clock
from green_edge_wire.errors import ModelError
from green_edge_wire.manifest import TensorSpec

Array = NDArray[Any]
# `none`: an Edge TPU is insisted on and does not work.
Processor = Literal["cpu", "edgetpu", "none"]


@dataclass(frozen=True, slots=True)
class Timed:
    """Outcome of one inference.

    Attributes:
        outputs: in the model's dtypes and shapes, owned by the caller.
        latency_ns: from the first input's entry into the runtime to the last output's way out of
            it, in the process that ran it.
        processor: what ran it.
    """

    outputs: tuple[Array, ...]
    latency_ns: int
    processor: Processor = "cpu"


class Runner(Protocol):
    """A loaded model. One thread runs it at a time; any thread may close it."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """As the file declares them, in the model's order."""
        ...

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """Likewise."""
        ...

    @property
    def processor(self) -> Processor:
        """What the next inference runs on."""
        ...

    def timed(self, inputs: Sequence[Array], clock: Clock) -> Timed:
        """Run the model once.

        Args:
            inputs: one array an input, of exactly its shape (batch 1 included) and dtype.
            clock: measures the latency where the model runs in this process, else the deadline.

        Raises:
            ModelError: an input does not fit, or the runtime failed.
            DeviceError: the accelerator failed.
        """
        ...

    def close(self) -> None:
        """Give back what the model holds besides memory; it is not run again."""
        ...


def check_inputs(specs: Sequence[TensorSpec], inputs: Sequence[Array]) -> None:
    """Refuse inputs that a model does not take.

    Raises:
        ModelError: another number of them, or one of another shape or dtype.
    """
    if len(inputs) != len(specs):
        raise ModelError(f"the model takes {len(specs)} inputs, got {len(inputs)}")
    for spec, array in zip(specs, inputs, strict=True):
        if array.shape != spec.shape or array.dtype != np.dtype(spec.dtype):
            raise ModelError(
                f"input {spec.name!r} must be {spec.dtype} {spec.shape}, "
                f"got {array.dtype} {array.shape}"
            )
