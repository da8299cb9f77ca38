"""What a graph costs on a target, for a search that asks tens of thousands of times.

A graph is drawn once (`lowering`); of each question only the operations whose groups have other
counts than ever before are asked of the cost model.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from green_edge.compress.graph.values import Graph
from green_edge.compress.lowering import Lowered, OpenOp, lower, operations
from green_edge.core.steps import Measure
from green_edge.targets import physics, prediction
from green_edge.targets.cost.model import CostModel
from green_edge.targets.cost.shape import OpShape, shapes_of
from green_edge.targets.cost.steps import channel_multiple
from green_edge.targets.edgetpu import cycles
from green_edge.targets.edgetpu.verdict import site
from green_edge.targets.physics import Board, Dtype
from green_edge.targets.registry import Target
from green_edge.tflite.model import Op, TfliteModel
from green_edge_wire.errors import ConfigError
from green_edge_wire.units import KIB_BYTES

_DTYPE: Dtype = "int8"
# Ranges come in whole numbers; a model is priced as so many of it, so that nothing is lost.
_FINE = 1_000_000
_GRAPHS = 8


@dataclass(frozen=True, slots=True)
class Amount:
    """What operations ask of a target.

    Attributes:
        work: instructions of a processor, or cycles of an Edge TPU.
        macs: multiply-accumulates.
        bytes_moved: weights and activations that are read and written.
        weights_bytes: the weights among them.
    """

    work: float = 0.0
    macs: int = 0
    bytes_moved: int = 0
    weights_bytes: int = 0

    def __add__(self, other: "Amount") -> "Amount":
        """Both."""
        return Amount(
            self.work + other.work,
            self.macs + other.macs,
            self.bytes_moved + other.bytes_moved,
            self.weights_bytes + other.weights_bytes,
        )


@dataclass(frozen=True, slots=True)
class Pricing:
    """How a target prices.

    Attributes:
        target: as the user named it; empty where none prices.
        multiple: to which its kernels like channels rounded.
        multiple_source: where that comes from.
        notes: what is assumed, a sentence each.
        model: of its runtime's kernels on its core; None without one.
        board: that it is; None without a cost model.
        array: of its Edge TPU; None without one.
        error_ratio: of the cost model.
    """

    target: str
    multiple: int
    multiple_source: str
    notes: tuple[str, ...] = ()
    model: CostModel | None = None
    board: Board | None = None
    array: cycles.Array | None = None

    @property
    def known(self) -> bool:
        """Whether it tells more than multiply-accumulates."""
        return self.model is not None or self.array is not None


def pricing_of(targets: Sequence[Target]) -> Pricing:
    """Pricing of the first target that has one; multiply-accumulates where none has."""
    found = [_pricing(target) for target in targets]
    first = next((each for each in found if each.known), None)
    if first is None:
        named = " or ".join(target.ref.text for target in targets) or "this build"
        note = f"no cost model is known for {named}: instructions and energy are told by MACs"
        return Pricing("", 1, "unknown", (note,))
    if len(targets) > 1:
        named = ", ".join(target.ref.text for target in targets)
        return replace(first, notes=(f"of {named}, {first.target} prices", *first.notes))
    return first


def _pricing(target: Target) -> Pricing:
    text = target.ref.text
    if target.accelerator is not None:
        fit = cycles.fit()
        note = (
            "instructions and energy are told by the Edge TPU's cycles, as if every layer ran on it"
        )
        source = f"output channels that a tile of the Edge TPU computes at once ({fit.date})"
        return Pricing(text, fit.array.lanes, source, (note,), array=fit.array)
    try:
        model, board = prediction.model_of(target), physics.board_of(target)
    except ConfigError as error:
        return Pricing("", 1, "unknown", (str(error),))
    multiple = channel_multiple(model, _DTYPE)
    source = (
        f"largest step in the fitted cost of {model.runtime} {model.version} on {model.core} "
        f"({model.fitted.date})"
    )
    note = "energy is told by the middle of its range"
    return Pricing(text, multiple, source, (note,), model, board)


class TargetPrices:
    """Prices of a target, as shares of what the original model costs there.

    Args:
        original: graph of the model that came in.
        targets: of the build; the first of which anything is known prices.
    """

    def __init__(self, original: Graph, targets: Sequence[Target]) -> None:
        self._pricing = pricing_of(targets)
        # By the graph itself; a search asks of few at a time.
        self._bills = functools.lru_cache(maxsize=_GRAPHS)(self._bill)
        self._whole = self._bills(original).amount(original.sizes)
        self._error_ratio = self._error(operations(original))
        self._unknown = lower(original, _DTYPE).unknown

    @property
    def notes(self) -> tuple[str, ...]:
        """What is assumed, a sentence each."""
        if not self._unknown:
            return self._pricing.notes
        note = f"priced as reads and writes alone, for want of a rule: {', '.join(self._unknown)}"
        return (*self._pricing.notes, note)

    @property
    def multiple_source(self) -> str:
        """Where the multiple comes from, in words."""
        return self._pricing.multiple_source

    def multiple(self) -> int:
        """Multiple to which the target's kernels like channels rounded; 1 where it is unknown."""
        return self._pricing.multiple

    def share(self, graph: Graph, kept: Sequence[int], measure: Measure) -> float:
        """Share of the original's int8 cost that is left with so many units of each group.

        Raises:
            ModelError: an axis beside the batch has no size.
        """
        amount = self._bills(graph).amount(kept)
        whole = self._cost(self._whole, measure)
        return self._cost(amount, measure) / whole if whole else 1.0

    def deviation(self, graph: Graph, converted: TfliteModel) -> float:
        """How far the price is from that of the file that the graph was converted to.

        Args:
            graph: all units of which are left.
            converted: its full int8 file.

        Returns:
            Ratio of the instructions of the drawn operations to those of the file's, less one.
        """
        drawn = self._bills(graph).amount(graph.sizes)
        if self._pricing.model is not None:
            real = self._pricing.model.predict(shapes_of(converted)).instructions
        elif self._pricing.array is not None:
            array = self._pricing.array
            real = sum(cycles.op_cycles(site(converted, op), array) for op in converted.ops)
        else:
            return drawn.macs / converted.macs - 1 if converted.macs else 0.0
        return drawn.work / real - 1 if real else 0.0

    def _cost(self, amount: Amount, measure: Measure) -> float:
        if measure == "macs" or not self._pricing.known:
            return float(amount.macs)
        if measure == "energy" and self._pricing.board is not None:
            return _energy(amount, self._pricing.board, self._error_ratio)
        return amount.work

    def _bill(self, graph: Graph) -> "_Bill":
        lowered = lower(graph, _DTYPE)
        model, array = self._pricing.model, self._pricing.array
        if array is not None:
            return _Bill(lowered, graph.sizes, functools.partial(_on_array, lowered, array), 0.0)
        work = functools.partial(_on_core, model) if model is not None else _by_macs
        return _Bill(lowered, graph.sizes, work, 0.0 if model is None else model.per_inference)

    def _error(self, shapes: Sequence[OpShape]) -> float:
        model = self._pricing.model
        return 0.0 if model is None else model.error_for(shapes).p95_ratio


