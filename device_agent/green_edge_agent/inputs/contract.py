"""What every source of inputs looks like to the inference loop."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from green_edge_wire.device import InferResult
from green_edge_wire.manifest import TensorSpec

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Request:
    """One inference that is wanted.

    Attributes:
        id: for the answer and the log.
        raws: gives one array an input for a model of these inputs; ModelError where it cannot.
        prepared: the arrays are as the float model takes them; pre-processing is not applied.
        reply: takes the answer; None where nobody waits for one.
    """

    id: str
    raws: Callable[[Sequence[TensorSpec]], Sequence[Array]]
    prepared: bool = False
    reply: Callable[[InferResult], None] | None = None


class Source(Protocol):
    """A source of inputs. The inference thread alone takes from it."""

    @property
    def answers(self) -> bool:
        """Whether somebody waits for answers; such requests are taken even without a model."""
        ...

    @property
    def ended(self) -> bool:
        """Whether nothing will ever come again."""
        ...

    def take(self, timeout_s: float) -> Request | None:
        """Next request, or None when none is due within the timeout."""
        ...

    def close(self) -> None:
        """Stop taking; what is held open is given back."""
        ...
