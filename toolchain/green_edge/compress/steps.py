"""Which pass does a step: ours by its kind, another package's by its entry point.

A pass is a pair of functions: `plan(graph, step, scene)` decides and touches nothing, `apply(graph,
plan, scene)` does it on a copy. Of another package's pass the entry point names an object that has
both; its `plan` is given the step's `parameters` in place of the step.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import tensorflow as tf

from green_edge.compress.cluster import plan as cluster
from green_edge.compress.graph.values import Graph
from green_edge.compress.lowrank import split as lowrank
from green_edge.compress.prune import plan as prune
from green_edge.compress.reconstruct import plan as reconstruct
from green_edge.compress.reconstruct import refit
from green_edge.compress.recover import batch_norm
from green_edge.compress.recover import train as recover
from green_edge.compress.scene import Scene
from green_edge.compress.sparsity import plan as sparsity
from green_edge.core import step_tables
from green_edge.core.report import Skip
from green_edge.core.steps import (
    BatchNorm,
    Cluster,
    External,
    LowRank,
    Prune,
    Reconstruct,
    Recover,
    Sparsify,
    Step,
)
from green_edge_wire.errors import ConfigError, GreenEdgeError, ModelError


class Plan(Protocol):
    """What a pass decided."""

    @property
    def skipped(self) -> Sequence[Skip]:
        """Layers that it leaves alone."""
        ...

    def lines(self) -> Sequence[str]:
        """In words, at 80 columns."""
        ...


# What a mistake in another package's pass may raise, TensorFlow's own errors among it.
_MISTAKES = (
    ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, NameError,
    RuntimeError, TypeError, ValueError, tf.errors.OpError,
)  # fmt: skip

_Pass = tuple[Callable[..., Any], Callable[..., Graph]]

_OURS: Mapping[type[Step], _Pass] = {
    Prune: (prune.plan, prune.apply),
    LowRank: (lowrank.plan, lowrank.apply),
    Sparsify: (sparsity.plan, sparsity.apply),
    Cluster: (cluster.plan, cluster.apply),
    Reconstruct: (reconstruct.plan, refit.apply),
    BatchNorm: (batch_norm.plan, batch_norm.apply),
    Recover: (recover.plan, recover.apply),
}


def take(graph: Graph, step: Step, scene: Scene) -> tuple[Graph, Plan]:
    """Do a step; the graph that came in is as it was.

    Raises:
        ModelError: it cannot be done to this model.
        ConfigError: its parameters do not fit, or its package is not installed.
    """
    if isinstance(step, External):
        return _external(graph, step, scene)
    plan, apply = _OURS[type(step)]
    planned: Plan = plan(graph, step, scene)
    return apply(graph, planned, scene), planned


def _external(graph: Graph, step: External, scene: Scene) -> tuple[Graph, Plan]:
    entry = step_tables.external().get(step.step)
    if entry is None:
        hint = "install the package that has it"
        raise ConfigError(f"no pass {step.step!r} is installed", place="--recipe", hint=hint)
    package = "its package" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"
    try:
        found = entry.load()
        planned: Plan = found.plan(graph, step.parameters, scene)
        _check_told(planned)
        made: Graph = found.apply(graph, planned, scene)
    except GreenEdgeError:
        raise
    except _MISTAKES as e:
        message = f"the pass {step.step!r} of {package} raised {type(e).__name__}: {e}"
        raise ModelError(message, hint="tell its author") from e
    if not isinstance(made, Graph):
        raise ModelError(f"the pass {step.step!r} of {package} gave no graph")
    return made, planned


def _check_told(plan: Plan) -> None:
    if not all(isinstance(line, str) for line in plan.lines()):
        raise TypeError("its plan's lines() are not all text")
    if not all(isinstance(skip, Skip) for skip in plan.skipped):
        raise TypeError(
            "its plan's `skipped` holds something else than green_edge.core.report.Skip"
        )