class _Bill:
    """Amounts of a graph, remembered operation by operation.

    Args:
        lowered: its operations.
        sizes: units of each of its groups.
        work: of one of them, by its place, with so many units of each group.
        always: work of an inference whatever the model.
    """

    def __init__(
        self,
        lowered: Lowered,
        sizes: Sequence[int],
        work: Callable[[int, OpenOp, Sequence[int]], float],
        always: float,
    ) -> None:
        self._work = work
        self._base = Amount(always)
        self._open: list[tuple[int, OpenOp, dict[tuple[int, ...], Amount]]] = []
        for place, op in enumerate(lowered.ops):
            if op.groups:
                self._open.append((place, op, {}))
            else:
                self._base += self._one(place, op, sizes)

    def amount(self, kept: Sequence[int]) -> Amount:
        """Of the whole graph."""
        work, macs, moved, weights = (
            self._base.work, self._base.macs, self._base.bytes_moved, self._base.weights_bytes,
        )  # fmt: skip
        for place, op, known in self._open:
            key = tuple([kept[group] for group in op.groups])
            found = known.get(key)
            if found is None:
                found = known[key] = self._one(place, op, kept)
            work += found.work
            macs += found.macs
            moved += found.bytes_moved
            weights += found.weights_bytes
        return Amount(work, macs, moved, weights)

    def _one(self, place: int, op: OpenOp, kept: Sequence[int]) -> Amount:
        shape = op.at(kept)
        return Amount(
            self._work(place, op, kept),
            op.macs(kept),
            shape.moved_bytes,
            prediction.weights_bytes(shape),
        )


def _on_core(model: CostModel, place: int, op: OpenOp, kept: Sequence[int]) -> float:
    del place
    return model.predict([op.at(kept)]).per_op[0].instructions


def _on_array(
    lowered: Lowered, array: cycles.Array, place: int, op: OpenOp, kept: Sequence[int]
) -> float:
    del op
    model = lowered.model(kept)
    found: Op = model.ops[place]
    return float(cycles.op_cycles(site(model, found), array))


def _by_macs(place: int, op: OpenOp, kept: Sequence[int]) -> float:
    del place
    return float(op.macs(kept))


def _energy(amount: Amount, board: Board, error_ratio: float) -> float:
    """Middle of the range of an inference's energy, of so many inferences at once."""
    latency = physics.latency_us(
        amount.work * _FINE,
        amount.bytes_moved * _FINE,
        dtype=_DTYPE,
        board=board,
        error_ratio=error_ratio,
        bytes_missed=max(0, amount.weights_bytes - board.cache_kib * KIB_BYTES) * _FINE,
    )
    found = physics.energy_uj(latency, board)
    return (found.low + found.high) / 2
