"""Predicts instructions per inference by rules fitted against emulation.

The constants are data: `data/costs/*.toml`, one file for each runtime, core and architecture,
written by `benchmarks/cost_fit.py`. A prediction is a sum over operations of a few products of
shapes, each remembered, so that a search may ask thousands of times.
"""

import functools
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib import resources

from green_edge.targets.cost.amounts import amounts, generic
from green_edge.targets.cost.kernels import GENERIC, kernels_of
from green_edge.targets.cost.shape import OpShape
from green_edge_wire import codec

_CORES = ("cortex-a53", "cortex-a72", "cortex-a76")
_CORE_OF_ARCH = {"armv7l": "cortex-a72"}


@dataclass(frozen=True, slots=True)
class Fitted:
    """Where the constants come from."""

    date: str
    command: str
    on: str
    models: int


@dataclass(frozen=True, slots=True)
class Error:
    """How far predictions are from emulated counts, on models that were not used for the fit.

    Attributes:
        median_ratio: of the larger of prediction and count over the smaller, less one.
        p95_ratio: 95th percentile of the same.
        n: models.
        pairs_right_ratio: share of pairs ordered as emulation does, of all that differ by more
            than 10 %.
        pairs: number of such pairs.
    """

    median_ratio: float
    p95_ratio: float
    n: int
    pairs_right_ratio: float
    pairs: int


@dataclass(frozen=True, slots=True)
class Rule:
    """Constants of a kernel.

    Attributes:
        tile: rows, channels and depth that the kernel takes at a time; found by the fit.
        instructions: per feature; features without a cost are left out.
        models: number of models of the fit that run it.
    """

    tile: tuple[int, ...]
    instructions: dict[str, float]
    models: int = 0


@dataclass(frozen=True, slots=True)
class OpCost:
    """Cost of one operation.

    Attributes:
        index: place among the shapes.
        bytes: of data, weights and output, once each.
    """

    index: int
    op: str
    instructions: float
    bytes: int


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of an inference.

    Attributes:
        instructions: of one thread after warm-up; the sum of `per_op` and what an inference costs
            whatever the model.
        unknown: operations without a rule of their own; a generic one per byte was taken.
    """

    instructions: float
    per_op: tuple[OpCost, ...]
    unknown: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """Bytes moved by all operations."""
        return sum(each.bytes for each in self.per_op)


@dataclass(frozen=True, slots=True)
class CostModel:
    """A runtime on a core.

    Attributes:
        error: of models whose weights have the type of the activations, int8 or float32.
        hybrid_error: of those with float32 activations and int8 weights.
        unknown_batch_error: of float32 ones that compute a shape as they run.
        unknown_error: of single operations without a rule.
        per_inference: instructions of a call that runs no operation.
        kernels: rules by kernel and types, such as `gemm.int8`.
    """

    runtime: str
    version: str
    core: str
    arch: str
    fitted: Fitted
    error: Error
    hybrid_error: Error
    unknown_batch_error: Error
    unknown_error: Error
    per_inference: float
    kernels: dict[str, Rule] = field(default_factory=dict)

    def predict(self, shapes: Sequence[OpShape]) -> Cost:
        """Instructions of an inference, operation by operation."""
        found = [_found(self, shape) for shape in shapes]
        per_op = tuple(
            OpCost(index, shape.op, each.instructions, each.bytes)
            for index, (shape, each) in enumerate(zip(shapes, found, strict=True))
        )
        total = self.per_inference + sum(each.instructions for each in found)
        unknown = {s.op for s, each in zip(shapes, found, strict=True) if not each.known}
        return Cost(total, per_op, tuple(sorted(unknown)))

    def error_for(self, shapes: Sequence[OpShape]) -> Error:
        """Error to expect of a model with such operations.

        What is guessed has the error of guesses, by its share of the instructions.
        """
        found = [_found(self, shape) for shape in shapes]
        known = self._known_error(shapes)
        guessed = sum(each.instructions for each in found if not each.known)
        if not guessed:
            return known
        share = guessed / (self.per_inference + sum(each.instructions for each in found))
        return Error(
            median_ratio=_mix(known.median_ratio, self.unknown_error.median_ratio, share),
            p95_ratio=_mix(known.p95_ratio, self.unknown_error.p95_ratio, share),
            n=self.unknown_error.n,
            pairs_right_ratio=min(known.pairs_right_ratio, self.unknown_error.pairs_right_ratio),
            pairs=self.unknown_error.pairs,
        )

    def _known_error(self, shapes: Sequence[OpShape]) -> Error:
        errors = [self.error]
        if any(s.dtype == "float32" and s.weights_dtype == "int8" for s in shapes):
            errors = [self.hybrid_error]
        if any(s.dtype == "float32" and not s.static for s in shapes):
            errors.append(self.unknown_batch_error)
        return max(errors, key=lambda error: error.p95_ratio)

    def __hash__(self) -> int:
        """By setting, so that costs can be remembered by model and shape."""
        return hash((self.runtime, self.version, self.core, self.arch, self.fitted))


def _mix(known: float, guessed: float, share: float) -> float:
    return round((1 - share) * known + share * guessed, 4)


@dataclass(frozen=True, slots=True)
class _Found:
    """What is remembered of a shape; `known` tells whether it has a rule of its own."""

    instructions: float
    bytes: int
    known: bool


@functools.lru_cache(maxsize=1 << 16)
def _found(model: CostModel, shape: OpShape) -> _Found:
    if shape.once:
        return _Found(0.0, 0, known=True)
    name = next((name for name in kernels_of(shape) if name in model.kernels), None)
    rule = model.kernels[name or GENERIC]
    work = amounts(shape, rule.tile) if name else generic(shape)
    instructions = sum(each * work[key] for key, each in rule.instructions.items())
    return _Found(instructions, shape.moved_bytes, known=name is not None)


@functools.cache
def cost_model(runtime: str, version: str, core: str, arch: str) -> CostModel | None:
    """Fitted model of a setting; None where there is none.

    Args:
        runtime: its package, such as `ai-edge-litert`.
        version: of the package.
        core: such as `cortex-a72`.
        arch: as `platform.machine()` names it, such as `aarch64`.
    """
    folder = resources.files("green_edge.targets").joinpath("data", "costs")
    # In 32 bits the cores run the same kernels: one file is for all.
    fitted_on = _CORE_OF_ARCH.get(arch, core)
    file = folder.joinpath(f"{runtime}-{version}-{fitted_on}-{arch}.toml")
    if core not in _CORES or not file.is_file():
        return None
    found = codec.decode(CostModel, tomllib.loads(file.read_text(encoding="utf-8")), strict=True)
    return replace(found, core=core)
