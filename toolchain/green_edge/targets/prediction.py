"""What a model costs on a target's processor, from the fitted cost model alone.

Nothing is run here, so a search may ask thousands of times. Instructions come from `targets.cost`,
time and energy from `targets.physics`. `green-edge estimate` counts instructions where it can, and
asks `ranges_of` with what it counted. What an Edge TPU does is told by `targets.edgetpu.timing`.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from green_edge.targets import physics
from green_edge.targets.cost.model import CostModel, OpCost, cost_model
from green_edge.targets.cost.shape import OpShape, shapes_of
from green_edge.targets.physics import Board, Dtype, Range
from green_edge.targets.registry import Target
from green_edge.tflite.model import TfliteModel
from green_edge_wire.errors import ConfigError
from green_edge_wire.units import KIB_BYTES

# What to know of figures for a model with weights that are stored without their zeros.
PRICED_DENSE = (
    "the cost model prices weights stored without their zeros as dense, and its error is that of "
    "dense models: kernels that skip zeros take fewer instructions, which a count alone tells"
)
_QUANTIZED = ("int8", "uint8", "int16")


@dataclass(frozen=True, slots=True)
class Ranges:
    """Time and energy of one inference on one thread.

    Attributes:
        latency_us: of the inference.
        energy_uj: of the whole board meanwhile (gross).
        net_energy_uj: above the same board idle.
    """

    latency_us: Range
    energy_uj: Range
    net_energy_uj: Range


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model is expected to cost on a target's processor.

    Attributes:
        target: as the user named it.
        runtime: package whose kernels are assumed.
        version: its version.
        core: as compilers name it.
        arch: as `platform.machine()` names it.
        dtype: of the activations of most of the work.
        instructions: of one inference, on one thread, after warm-up.
        error_ratio: 95 of 100 models outside of the fit were off by at most this.
        bytes_moved: weights and activations that the operations read and write.
        ranges: time and energy.
        per_op: in the model's order.
        unknown: operations without a rule, whose cost is a guess by their bytes.
        notes: what is assumed, a sentence each.
        sources: of the board's facts, by fact.
        partial: loops or branches run inner graphs too, of which nothing is known: what is said is
            a part of the cost, with no bound of the whole.
    """

    target: str
    runtime: str
    version: str
    core: str
    arch: str
    dtype: Dtype
    instructions: int
    error_ratio: float
    bytes_moved: int
    ranges: Ranges
    per_op: tuple[OpCost, ...]
    unknown: tuple[str, ...]
    notes: tuple[str, ...]
    sources: dict[str, str]
    partial: bool = False


def predict(model: TfliteModel, target: Target) -> Prediction:
    """Predict what a model costs on the processor of a target, with the runtime that it has.

    Raises:
        ConfigError: nothing is known of the board, or no cost model is fitted for it.
    """
    return replace(predict_shapes(shapes_of(model), target), partial=model.subgraphs > 1)


def predict_shapes(shapes: Sequence[OpShape], target: Target) -> Prediction:
    """Predict what operations cost, as `predict` does; for a search that has no model yet.

    Raises:
        ConfigError: nothing is known of the board, or no cost model is fitted for it.
    """
    board = physics.board_of(target)
    fitted = model_of(target)
    cost = fitted.predict(shapes)
    error_ratio = fitted.error_for(shapes).p95_ratio
    dtype = dtype_of(shapes, [op.instructions for op in cost.per_op])
    return Prediction(
        target=target.ref.text,
        runtime=fitted.runtime,
        version=fitted.version,
        core=fitted.core,
        arch=fitted.arch,
        dtype=dtype,
        instructions=round(cost.instructions),
        error_ratio=error_ratio,
        bytes_moved=cost.bytes,
        ranges=ranges_of(
            cost.instructions, shapes, dtype=dtype, board=board, error_ratio=error_ratio
        ),
        per_op=cost.per_op,
        unknown=cost.unknown,
        notes=notes_of(target, shapes),
        sources=board.sources,
    )


def model_of(target: Target) -> CostModel:
    """Cost model of the runtime that a target has.

    Raises:
        ConfigError: none is fitted, or the target has no runtime.
    """
    if target.runtime is None or target.runtime_version is None:
        hint = "see green-edge check for the systems that have one"
        raise ConfigError(f"{target.ref.text} has no inference runtime", hint=hint)
    found = cost_model(target.runtime, target.runtime_version, target.cpu, target.arch)
    if found is None:
        what = f"{target.runtime} {target.runtime_version} on {target.cpu or 'this machine'}"
        hint = f"{known_system(target)}, or measure there: green-edge bench --device"
        raise ConfigError(f"no cost model is fitted for {what} ({target.arch})", hint=hint)
    return found


def known_system(target: Target) -> str:
    """Advice to take a system for which costs are known: every board has one of Bookworm."""
    arch = "armhf" if target.arch == "armv7l" else "arm64"
    return f"name a newer system, such as {target.host or target.ref.name}:bookworm-{arch}"


def dtype_of(shapes: Sequence[OpShape], weights: Sequence[float]) -> Dtype:
    """Type of the activations of most of the work.

    Args:
        shapes: of the operations.
        weights: how much each of them counts, such as its instructions.
    """
    pairs = list(zip(shapes, weights, strict=True))
    quantized = sum(weight for shape, weight in pairs if shape.dtype in _QUANTIZED)
    return "int8" if 2 * quantized > sum(weights) else "float32"


def ranges_of(
    instructions: float,
    shapes: Sequence[OpShape],
    *,
    dtype: Dtype,
    board: Board,
    error_ratio: float = 0.0,
) -> Ranges:
    """Time and energy of an inference, as `physics` has them.

    Args:
        instructions: of one inference.
        shapes: of its operations.
        dtype: of the activations.
        board: where it runs.
        error_ratio: by how much the instructions may be off; 0 for a count.
    """
    weights = sum(weights_bytes(shape) for shape in shapes)
    latency = physics.latency_us(
        instructions,
        sum(shape.moved_bytes for shape in shapes),
        dtype=dtype,
        board=board,
        error_ratio=error_ratio,
        bytes_missed=max(0, weights - board.cache_kib * KIB_BYTES),
    )
    return Ranges(latency, physics.energy_uj(latency, board), physics.net_energy_uj(latency, board))


@functools.lru_cache(maxsize=65_536)
def weights_bytes(shape: OpShape) -> int:
    """Length of the filters, which are read whole at every inference; of a table only rows are."""
    if not shape.constant or shape.op == "EMBEDDING_LOOKUP":
        return 0
    return shape.moved_bytes - replace(shape, weights=()).moved_bytes


def notes_of(target: Target, shapes: Sequence[OpShape]) -> tuple[str, ...]:
    """What time and energy on a target's board assume, a sentence each."""
    board = physics.board_of(target)
    clock = board.clock_mhz
    shown = f"{clock.low:g}" if clock.low == clock.high else f"{clock.low:g} to {clock.high:g}"
    notes = [
        f"one thread at the board's highest clock ({shown} MHz), not throttled",
        "energy is that of the whole board while it computes; idle time comes on top",
    ]
    if target.arch == "armv7l" and board.ipc_armv7l is None:
        notes.append(
            "instructions per cycle are those of a 64-bit system; on 32 bits a Pi 4 ends twice as "
            "many of float32"
        )
    if any(shape.dtype == "float32" and shape.weights_dtype == "int8" for shape in shapes):
        notes.append(
            "layers with int8 weights and float32 activations count as float32, though their "
            "kernels multiply int8"
        )
    return (*notes, *board.notes)
