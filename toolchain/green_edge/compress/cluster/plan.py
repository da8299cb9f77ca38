"""Few distinct values for each kernel: which, then done on a copy."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from green_edge.compress.cluster.kmeans import quantized
from green_edge.compress.graph.rebuild import with_weights
from green_edge.compress.graph.values import Graph, Kept, Tie
from green_edge.compress.kernels import Kernel, kernels_of
from green_edge.compress.scene import Scene
from green_edge.compress.words import short
from green_edge.compress.zipped import zipped_bytes
from green_edge.core.report import Skip
from green_edge.core.steps import Cluster
from green_edge_wire.errors import ConfigError

_NAME = 36


@dataclass(frozen=True, slots=True, eq=False)
class KernelValues:
    """A kernel with few distinct values.

    Attributes:
        layer: its name.
        variable: of the layer.
        before: distinct values there are, of the output channel that has most where each has its
            own.
        after: the same of the new ones.
        error: root of the mean squared change, of the root of the mean square.
        values: the new weights, in the variable's shape.
    """

    layer: str
    variable: str
    before: int
    after: int
    error: float
    values: NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class ClusterPlan:
    """Weights that become equal.

    Attributes:
        per: what shares the values.
        kernels: each with its new weights.
        zipped: bytes of all kernels as int8, zipped, before and after.
        skipped: layers whose weights stay, and why.
    """

    per: Literal["layer", "channel"]
    kernels: tuple[KernelValues, ...]
    zipped: tuple[int, int]
    skipped: tuple[Skip, ...]

    def lines(self) -> tuple[str, ...]:
        """A table of the kernels, for 80 columns, and what it is good for."""
        title = f"distinct values per {self.per} of"
        head = f"{title:<{_NAME}} {'weights':>9} {'before':>8} {'after':>6} {'error':>7}"
        rows = (
            f"{short(f'{each.layer}: {each.variable}', _NAME):<{_NAME}} {each.values.size:>9}"
            f" {each.before:>8} {each.after:>6} {each.error:>7.2%}"
            for each in self.kernels
        )
        before, after = self.zipped
        return (
            head,
            *rows,
            f"kernels as int8, zipped: {before} -> {after} bytes",
            "it saves zipped bytes only: no speed gain, and the file unzipped stays as long",
        )


def plan(graph: Graph, step: Cluster, scene: Scene) -> ClusterPlan:
    """Find the values of each kernel with the least squared error.

    Weights that are zero by a step before stay zero; it is one of the values.

    Raises:
        ConfigError: fewer than 2 clusters.
    """
    if step.clusters < 2:
        raise ConfigError(f"clusters must be at least 2, got {step.clusters}")
    sparse = {(tie.layer, tie.variable) for tie in graph.ties if tie.kept == "zeros"}
    found, skipped = kernels_of(graph.model)
    made: list[KernelValues] = []
    left: list[Skip] = []
    for place, kernel in enumerate(found):
        scene.tell(f"clustering {kernel.layer}", place / len(found))
        size = kernel.rows(kernel.values()).shape[1] if step.per == "channel" else kernel.size
        if size > step.clusters:
            zeros = (kernel.layer, kernel.variable) in sparse
            made.append(_with_few_values(kernel, step, zeros=zeros))
        else:
            what = f"{kernel.variable} has {size} weights per {step.per}"
            left.append(Skip(kernel.layer, f"{what}, no more than there are clusters"))
    after = {(each.layer, each.variable): each.values for each in made}
    zipped = (
        zipped_bytes(kernel.rows(kernel.values()) for kernel in found),
        zipped_bytes(
            kernel.rows(after.get((kernel.layer, kernel.variable), kernel.values()))
            for kernel in found
        ),
    )
    return ClusterPlan(step.per, tuple(made), zipped, (*skipped, *left))


def apply(graph: Graph, plan: ClusterPlan, scene: Scene) -> Graph:
    """A graph with the plan's weights, tied so that what is equal stays equal."""
    scene.tell("setting clusters")
    changed = {(each.layer, each.variable): each.values for each in plan.kernels}
    kept: Kept = "values" if plan.per == "layer" else "channel-values"
    ties = (Tie(each.layer, each.variable, kept) for each in plan.kernels)
    made = with_weights(graph, changed)
    return replace(made, ties=tuple(dict.fromkeys((*made.ties, *ties))))


def _with_few_values(kernel: Kernel, step: Cluster, *, zeros: bool) -> KernelValues:
    rows = kernel.rows(kernel.values())
    sets = rows if step.per == "channel" else rows.reshape(1, -1)
    made = np.stack([_clustered(each, step.clusters, zeros=zeros) for each in sets])
    return KernelValues(
        kernel.layer,
        kernel.variable,
        before=_distinct(sets),
        after=_distinct(made),
        error=_error(sets, made),
        values=kernel.from_rows(made.reshape(rows.shape)),
    )


def _clustered(weights: NDArray[Any], count: int, *, zeros: bool) -> NDArray[Any]:
    """Weights of a set on at most so many values."""
    if not zeros or np.all(weights != 0):
        return quantized(weights, count)
    made, there = np.zeros_like(weights), weights != 0
    if there.any():
        made[there] = quantized(weights[there], count - 1)
    return made


def _distinct(sets: NDArray[Any]) -> int:
    return max(len(np.unique(each)) for each in sets)


def _error(before: NDArray[Any], after: NDArray[Any]) -> float:
    scale = float(np.sqrt(np.mean(np.square(before, dtype=np.float64))))
    change = np.subtract(after, before, dtype=np.float64)
    return float(np.sqrt(np.mean(np.square(change)))) / scale if scale else 0.0
