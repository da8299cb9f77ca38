"""Magnitude sparsity of every kernel: which weights go, then done on a copy."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from green_edge.compress.graph.rebuild import weights, with_weights
from green_edge.compress.graph.values import Graph, Tie
from green_edge.compress.kernels import kernels_of
from green_edge.compress.scene import Scene
from green_edge.compress.sparsity.masks import mask
from green_edge.compress.words import short
from green_edge.compress.zipped import zipped_bytes
from green_edge.core.report import Skip
from green_edge.core.steps import Pattern, Sparsify
from green_edge_wire.errors import ConfigError

_NAME = 44


@dataclass(frozen=True, slots=True, eq=False)
class KernelMask:
    """Weights of a kernel that stay.

    Attributes:
        layer: its name.
        variable: of the layer.
        before: share of zeros there is.
        kept: True for each weight that stays, in the variable's shape.
    """

    layer: str
    variable: str
    before: float
    kept: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class SparsifyPlan:
    """Weights that become zero.

    Attributes:
        pattern: where the zeros are.
        masks: of each kernel.
        zipped: bytes of all kernels as int8, zipped, before and after.
        skipped: layers whose weights stay, and why.
    """

    pattern: Pattern
    masks: tuple[KernelMask, ...]
    zipped: tuple[int, int]
    skipped: tuple[Skip, ...]

    def lines(self) -> tuple[str, ...]:
        """A table of the kernels, for 80 columns, and what it is good for."""
        head = f"{'zeros in':<{_NAME}} {'weights':>9} {'before':>7} {'after':>7}"
        rows = (
            f"{short(f'{each.layer}: {each.variable}', _NAME):<{_NAME}} {each.kept.size:>9}"
            f" {each.before:>7.1%} {1 - each.kept.mean():>7.1%}"
            for each in self.masks
        )
        before, after = self.zipped
        return (
            head,
            *rows,
            f"kernels as int8, zipped: {before} -> {after} bytes",
            "no speed gain expected of int8: its kernels multiply by zeros too",
        )


def plan(graph: Graph, step: Sparsify, scene: Scene) -> SparsifyPlan:
    """Choose the smallest weights of each kernel.

    Raises:
        ConfigError: a sparsity that is no share below 1.
    """
    if not 0 <= step.sparsity < 1:
        raise ConfigError(f"sparsity must be in [0, 1), got {step.sparsity:g}")
    scene.tell("choosing zeros")
    kernels, skipped = kernels_of(graph.model)
    masks: list[KernelMask] = []
    sparse: list[NDArray[Any]] = []
    for kernel in kernels:
        rows = kernel.rows(kernel.values())
        kept = mask(rows, step.pattern, step.sparsity)
        sparse.append(rows * kept)
        masks.append(
            KernelMask(
                kernel.layer, kernel.variable, float(np.mean(rows == 0)), kernel.from_rows(kept)
            )
        )
    before = zipped_bytes(kernel.rows(kernel.values()) for kernel in kernels)
    return SparsifyPlan(step.pattern, tuple(masks), (before, zipped_bytes(sparse)), skipped)


def apply(graph: Graph, plan: SparsifyPlan, scene: Scene) -> Graph:
    """A graph with zeros where the plan has them, tied so that they stay."""
    scene.tell("setting zeros")
    changed = {
        (each.layer, each.variable): np.where(
            each.kept, weights(graph, each.layer, each.variable), 0
        )
        for each in plan.masks
    }
    ties = (Tie(each.layer, each.variable, "zeros") for each in plan.masks)
    made = with_weights(graph, changed)
    return replace(made, ties=tuple(dict.fromkeys((*made.ties, *ties))))
