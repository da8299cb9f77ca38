"""Fits the cost model to counts: tiles by trial, constants by non-negative least squares."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from green_edge.targets.cost.amounts import amounts, default_tile, generic
from green_edge.targets.cost.kernels import GENERIC, kernels_of
from green_edge.targets.cost.model import Rule
from green_edge.targets.cost.shape import OpShape

Shapes = tuple[OpShape, ...]
Tile = tuple[int, ...]
Column = tuple[str, str]
Row = dict[Column, float]
_MATMUL_TILES: tuple[Tile, ...] = tuple(
    product((1, 2, 3, 4, 5, 6, 8), (2, 4, 8, 12, 16), (1, 2, 4, 8, 16))
)
_LANES: tuple[Tile, ...] = ((4,), (8,), (16,))
_INFERENCE: Column = ("inference", "")
# A kernel of fewer models is left to a more general rule.
_FEWEST_MODELS = 4
# Networks are what is asked for: they weigh more than models of one operation.
_NETWORK_WEIGHT = 3.0
# Of two tiles that fit alike, the one tried first stands.
_BETTER = 0.995
# Of what a call costs, so that the operation and not the call is told.
_CLEAR = 1.2
_OF_SHAPES = {"STRIDED_SLICE", "PACK"}


@dataclass(frozen=True, slots=True)
class Sample:
    """A model's operations and its emulated count."""

    shapes: Shapes
    instructions: float


def fit(samples: Sequence[Sample]) -> tuple[float, dict[str, Rule]]:
    """Instructions of an inference without operations, and a rule for each kernel."""
    names = _kernels(samples)
    tiles = {name: _tile(name, samples, names) for name in names}
    rows = [_row(sample.shapes, tiles) for sample in samples]
    columns = sorted({column for row in rows for column in row})
    counts = np.array([sample.instructions for sample in samples])
    weights = np.array([1.0 if _only(s.shapes) else _NETWORK_WEIGHT for s in samples])
    found = dict(zip(columns, _least_squares(_matrix(rows, columns), counts, weights), strict=True))
    rules = {name: Rule(tile, _constants(name, found), names[name]) for name, tile in tiles.items()}
    per_inference = float(found[_INFERENCE])
    return per_inference, rules | {GENERIC: _generic(samples, per_inference)}


def _kernels(samples: Sequence[Sample]) -> dict[str, int]:
    """Kernels with the number of models that run them, the rare ones left out."""
    names = Counter(
        name for sample in samples for name in {kernels_of(shape)[0] for shape in sample.shapes}
    )
    return {name: n for name, n in sorted(names.items()) if n >= _FEWEST_MODELS}


def _kernel(shape: OpShape, known: Mapping[str, object]) -> str | None:
    return next((name for name in kernels_of(shape) if name in known), None)


def _tile(name: str, samples: Sequence[Sample], names: Mapping[str, int]) -> Tile:
    """Tile by which the models of this operation alone are told best."""
    alone = [
        (shape, sample.instructions)
        for sample in samples
        if (shape := _only(sample.shapes)) and _kernel(shape, names) == name
    ]
    if not alone:
        return next(
            default_tile(shape)
            for sample in samples
            for shape in sample.shapes
            if _kernel(shape, names) == name
        )
    counts = np.array([count for _, count in alone])
    best: tuple[float, Tile] | None = None
    for tile in _candidates(alone[0][0]):
        rows = [amounts(shape, tile) for shape, _ in alone]
        matrix = np.array([list(row.values()) for row in rows])
        found = _least_squares(matrix, counts, np.ones(len(alone)))
        error = float(np.sqrt(np.mean((matrix @ found / counts - 1) ** 2)))
        if best is None or error < _BETTER * best[0]:
            best = (error, tile)
    return best[1] if best is not None else ()


def _only(shapes: Shapes) -> OpShape | None:
    """The one operation of a model, apart from those that compute a shape behind it."""
    found = shapes if len(shapes) == 1 else [s for s in shapes if not _is_of_shape(s)]
    return found[0] if len(found) == 1 else None


def _is_of_shape(shape: OpShape) -> bool:
    return shape.op in {"SHAPE", "RESHAPE"} or (shape.dtype == "int32" and shape.op in _OF_SHAPES)


def _candidates(shape: OpShape) -> tuple[Tile, ...]:
    return {3: _MATMUL_TILES, 1: _LANES}.get(len(default_tile(shape)), ((),))


def _row(shapes: Shapes, tiles: Mapping[str, Tile]) -> Row:
    row: Row = {_INFERENCE: 1.0}
    for shape in shapes:
        name = _kernel(shape, tiles)
        if name is None:
            continue
        for key, value in amounts(shape, tiles[name]).items():
            row[name, key] = row.get((name, key), 0.0) + value
    return row


def _matrix(rows: Sequence[Row], columns: Sequence[Column]) -> NDArray[np.float64]:
    place = {column: index for index, column in enumerate(columns)}
    matrix = np.zeros((len(rows), len(columns)))
    for line, row in zip(matrix, rows, strict=True):
        for column, value in row.items():
            line[place[column]] = value
    return matrix


def _least_squares(
    matrix: NDArray[np.float64], counts: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Constants, none negative, with the least sum of squared relative errors."""
    scale = np.abs(matrix).max(axis=0)
    scale[scale == 0] = 1.0
    relative = matrix / scale * (weights / counts)[:, None]
    found, _ = nnls(relative, weights, maxiter=30 * matrix.shape[1])
    return np.asarray(found / scale, np.float64)


def _constants(name: str, found: Mapping[Column, float]) -> dict[str, float]:
    return {key: float(f"{value:.5g}") for (kernel, key), value in found.items()
            if kernel == name and value > 0}  # fmt: skip


def _generic(samples: Sequence[Sample], per_inference: float) -> Rule:
    """What an operation costs of which nothing is known but what it reads, writes, multiplies.

    Operations differ by a factor of a hundred, so the middle is that of logarithms.
    """
    alone = [
        (generic(s.shapes[0]), s.instructions - per_inference)
        for s in samples
        if len(s.shapes) == 1 and s.instructions > _CLEAR * per_inference
    ]
    products = [count / work["products"] for work, count in alone if work["products"]]
    other = [count / work["bytes"] for work, count in alone if not work["products"]]
    found = {(GENERIC, "products"): _middle(products), (GENERIC, "bytes"): _middle(other)}
    return Rule((), _constants(GENERIC, found), len(alone))


def _middle(ratios: Sequence[float]) -> float:
    return float(np.exp(np.mean(np.log(ratios))))
